"""`recodex-monitor watch`: follow one job in the terminal."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recodex_monitor.tools.progress import Progress, printable

if TYPE_CHECKING:
    # Both come with the extra only; without it the other commands still have to work.
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

Message = Mapping[str, object]
Show = Callable[[Progress, Message], None]

_COLOURS = {"finished": "green", "failed": "red", "restarting": "yellow"}


def tools_missing(command: str) -> bool:
    """Whether the extra that a command needs is not installed; then says so on stderr."""
    try:
        import rich  # noqa: F401
        import websockets  # noqa: F401
    except ImportError:
        print(
            f"recodex-monitor {command} needs: pip install 'recodex-monitor[tools]'",
            file=sys.stderr,
        )
        return True
    return False


def on_terminal() -> bool:
    """Whether standard output is a terminal that can redraw a line."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def decode(text: str | bytes) -> dict[str, object]:
    """Read one message of the monitor.

    Raises:
        ValueError: it is not a JSON object in a text message.
    """
    try:
        message = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ValueError("what answers there is not a ReCodEx monitor")
    return message


def describe(message: Message, progress: Progress) -> str:
    """Tell of a message, and of the progress after it, in one printable line."""
    words = [str(message.get(key, "")) for key in ("command", "task_id", "task_state")]
    line = printable(" ".join(word for word in words if word))
    return f"{line} ({progress.counts()})" if message.get("command") == "TASK" else line


def make_bars() -> "Bars":
    """Make the live display for jobs; it has to be entered like any context manager."""
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24, complete_style="cyan", finished_style="green", pulse_style="cyan"),
        TextColumn("{task.fields[counts]}", markup=False, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
        # Free text from outside: it must neither be taken for markup nor break the line.
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
    )


def add_bar(bars: "Bars", name: str, tasks: int | None) -> "TaskID":
    """Add the line of a job that has not begun, with its number of tasks if known."""
    progress = Progress()
    return bars.add_task(name, total=tasks, counts=progress.counts(), state=progress.state, note="")


def update_bar(bars: "Bars", bar: "TaskID", progress: Progress, note: str = "") -> None:
    """Show the progress of a job in its line, with a note at the end of it."""
    colour = _COLOURS.get(progress.state, "default")
    state = f"[{colour}]{progress.state}[/]"
    bars.update(
        bar, completed=progress.tasks, counts=progress.counts(), state=state, note=printable(note)
    )
    if progress.over and not progress.job_failed:
        # Only now it is known how many tasks there were.
        bars.update(bar, total=max(1, progress.tasks), completed=max(1, progress.tasks))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor watch`."""
    parser.description = (
        "Follow a job until it ends: a live bar on a terminal, otherwise one line a message."
    )
    parser.epilog = (
        "Exit codes: 0 the job finished, 1 it failed, 2 the connection could not be made or "
        "ended before the job did, or wrong usage, 130 interrupted."
    )
    parser.add_argument("channel", metavar="CHANNEL", help="the id of the job's channel")
    parser.add_argument(
        "--url",
        default="ws://127.0.0.1:4567/",
        help="where the monitor waits for browsers (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `recodex-monitor watch` and return its exit code."""
    if tools_missing("watch"):
        return 1
    progress = Progress()
    try:
        problem = _follow_shown(arguments.url, arguments.channel, progress)
    except KeyboardInterrupt:
        return 130
    if problem:
        print(f"recodex-monitor watch: {printable(problem)}", file=sys.stderr)
        return 2
    print(f"{progress.state}: {progress.counts()}")
    return 1 if progress.job_failed else 0


def _follow_shown(url: str, channel: str, progress: Progress) -> str:
    """Follow a job and show it; return what went wrong, or an empty text."""
    from websockets.exceptions import ConnectionClosed, WebSocketException

    print(f"following {printable(channel)}", flush=True)
    try:
        with _bar() if on_terminal() else _lines() as show:
            follow(url, channel, progress, show)
    except BrokenPipeError:
        return "nobody reads the output any more"
    except ConnectionClosed as error:
        return f"the connection ended before the job did: {error}"
    except (OSError, ValueError, WebSocketException) as error:
        return f"cannot follow the job at {url}: {error}"
    return ""


def follow(url: str, channel: str, progress: Progress, show: Show) -> None:
    """Feed the messages of a channel to a progress until it is over, showing each.

    Raises:
        websockets.exceptions.ConnectionClosed: the connection ended before the job did.
        websockets.exceptions.WebSocketException, OSError, ValueError: the connection could
            not be made, or something else than a monitor answers there.
    """
    from websockets.sync.client import connect

    if not _sendable(channel):
        raise ValueError("the channel id is not UTF-8")
    with connect(url, proxy=None, max_size=None, compression=None, close_timeout=1) as connection:
        connection.send(channel)
        while not progress.over:
            message = decode(connection.recv())
            progress.feed(message)
            show(progress, message)


def _sendable(text: str) -> bool:
    # What of the command line is no UTF-8 comes as lone surrogates.
    return not any("\ud800" <= char <= "\udfff" for char in text)


@contextmanager
def _lines() -> Iterator[Show]:
    yield lambda progress, message: print(describe(message, progress), flush=True)


@contextmanager
def _bar() -> Iterator[Show]:
    with make_bars() as bars:
        bar = add_bar(bars, "job", None)
        yield lambda progress, message: update_bar(
            bars, bar, progress, str(message.get("task_id", ""))
        )
