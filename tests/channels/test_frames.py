"""WebSocket frames."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.frames import spans, text_frame


class TextFrameTests(SynchronousTestCase):
    """Frames that the monitor sends."""

    def test_lengths(self) -> None:
        """The length is written in the shortest of the three forms of RFC 6455."""
        for length, header in (
            (0, "8100"),
            (125, "817d"),
            (126, "817e007e"),
            (65535, "817effff"),
            (65536, "817f0000000000010000"),
        ):
            payload = b"x" * length
            self.assertEqual(text_frame(payload), bytes.fromhex(header) + payload)


class SpansTests(SynchronousTestCase):
    """Frames of a log."""

    @given(st.lists(st.sampled_from((0, 1, 125, 126, 300, 65535, 65536)), max_size=6))
    def test_payloads(self, lengths: list[int]) -> None:
        """All payloads are found, from the start of any frame to the end of any."""
        payloads = [bytes([number]) * length for number, length in enumerate(lengths)]
        frames = [text_frame(payload) for payload in payloads]
        log = b"".join(frames)
        for number in range(len(frames) + 1):
            start = len(b"".join(frames[:number]))
            self.assertEqual([log[span] for span in spans(log, start)], payloads[number:])
            self.assertEqual([log[span] for span in spans(log, 0, start)], payloads[:number])
