"""`recodex-monitor demo`: a real monitor, a made-up broker and what students would see."""

import argparse
import asyncio
import json
import random
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from recodex_monitor.tools import jobs, simulate, watch
from recodex_monitor.tools.jobs import Frames
from recodex_monitor.tools.progress import Progress, printable

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

HOST = "127.0.0.1"
OUTCOMES = ("normal", "failing", "build-failure", "restarted", "rejected", "lost")
TASKS = 10
PACE = 0.6
_WEBSOCKET_PORT = 4567
_ZMQ_PORT = 7894
_STATUS_PORT = 4568
_START_TIMEOUT = 20.0
# The monitor itself needs 10 s at most to stop.
_STOP_TIMEOUT = 15.0
_TAIL = 20


class DemoError(Exception):
    """The demo cannot go on; the text says why, in full."""


@dataclass
class Job:
    """One job of the demo: what the broker sends, and what a student sees."""

    outcome: str
    messages: list[Frames]
    progress: Progress = field(default_factory=Progress)

    @property
    def channel(self) -> str:
        """The id of the job's channel."""
        return self.messages[0][0].decode()


@dataclass(frozen=True)
class Place:
    """Where the demo's monitor listens and where its files are."""

    folder: Path
    websocket_port: int
    zmq_port: int
    status_port: int

    @property
    def url(self) -> str:
        """Where browsers connect."""
        return f"ws://{HOST}:{self.websocket_port}/"

    @property
    def endpoint(self) -> str:
        """Where the broker connects."""
        return f"tcp://{HOST}:{self.zmq_port}"

    @property
    def config(self) -> Path:
        """The monitor's configuration."""
        return self.folder / "config.yml"

    @property
    def log(self) -> Path:
        """The monitor's log."""
        return self.folder / "monitor.log"

    @property
    def output(self) -> Path:
        """What the monitor writes to its standard output and error."""
        return self.folder / "output"


