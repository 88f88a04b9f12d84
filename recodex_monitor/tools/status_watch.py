"""`recodex-monitor status --watch`: the status page in the terminal, live."""

import argparse
import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from textwrap import wrap
from typing import Any
from urllib.parse import urlencode

from recodex_monitor.status.diagnosis import span
from recodex_monitor.tools.status_client import CannotAsk, Target, ask, find_target
from recodex_monitor.tools.terminal import on_terminal, printable

EVERY = 2.0
"""Seconds between two requests."""

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"
_COLUMNS = ("STATE", "TASKS", "TRY", "FOLLOWERS", "AGE", "LAST")
_WIDTHS = (8, 14, 3, 9, 10, 10)
_WIDE, _NARROW = 104, (0, 1, 5)
_SIGNS = (("completed", "+"), ("failed", "-"), ("skipped", "~"))
_COLOURS = {"failing": 31, "failed": 31, "silent": 33, "running": 36, "finished": 32}

Lines = Callable[[int, int], list[str]]
"""Makes the lines for a screen of this width and height."""

OfJob = Callable[[dict[str, Any], int], list[str]]
LAST = 20
"""How many of a job's last messages are shown, at most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor status` that belong to ``--watch``."""
    text = "show it live, every 2 seconds, until Ctrl-C"
    parser.add_argument("--watch", action="store_true", help=text)
    parser.add_argument("--state", default="", help="with --watch: list the jobs in this state")
    text = "with --watch: list the jobs with this in their ids"
    parser.add_argument("--text", default="", help=text)
    text = "with --watch: urgent (default), id, messages, followers, began or last; --sort=-last"
    parser.add_argument("--sort", default="urgent", help=f"{text} reverses the order")


def watch(arguments: argparse.Namespace, of_job: OfJob) -> None:
    """Show the monitor, or one job, until Ctrl-C.

    Args:
        arguments: name them.
        of_job: makes the lines about a job, with this many of its last messages.

    Raises:
        CannotAsk: there was no answer to the first request.
    """
    target = find_target(arguments)
    look = _job(target, arguments.path, of_job) if arguments.job else _monitor(target, arguments)
    first = look()
    with contextlib.suppress(KeyboardInterrupt), _screen() as show:
        show(first)
        while True:
            time.sleep(EVERY)
            try:
                lines = look()
            except CannotAsk as error:
                lines = _constant(f"! {error}")
            show(lines)


def _constant(text: str) -> Lines:
    return lambda *_: [text]


def _job(target: Target, path: str, of_job: OfJob) -> Any:
    def look() -> Lines:
        told = ask(target, path)
        return lambda width, height: _fitted(told, of_job, width, height)

    return look


def _fitted(told: dict[str, Any], of_job: OfJob, width: int, height: int) -> list[str]:
    """The lines about a job: of its messages the last ones for which there is room."""
    for last in range(LAST, 0, -1):
        lines = [part for one in of_job(told, last) for part in _wrapped(one, width)]
        if len(lines) <= height:
            break
    return lines[:height]


def _monitor(target: Target, arguments: argparse.Namespace) -> Any:
    query = {key: getattr(arguments, key) for key in ("state", "text", "sort")}
    path = f"/api/channels?{urlencode(query, errors='surrogateescape')}"

    def look() -> Lines:
        told, jobs = ask(target, "/api/status"), ask(target, path)
        return lambda width, height: screen(told, jobs, width, height)

    return look


@contextlib.contextmanager
def _screen() -> Iterator[Callable[[Lines], None]]:
    """What shows lines: on a screen of its own, or one after another where there is none."""
    out, live = sys.stdout, on_terminal()

    def show(lines: Lines) -> None:
        size = shutil.get_terminal_size()
        made = [printable(one) for one in lines(size.columns, size.lines - 1)]
        if not live:
            out.write("\n".join([*made, "", ""]))
        else:
            made = [f"{_coloured(one[: size.columns])}{_END_OF_LINE}" for one in made]
            out.write(_HOME + "\n".join(made[: size.lines - 1]) + "\n" + _REST)
        out.flush()

    if live:
        out.write(_ENTER)
    try:
        yield show
    finally:
        if live:
            out.write(_LEAVE)
            out.flush()


def _coloured(line: str) -> str:
    """A line with the colour of its state, if it begins with one."""
    state = line.split(" ", 1)[0]
    if state == "!":
        return f"\x1b[1;31m{line}\x1b[0m"
    return f"\x1b[{_COLOURS[state]}m{line}\x1b[0m" if state in _COLOURS else line


def screen(told: dict[str, Any], jobs: dict[str, Any], width: int, height: int) -> list[str]:
    """The lines of a screen: what is wrong, the numbers, and as many jobs as there is room for.

    Args:
        told: the answer to /api/status.
        jobs: the answer to /api/channels.
        width: of the screen, in characters.
        height: of the screen, in lines.
    """
    version = told["settings"].get("version", "")
    clock = time.strftime("%H:%M:%S", time.localtime(told["now"]))
    lines = [f"ReCodEx monitor {version}, up for {span(told['uptime'])}, {clock}"]
    for hint in told["hints"]:
        lines += _wrapped(f"! {hint['cause']}: {hint['text']} {hint.get('remedy', '')}", width)
    if not told["hints"]:
        lines.append("The monitor sees nothing that is wrong.")
    lines += [_numbers(told), _counted(jobs), "", _columns(("JOB", *_COLUMNS), width)]
    room = max(0, height - len(lines) - 1)
    rows = jobs["channels"][:room]
    lines += [_row(one, told["now"], width) for one in rows]
    others = jobs["total"] - len(rows)
    return [*lines, f"and {others} more" if others > 0 else ""]


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Wrap a text; further lines are indented, and marked as a problem if the first one is."""
    deeper = "!   " if text.startswith("!") else f"{text[: len(text) - len(text.lstrip())]}  "
    if len(text) <= width:
        yield text
    else:
        yield from wrap(text, max(width, 20), subsequent_indent=deeper, break_on_hyphens=False)


def _numbers(told: dict[str, Any]) -> str:
    broker = "connected" if told["broker"]["connected"] else "away"
    numbers = f"{told['followers']} followers, {told['slow']} slow, {told['memory'] >> 20} MB"
    return f"broker {broker}, {numbers}"


def _counted(jobs: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in jobs["counts"].items() if count)
    return f"jobs: {counts or 'none'}"


def _row(job: dict[str, Any], now: float, width: int) -> str:
    tasks = " ".join(
        f"{sign}{job['tasks'][state]}" for state, sign in _SIGNS if job["tasks"].get(state)
    )
    last = "-" if job["last"] is None else span(now - job["last"])
    numbers = (str(job["attempts"]), str(job["followers"]), span(now - job["began"]), last)
    return _columns((job["id"], job["state"], tasks or "-", *numbers), width)


def _columns(cells: tuple[str, ...], width: int) -> str:
    """Cells as a line: the state first, then what has a fixed width, and the id in the rest.

    A narrow screen shows only the most useful ones, to leave room for the id.
    """
    name, *fixed = cells
    padded = [cell.ljust(size) for cell, size in zip(fixed, _WIDTHS, strict=True)]
    if width < _WIDE:
        padded = [padded[column] for column in _NARROW]
    return f"{' '.join(padded)} {name}"[:width].rstrip()
