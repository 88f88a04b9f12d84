"""From the broker's frames to the text that clients get."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.message import MalformedMessage, Message, finished, parse

KEYS = ("command", "task_id", "task_state")


class ParseTests(SynchronousTestCase):
    """Frames become messages."""

    @settings(deadline=None)
    @given(st.text(min_size=1), st.lists(st.text(), min_size=1, max_size=6))
    def test_text_is_the_contracts(self, channel_id: str, texts: list[str]) -> None:
        """The text is byte for byte what ``json.dumps`` makes of the frames."""
        expected = json.dumps(dict(zip(KEYS, texts, strict=False)), sort_keys=True)
        message = parse([text.encode() for text in (channel_id, *texts)])
        self.assertEqual(message, Message(channel_id, texts[0], expected.encode()))

    def test_empty_command(self) -> None:
        """A command may be empty."""
        self.assertEqual(parse([b"job", b""]), Message("job", "", b'{"command": ""}'))

    def test_finished(self) -> None:
        """The FINISHED that the monitor adds is the one that a worker sends."""
        self.assertEqual(finished("job"), parse([b"job", b"FINISHED"]))


class MalformedTests(SynchronousTestCase):
    """Frames that are not a message."""

    @settings(deadline=None)
    @given(st.lists(st.binary() | st.text(max_size=9).map(str.encode), max_size=8))
    def test_any_frames(self, frames: list[bytes]) -> None:
        """Any frames give a message, or a MalformedMessage whose text is printable and bounded."""
        try:
            self.assertIsInstance(parse(frames), Message)
        except MalformedMessage as error:
            text = str(error)
            self.assertTrue(text.isascii() and text.isprintable() and len(text) < 800, text)

    def test_reasons(self) -> None:
        """Each mistake has a reason of its own, with which the error's text begins."""
        for frames, reason in (
            ([], "no command frame"),
            ([b"job"], "no command frame"),
            ([b"", b"TASK"], "an empty channel id"),
            ([b"\xff", b"TASK"], "a frame that is not UTF-8"),
            ([b"job", b"\xff"], "a frame that is not UTF-8"),
            ([b"job", b"TASK", b"id", b"COMPLETED", b"more", b"\xff"], "a frame that is not UTF-8"),
        ):
            error = self.assertRaises(MalformedMessage, parse, frames)
            self.assertEqual(error.reason, reason, frames)
            self.assertTrue(str(error).startswith(f"{reason}: ["), str(error))

    def test_text_shows_the_frames(self) -> None:
        """The error shows the beginning of the first four frames, and that there was more."""
        self.assertEqual(str(MalformedMessage("why", [b"a\n", b"b"])), r"why: [b'a\n', b'b']")
        self.assertEqual(str(MalformedMessage("why", [b"x" * 41])), f"why: [b'{'x' * 40}', ...]")
        self.assertEqual(
            str(MalformedMessage("why", [b"x"] * 5)), "why: [b'x', b'x', b'x', b'x', ...]"
        )
