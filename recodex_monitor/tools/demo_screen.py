"""What the demo of several nodes shows: a table of nodes above the bars of jobs, or lines."""

import contextlib
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recodex_monitor.tools import terminal
from recodex_monitor.tools.demo_jobs import Job, Show

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.progress import Progress as Bars

_COLOURS = {"owner": "bold green", "edge": "cyan", "killed": "bold red"}

Shown = tuple[str, str, int]
"""A node's name, role and followers."""


class Screen:
    """The terminal, redrawn in place; without a terminal, lines are printed.

    Attributes:
        nodes: what is shown of them.
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        self.nodes: list[Shown] = []
        self._live: Live | None = None

    def tell(self, text: str) -> None:
        """Print a line, with the time, above what is redrawn."""
        line = f"{time.strftime('%H:%M:%S')} {text}"
        if self._live is not None:
            self._live.console.print(line, highlight=False, markup=False)
        else:
            print(line, flush=True)

    def draw(self) -> None:
        """Draw again."""
        if self._live is not None:
            self._live.refresh()

    @contextmanager
    def jobs(self, made: list[Job], tasks: int) -> Iterator[Show]:
        """Draw nodes and jobs during the block."""
        from rich.live import Live

        bars = terminal.make_bars()
        rows = {job.channel: terminal.add_bar(bars, job.outcome, tasks) for job in made}

        def show(job: Job) -> None:
            terminal.update_bar(bars, rows[job.channel], job.progress)

        with Live(
            console=bars.console,
            auto_refresh=False,
            get_renderable=lambda: self._drawn(bars),
        ) as self._live:
            try:
                yield show
            finally:
                self._live.refresh()
                self._live = None

    def _drawn(self, bars: "Bars") -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(
            "node", "role", "followers", box=None, header_style="dim", padding=(0, 3, 0, 0)
        )
        for name, role, followers in self.nodes:
            style = _COLOURS.get(role, "yellow")
            count = "" if role == "killed" else str(followers)
            table.add_row(name, Text(role, style), count)
        keys = Text("k kills the node that owns, q ends", "dim")
        return Group(Text(), table, Text(), bars.get_renderable(), keys)


@contextmanager
def cbreak(descriptor: int) -> Iterator[None]:
    """Let a terminal give keys at once, without showing them, during the block."""
    if not (sys.stdin.isatty() and terminal.on_terminal()):
        yield
        return
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