Show = Callable[[Job], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor demo`."""
    parser.description = (
        "Start a monitor, play a handful of jobs into it as the broker would, and show what "
        "students would see. It runs until Ctrl-C."
    )
    parser.epilog = "Exit codes: 0 ended by Ctrl-C or --exit, 1 something went wrong."
    parser.add_argument("--exit", action="store_true", help="end when all jobs have ended")


def run(arguments: argparse.Namespace) -> int:
    """Run `recodex-monitor demo` and return its exit code."""
    if watch.tools_missing("demo"):
        return 1
    try:
        asyncio.run(_demo(arguments.exit))
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        print("recodex-monitor demo: nobody reads the output any more", file=sys.stderr)
        return 1
    except DemoError as error:
        print(f"recodex-monitor demo: {error}", file=sys.stderr)
        return 1
    return 0


async def _demo(exit_at_end: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="recodex-monitor-demo-") as folder:
        ports = map(_pick_port, (_WEBSOCKET_PORT, _ZMQ_PORT, _STATUS_PORT))
        place = Place(Path(folder), *ports)
        async with _monitor(place) as monitor:
            await _until_first(
                _show_jobs(place, monitor, exit_at_end), stop.wait(), _death(monitor, place)
            )


async def _until_first(*steps: Coroutine[object, object, object]) -> None:
    """Wait until one of the steps ends, end the others, and raise what it raised."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _pick_port(port: int) -> int:
    """Return the port if it is free, and otherwise one that is."""
    with socket.socket() as probe:
        # As the monitor does: a port that only waits out old connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _monitor(place: Place) -> AsyncIterator[Process]:
    """Run a monitor as a child process; it is gone when this is left."""
    place.config.write_text(_settings(place), encoding="utf-8")
    with place.output.open("wb") as output:
        # A session of its own: a Ctrl-C at the terminal is for the demo alone.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "recodex_monitor", "-c", str(place.config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _stop(process)


def _settings(place: Place) -> str:
    # JSON is YAML too, and quotes any path.
    settings = {
        "websocket_uri": [HOST, place.websocket_port],
        "zeromq_uri": [HOST, place.zmq_port],
        "status_uri": [HOST, place.status_port],
        "logger": {"file": str(place.log), "level": "info"},
    }
    return json.dumps(settings, ensure_ascii=False)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _death(monitor: Process, place: Place) -> None:
    code = await monitor.wait()
    raise DemoError(f"the monitor ended with code {code}\n{_tail(place)}".rstrip())


def _tail(place: Place) -> str:
    lines: list[str] = []
    for path in (place.log, place.output):
        if path.exists():
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
    return "\n".join(printable(line) for line in lines)


async def _show_jobs(place: Place, monitor: Process, exit_at_end: bool) -> None:
    await _until_listening(place)
    print(_introduction(place), flush=True)
    rng = random.Random()
    made = [Job(outcome, jobs.make_job(rng, TASKS, outcome)) for outcome in OUTCOMES]
    _print_how_to_follow(made[0], place)
    try:
        await _play_and_follow(made, place)
    except ExceptionGroup as group:
        error = group.exceptions[0]
        if isinstance(error, BrokenPipeError) or not isinstance(error, _connection_errors()):
            raise error from group
        # Where the monitor died, that is what to tell, and its end is noticed soon.
        await asyncio.sleep(1)
        raise DemoError(f"the connection to the monitor failed: {error}") from group
    print("All jobs have ended.", flush=True)
    if not exit_at_end:
        print("The monitor runs on until Ctrl-C.", flush=True)
        await monitor.wait()


def _connection_errors() -> tuple[type[Exception], ...]:
    from websockets.exceptions import WebSocketException

    return (OSError, ValueError, WebSocketException, zmq.ZMQError)


async def _until_listening(place: Place) -> None:
    deadline = asyncio.get_running_loop().time() + _START_TIMEOUT
    for port in (place.websocket_port, place.zmq_port):
        while not await _listens(port):
            if asyncio.get_running_loop().time() > deadline:
                raise DemoError(f"the monitor does not listen on {HOST}:{port}\n{_tail(place)}")
            await asyncio.sleep(0.05)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def _introduction(place: Place) -> str:
    return (
        "A monitor is running.\n"
        f"  browsers:       {place.url}\n"
        f"  broker:         {place.endpoint}\n"
        f"  status:         http://{HOST}:{place.status_port}/\n"
        f"  log:            {place.log}\n"
        f"  play more jobs: recodex-monitor simulate --zmq {place.endpoint}"
    )


def _print_how_to_follow(job: Job, place: Place) -> None:
    page = f"http://{HOST}:{place.websocket_port}/watch/{job.channel}"
    print(f"  follow a job:   recodex-monitor watch {job.channel} --url {place.url}")
    print(f"  in a browser:   {page}\n", flush=True)


async def _play_and_follow(made: list[Job], place: Place) -> None:
    with _bars(made) if watch.on_terminal() else _lines() as show:
        async with asyncio.TaskGroup() as group:
            for job in made:
                group.create_task(_follow(job, place.url, show))
            group.create_task(_play(made, place.endpoint))


async def _play(made: list[Job], endpoint: str) -> None:
    """Send the messages of all jobs as the broker would."""
    with simulate.broker_socket(endpoint, linger=5) as broker:
        for wait, frames in jobs.paced(jobs.interleave(job.messages for job in made), PACE):
            await asyncio.sleep(wait)
            while not simulate.offer(broker, frames):
                await asyncio.sleep(0.01)


async def _follow(job: Job, url: str, show: Show) -> None:
    """See a job as a student would, until it is over."""
    from websockets.asyncio.client import connect

    async with connect(url, proxy=None, compression=None, max_size=None) as connection:
        await connection.send(job.channel)
        await _feed(job, connection, show)


async def _feed(job: Job, connection: "ClientConnection", show: Show) -> None:
    while not job.progress.over:
        job.progress.feed(watch.decode(await connection.recv()))
        show(job)


@contextmanager
def _bars(made: list[Job]) -> Iterator[Show]:
    with watch.make_bars() as bars:
        rows = {job.channel: watch.add_bar(bars, job.outcome, TASKS) for job in made}
        yield lambda job: watch.update_bar(bars, rows[job.channel], job.progress)


@contextmanager
def _lines() -> Iterator[Show]:
    shown: dict[str, str] = {}

    def show(job: Job) -> None:
        # A line a message would be a flood with so many jobs.
        if shown.get(job.channel) != job.progress.state:
            shown[job.channel] = job.progress.state
            print(f"{job.outcome}: {job.progress.state}, {job.progress.counts()}", flush=True)

    yield show
