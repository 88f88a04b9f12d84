"""Messages with their ids."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.frames import text_frame
from recodex_monitor.channels.message import parse
from recodex_monitor.clients.encoding import EVENTS, FRAMES, ITEMS
from tests.support.clients import frames

TEXTS = st.lists(
    st.text(max_size=200).map(lambda task: parse([b"job", b"TASK", task.encode()]).text)
)


class EncodingTests(SynchronousTestCase):
    """The same messages in three ways, each with its id."""

    @given(TEXTS, st.integers(0, 10**6))
    def test_same_messages(self, texts: list[bytes], before: int) -> None:
        """Every encoding tells the same objects in order, numbered on from those before."""
        log = b"".join(map(text_frame, texts))
        ids = [f"e-1_x:{before + number}" for number in range(1, len(texts) + 1)]
        due = [json.loads(text) | {"id": name} for text, name in zip(texts, ids, strict=True)]

        encoded, count = FRAMES(log, "e-1_x", before)
        self.assertEqual(count, before + len(texts))
        self.assertEqual([json.loads(payload) for _, payload in frames(encoded)], due)

        encoded, count = ITEMS(log, "e-1_x", before)
        self.assertEqual(json.loads(b"[null" + encoded + b"]"), [None, *due])

        encoded, count = EVENTS(log, "e-1_x", before)
        events = encoded.decode("ascii").split("\n\n")[:-1]
        named = zip(texts, ids, strict=True)
        self.assertEqual(events, [f"id: {name}\ndata: {text.decode()}" for text, name in named])

    def test_same_frames_elsewhere(self) -> None:
        """What was encoded last is not taken for the same frames of another channel or place."""
        log = text_frame(b'{"command": "TASK"}')
        made = [FRAMES(log, epoch, before) for epoch in "ab" for before in (0, 1)]
        self.assertEqual(len(set(made)), 4)
