"""What the commands share for the terminal: live bars, and text from outside made safe to print."""

import io
import os
import sys
from typing import TYPE_CHECKING

from recodex_monitor.tools.progress import Progress

if TYPE_CHECKING:
    # rich comes with the extra `tools` only; the other commands must work without it.
    from rich.console import OverflowMethod
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_COLOURS = {"finished": "green", "failed": "red", "restarting": "yellow"}


def tools_missing(command: str) -> bool:
    """Whether the extra that a command needs is missing; if so, prints how to install it."""
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


def escape_unencodable() -> None:
    """Let standard output and error escape what their encoding lacks, instead of failing.

    A terminal need not be UTF-8 (``LANG``, ``PYTHONIOENCODING``), and bytes of the command line and
    of file names need not be text.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Escape what a terminal would obey or could not show, as `\x1b` or `\u202e`.

    Args:
        text: any text.
        encoding: of the terminal; what it lacks is escaped, too.
    """
    return (
        "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
        .encode(encoding, "backslashreplace")
        .decode(encoding)
    )


def make_bars() -> "Bars":
    """Make the live display for jobs, a context manager that draws while it is entered."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    console = Console()
    cut: OverflowMethod = "ellipsis" if console.encoding.startswith("utf") else "crop"

    def text(field: str, ratio: int | None = None, *, markup: bool = False) -> TextColumn:
        column = Column(no_wrap=True, overflow=cut, ratio=ratio)
        return TextColumn(f"{{task.{field}}}", markup=markup, table_column=column)

    return Progress(
        text("description"),
        BarColumn(bar_width=24, complete_style="cyan", finished_style="green", pulse_style="cyan"),
        text("fields[counts]"),
        text("fields[state]", markup=True),
        # Text from outside must neither be interpreted as markup nor break the line.
        text("fields[note]", ratio=1),
        console=console,
        # So that a long note takes only the width that the others leave.
        expand=True,
    )


def add_bar(bars: "Bars", name: str, tasks: int | None) -> "TaskID":
    """Add the line of a job that has not begun.

    Args:
        bars: the display.
        name: stands at the beginning of the line.
        tasks: the number of the job's tasks; None if it is not known.
    """
    progress = Progress()
    return bars.add_task(name, total=tasks, counts=progress.counts(), state=progress.state, note="")


def update_bar(bars: "Bars", bar: "TaskID", progress: Progress, note: str = "") -> None:
    """Show the progress of a job in its line, with a note at the end."""
    colour = _COLOURS.get(progress.state, "default")
    state = f"[{colour}]{progress.state}[/]"
    bars.update(
        bar,
        completed=progress.tasks,
        counts=progress.counts(),
        state=state,
        note=printable(note, bars.console.encoding),
    )
    if progress.over and not progress.job_failed:
        # The number of tasks is known only now.
        bars.update(bar, total=max(1, progress.tasks), completed=max(1, progress.tasks))
