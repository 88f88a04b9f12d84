"""Tests of what the commands share for the terminal."""

import io
import sys
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools import terminal
from recodex_monitor.tools.progress import Progress
from recodex_monitor.tools.terminal import printable


class TerminalTests(SynchronousTestCase):
    """What standard output is, and which packages are installed."""

    def test_on_terminal(self) -> None:
        """Only a terminal that is not dumb can redraw a line."""
        for is_terminal, kind, expected in (
            (True, "xterm", True),
            (True, "dumb", False),
            (False, "xterm", False),
        ):
            self.patch(sys, "stdout", mock.Mock(isatty=lambda it=is_terminal: it))
            with mock.patch.dict("os.environ", {"TERM": kind}):
                self.assertEqual(terminal.on_terminal(), expected)

    def test_nothing_missing(self) -> None:
        """If the packages are installed, nothing is printed."""
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        self.assertFalse(terminal.tools_missing("watch"))
        self.assertEqual(errors.getvalue(), "")

    def test_missing_extra(self) -> None:
        """If one is missing, a line says what to install."""
        for name in ("rich", "websockets"):
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            with mock.patch.dict(sys.modules, {name: None}):
                self.assertTrue(terminal.tools_missing("watch"))
            self.assertEqual(
                errors.getvalue(),
                "recodex-monitor watch needs: pip install 'recodex-monitor[tools]'\n",
            )


class PrintableTests(SynchronousTestCase):
    """Text from outside cannot control a terminal."""

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """The result is printable; text that already was stays as it is."""
        self.assertTrue(printable(text).isprintable())
        self.assertEqual(printable(printable(text)), printable(text))
        if text.isprintable():
            self.assertEqual(printable(text), text)

    def test_examples(self) -> None:
        """Control characters, changes of direction and lone surrogates are escaped."""
        for text, shown in (
            ("\x1b[31m\n", r"\x1b[31m\n"),
            ("\u202e", r"\u202e"),
            ("\ud800", r"\ud800"),
            ("žluťoučký 😀", "žluťoučký 😀"),
        ):
            self.assertEqual(printable(text), shown)

    def test_other_encodings(self) -> None:
        """What the terminal's encoding lacks is escaped."""
        self.assertEqual(printable("žluť 😀", "ascii"), r"\u017elu\u0165 \U0001f600")
        self.assertEqual(printable("žluť 😀", "iso8859-2"), r"žluť \U0001f600")


class BarTests(SynchronousTestCase):
    """The live line of a job."""

    def test_other_encodings(self) -> None:
        """On a terminal that is not UTF-8 the live line has only what its encoding has."""
        for encoding in ("ascii", "iso8859-2"):
            output = io.TextIOWrapper(io.BytesIO(), encoding)
            self.patch(sys, "stdout", output)
            with (
                mock.patch.dict("os.environ", {"COLUMNS": "120"}),
                terminal.make_bars() as bars,
            ):
                bar = terminal.add_bar(bars, "job", 2)
                progress = Progress()
                for command in ("STARTED", "TASK", "FINISHED"):
                    progress.feed({"command": command, "task_state": "COMPLETED"})
                    terminal.update_bar(bars, bar, progress, "žluť 語" * 9)
            output.flush()
            self.assertIn("finished", output.buffer.getvalue().decode(encoding))

    def shown(self, commands: list[str], note: str = "", tasks: int | None = 2) -> str:
        """Draw the line of a job after these commands."""
        bars = terminal.make_bars()
        bar = terminal.add_bar(bars, "[b]name", tasks)
        progress = Progress()
        for command in commands:
            progress.feed({"command": command, "task_state": "COMPLETED"})
            terminal.update_bar(bars, bar, progress, note)
        self.finished = bars.finished
        console = Console(file=io.StringIO(), width=120)
        with console.capture() as captured:
            console.print(bars.get_renderable())
        return captured.get()

    def test_running(self) -> None:
        """The counts, the state and the note are shown."""
        line = self.shown(["STARTED", "TASK"], "test_01.run")
        for part in ("1 completed, 0 failed", "running", "test_01.run"):
            self.assertIn(part, line)
        self.assertFalse(self.finished)

    def test_outside_text(self) -> None:
        """Names and notes are neither markup nor commands to the terminal."""
        line = self.shown(["STARTED"], "[red]x[/nope]\x1b[2J\n")
        self.assertIn("[b]name", line)
        self.assertIn(r"[red]x[/nope]\x1b[2J\n", line)

    def test_finished(self) -> None:
        """A finished job's bar is full, however many tasks were expected."""
        for tasks in (None, 1, 5):
            self.assertIn("finished", self.shown(["STARTED", "TASK", "FINISHED"], tasks=tasks))
            self.assertTrue(self.finished)

    def test_failed(self) -> None:
        """A failed job's bar does not become full."""
        self.assertIn("failed ", self.shown(["STARTED", "TASK", "FAILED", "FINISHED"]))
        self.assertFalse(self.finished)
