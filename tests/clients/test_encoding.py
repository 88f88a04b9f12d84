"""Messages with their ids."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.channels.message import parse
from recodex_monitor.clients.encoding import EVENTS, FRAMES, ITEMS, JOBS_EVENTS, JOBS_FRAMES
from tests.support.frames import frames

TEXTS = st.lists(
    st.text(max_size=200).map(lambda task: parse([b"job", b"TASK", task.encode()]).text)
)


class EncodingTests(SynchronousTestCase):
    """The same messages in several encodings, each with its id."""

    @given(TEXTS, st.integers(0, 10**6))
    def test_same_messages(self, texts: list[bytes], before: int) -> None:
        """Every encoding has the same objects in order, with consecutive numbers in their ids."""
        log = b"".join(map(text_frame, texts))
        ids = [f"e-1_x:{before + number}" for number in range(1, len(texts) + 1)]
        due = [json.loads(text) | {"id": name} for text, name in zip(texts, ids, strict=True)]

        channel = Channel("job", "e-1_x")
        encoded, count = FRAMES(log, channel, before)
        self.assertEqual(count, before + len(texts))
        self.assertEqual([json.loads(payload) for _, payload in frames(encoded)], due)

        encoded, count = ITEMS(log, channel, before)
        self.assertEqual(json.loads(b"[null" + encoded + b"]"), [None, *due])

        encoded, count = EVENTS(log, channel, before)
        events = encoded.decode("ascii").split("\n\n")[:-1]
        named = zip(texts, ids, strict=True)
        self.assertEqual(events, [f"id: {name}\ndata: {text.decode()}" for text, name in named])

    @given(TEXTS, st.text(max_size=50))
    def test_with_channel(self, texts: list[bytes], channel_id: str) -> None:
        """For a client of many channels each has its channel first; events have the same data."""
        log, channel = b"".join(map(text_frame, texts)), Channel(channel_id)
        encoded, _ = JOBS_FRAMES(log, channel, 0)
        payloads = [payload for _, payload in frames(encoded)]
        due = [
            {"channel": channel_id} | json.loads(text) | {"id": f"{channel.epoch}:{number}"}
            for number, text in enumerate(texts, 1)
        ]
        got = [json.loads(payload) for payload in payloads]
        self.assertEqual(list(map(list, got)), list(map(list, due)))
        self.assertEqual(got, due)

        encoded, _ = JOBS_EVENTS(log, channel, 0)
        events = [
            b"id: %b:%d\ndata: %b\n\n" % (channel.epoch.encode(), number, payload)
            for number, payload in enumerate(payloads, 1)
        ]
        self.assertEqual(encoded, b"".join(events))

    def test_same_frames_elsewhere(self) -> None:
        """The cached result is not used for equal frames of another channel or position."""
        log = text_frame(b'{"command": "TASK"}')
        channels = Channel("job", "a"), Channel("job", "b")
        made = [FRAMES(log, channel, before) for channel in channels for before in (0, 1)]
        self.assertEqual(len(set(made)), 4)
