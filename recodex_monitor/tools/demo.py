"""`recodex-monitor demo`: a real monitor, a simulated broker, and what students would see."""

import argparse
import asyncio
import itertools
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from recodex_monitor.tools import demo_nodes, local_monitor, terminal
from recodex_monitor.tools.command import pasted
from recodex_monitor.tools.demo_jobs import (
    OUTCOMES,
    Job,
    Show,
    lines,
    make_jobs,
    play_and_follow,
    until_first,
)
from recodex_monitor.tools.local_monitor import HOST, LocalMonitor, MonitorError

TASKS = 10
ROUNDS = 10
"""How many jobs of each outcome one board shows; further ones are on another board."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor demo`."""
    parser.description = (
        "Start a monitor, play jobs of every outcome into it as the broker would, one round after "
        "another, and show what students would see. It runs until Ctrl-C. With --nodes N it starts "
        "an engine and N nodes, and kills the one that owns whenever the key k is pressed."
    )
    parser.epilog = "Exit codes: 0 ended by Ctrl-C, q or --exit, 1 something went wrong."
    parser.add_argument("--exit", action="store_true", help="exit after one round")
    parser.add_argument(
        "--nodes", type=_nodes, default=1, metavar="N", help="run N nodes that share an engine"
    )


def _nodes(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= demo_nodes.MOST:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {demo_nodes.MOST}")


def run(arguments: argparse.Namespace) -> int:
    """Run `recodex-monitor demo` and return its exit code."""
    if terminal.tools_missing("demo"):
        return 1
    try:
        asyncio.run(_demo(arguments.exit, arguments.nodes))
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        print("recodex-monitor demo: nobody reads the output any more", file=sys.stderr)
        return 1
    except MonitorError as error:
        print(f"recodex-monitor demo: {error}", file=sys.stderr)
        return 1
    return 0


async def _demo(exit_at_end: bool, nodes: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="recodex-monitor-demo-") as folder:
        if nodes > 1:
            await until_first(demo_nodes.demo(Path(folder), nodes, exit_at_end), stop.wait())
            return
        monitor = local_monitor.in_folder(Path(folder))
        async with monitor.running() as process:
            await until_first(
                _show_jobs(monitor, exit_at_end),
                stop.wait(),
                monitor.until_dead(process),
            )


async def _show_jobs(monitor: LocalMonitor, exit_at_end: bool) -> None:
    await monitor.until_listening()
    rounds = 1 if exit_at_end else ROUNDS
    try:
        for first in itertools.count(1, rounds * len(OUTCOMES)):
            last = first + rounds * len(OUTCOMES)
            print(introduction(monitor, first, last - 1), flush=True)
            for number in range(first, last, len(OUTCOMES)):
                await _play(make_jobs(number, TASKS), monitor)
            if exit_at_end:
                break
    except ExceptionGroup as group:
        error = group.exceptions[0]
        if isinstance(error, BrokenPipeError) or not isinstance(error, _connection_errors()):
            raise error from group
        # If the monitor has died, report that instead: its end is noticed within this second.
        await asyncio.sleep(1)
        raise MonitorError(f"the connection to the monitor failed: {error}") from group
    print("All jobs have ended.", flush=True)


def _connection_errors() -> tuple[type[Exception], ...]:
    from websockets.exceptions import WebSocketException

    return (OSError, ValueError, WebSocketException, zmq.ZMQError)


def introduction(monitor: LocalMonitor, first: int, last: int) -> str:
    """Where the monitor listens, and how to follow the jobs, by commands that can be pasted."""
    pages = f"http://{HOST}:{monitor.websocket_port}"
    simulating = pasted("simulate", "--zmq", monitor.endpoint)
    watching = pasted("watch", f"demo-{first}", "--url", monitor.url)
    return (
        "A monitor is running.\n"
        f"  browsers:       {monitor.url}\n"
        f"  broker:         {monitor.endpoint}\n"
        f"  status:         http://{HOST}:{monitor.status_port}/\n"
        f"  log:            {monitor.log}\n"
        f"  play more jobs: {simulating}\n"
        f"  follow a job:   {watching}\n"
        f"  in a browser:   {pages}/watch/demo-{first}?tasks={TASKS}\n"
        f"  all its jobs:   {pages}/board#demo-{first}..{last}\n"
    )


async def _play(made: list[Job], monitor: LocalMonitor) -> None:
    with _bars(made) if terminal.on_terminal() else lines() as show:
        await play_and_follow(made, monitor.url, monitor.endpoint, show)


@contextmanager
def _bars(made: list[Job]) -> Iterator[Show]:
    with terminal.make_bars() as bars:
        rows = {job.channel: terminal.add_bar(bars, job.outcome, TASKS) for job in made}
        yield lambda job: terminal.update_bar(bars, rows[job.channel], job.progress)
