"""Whether the last attempt of a log failed."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.attempts import has_failed
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.channels.message import parse

_COMMANDS = ("DOWNLOADED", "STARTED", "TASK", "ENDED", "FAILED", "ABORTED", "FINISHED", "x")


def _log(*messages: tuple[str, ...]) -> bytes:
    """The log of messages, each a command with its details."""
    return b"".join(
        text_frame(parse([b"job", *(one.encode() for one in values)]).text) for values in messages
    )


class HasFailedTests(SynchronousTestCase):
    """Logs of any messages."""

    @given(st.lists(st.sampled_from(_COMMANDS)))
    def test_any_order(self, commands: list[str]) -> None:
        """It has if FAILED came, and neither DOWNLOADED nor STARTED after the last one."""
        failed = False
        for command in commands:
            if command in ("FAILED", "DOWNLOADED", "STARTED"):
                failed = command == "FAILED"
        self.assertEqual(has_failed(_log(*((one,) for one in commands))), failed)

    def test_task_ids(self) -> None:
        """A task's id or state that looks like a command is none."""
        looks_failed, looks_started = '{"command": "FAILED"', '{"command": "STARTED"'
        self.assertFalse(has_failed(_log(("TASK", looks_failed, "FAILED"))))
        self.assertTrue(has_failed(_log(("FAILED",), ("TASK", looks_started, looks_started))))

    def test_details(self) -> None:
        """FAILED with frames that nobody expects is FAILED."""
        self.assertTrue(has_failed(_log(("FAILED", "why", "x"))))
