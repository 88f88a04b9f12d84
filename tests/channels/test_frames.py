"""WebSocket frames."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.frames import CLOSE, PONG, TEXT, lone_frame, spans, text_frame
from tests.support.clients import frame


class TextFrameTests(SynchronousTestCase):
    """What we send."""

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
    """What is in a log."""

    @given(st.lists(st.sampled_from((0, 1, 125, 126, 300, 65535, 65536)), max_size=6))
    def test_payloads(self, lengths: list[int]) -> None:
        """The payloads of frames are found, from any frame's beginning on."""
        payloads = [bytes([number]) * length for number, length in enumerate(lengths)]
        frames = [text_frame(payload) for payload in payloads]
        log = b"".join(frames)
        for number in range(len(frames) + 1):
            start = len(b"".join(frames[:number]))
            self.assertEqual([log[span] for span in spans(log, start)], payloads[number:])
            self.assertEqual([log[span] for span in spans(log, 0, start)], payloads[:number])


class LoneFrameTests(SynchronousTestCase):
    """What we read ourselves."""

    @given(
        st.sampled_from((TEXT, CLOSE, PONG)),
        st.binary(max_size=125),
        st.binary(min_size=4, max_size=4),
    )
    def test_small_frames(self, first: int, payload: bytes, mask: bytes) -> None:
        """A small frame of a browser is read, whatever its mask."""
        self.assertEqual(lone_frame(frame(first & 15, payload, mask)), (first, payload))

    def test_anything_else(self) -> None:
        """Longer, unmasked, cut and several frames are not read here."""
        for data in (
            b"",
            b"\x81",
            frame(1, b"x" * 126),
            frame(1, b"job", mask=None),
            frame(1, b"job")[:-1],
            frame(1, b"job") + b"\x81",
            frame(1, b"job") * 2,
        ):
            self.assertIsNone(lone_frame(data), data)

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are a whole frame of just that length, or none."""
        found = lone_frame(data)
        if found is not None:
            self.assertEqual(len(found[1]), len(data) - 6)
