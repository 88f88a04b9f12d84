"""Encodings of a channel's messages for clients that resume: each message with its id.

They are made of the log's frames when they are sent; the history itself holds no ids.
"""

import json
from collections.abc import Callable

from recodex_monitor.channels.frames import spans, text_frame


def with_id(text: bytes, event_id: str) -> bytes:
    """A message's JSON text with one more key."""
    return b'%b, "id": "%b"}' % (text[:-1], event_id.encode())


def text_of(**keys: object) -> bytes:
    """A JSON text of ours, written as those of messages are."""
    return json.dumps(keys, sort_keys=True).encode()


class Encoding:
    """Turns the frames of a log into another encoding of the same messages."""

    def __init__(self, encode: Callable[[bytes, str], bytes]) -> None:
        """Encode one message, given as its text and its id, by this function."""
        self._encode = encode
        # Most readers of a running job stand at the same place, see Channel.last.
        self._last: tuple[bytes, str, int] = (b"", "", 0)
        self._result: tuple[bytes, int] = (b"", 0)

    def __call__(self, frames: bytes, epoch: str, before: int) -> tuple[bytes, int]:
        """Encode the frames of a channel's log.

        Args:
            frames: whole frames.
            epoch: the channel's.
            before: messages of the channel before these.

        Returns: the bytes, and the number of messages up to their end.
        """
        if (frames, epoch, before) != self._last:
            texts = [frames[span] for span in spans(frames)]
            numbered = enumerate(texts, before + 1)
            encoded = [self._encode(text, f"{epoch}:{number}") for number, text in numbered]
            self._last = frames, epoch, before
            self._result = b"".join(encoded), before + len(texts)
        return self._result


FRAMES = Encoding(lambda text, event_id: text_frame(with_id(text, event_id)))
"""WebSocket text frames."""

EVENTS = Encoding(lambda text, event_id: b"id: %b\ndata: %b\n\n" % (event_id.encode(), text))
"""Events of a text/event-stream. A message's text has no line breaks."""

ITEMS = Encoding(lambda text, event_id: b",\n" + with_id(text, event_id))
"""Items of a JSON list, each behind a comma."""
