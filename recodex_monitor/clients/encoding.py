"""Encodings of a channel's messages with their ids, for clients that resume.

They are made from the log's frames when these are sent; the history itself contains no ids.
"""

import json
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as _quoted

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.frames import spans, text_frame


def with_id(text: bytes, event_id: str) -> bytes:
    """A message's JSON text with its id as another key."""
    return b'%b, "id": "%b"}' % (text[:-1], event_id.encode())


def of_channel(text: bytes, channel_id: str) -> bytes:
    """A message's JSON text with its channel as the first key."""
    return b'{"channel": %b, %b' % (_quoted(channel_id).encode(), text[1:])


def _of_channel_with_id(text: bytes, event_id: str, channel_id: str) -> bytes:
    quoted = _quoted(channel_id).encode()
    return b'{"channel": %b, %b, "id": "%b"}' % (quoted, text[1:-1], event_id.encode())


def text_of(**keys: object) -> bytes:
    """The JSON text of a message of the monitor itself, with its keys in this order."""
    return json.dumps(keys).encode()


def event(text: bytes, event_id: str | None = None) -> bytes:
    """An event of a text/event-stream; a message's text has no line breaks."""
    data = b"data: %b\n\n" % text
    return data if event_id is None else b"id: %b\n%b" % (event_id.encode(), data)


class Encoding:
    """Converts the frames of a log to another encoding of the same messages."""

    def __init__(self, encode: Callable[[bytes, str, str], bytes]) -> None:
        """Use this function: it encodes one message from its text, its id and its channel's id."""
        self._encode = encode
        # Most clients of a running job read the same frames; see Channel.last_chunk.
        self._last: tuple[bytes, str, int] = (b"", "", 0)
        self._result: tuple[bytes, int] = (b"", 0)

    def __call__(self, frames: bytes, channel: Channel, before: int) -> tuple[bytes, int]:
        """Encode the frames of a channel's log.

        Args:
            frames: whole frames.
            channel: the channel.
            before: messages of the channel before these.

        Returns:
            The bytes, and the count of the channel's messages up to their end.
        """
        epoch, channel_id = channel.epoch, channel.id
        if (frames, epoch, before) != self._last:
            texts = [frames[span] for span in spans(frames)]
            numbered = enumerate(texts, before + 1)
            encoded = [
                self._encode(text, f"{epoch}:{number}", channel_id) for number, text in numbered
            ]
            self._last = frames, epoch, before
            self._result = b"".join(encoded), before + len(texts)
        return self._result


FRAMES = Encoding(lambda text, event_id, _: text_frame(with_id(text, event_id)))
"""WebSocket text frames."""

EVENTS = Encoding(lambda text, event_id, _: event(text, event_id))
"""Events of a text/event-stream."""

ITEMS = Encoding(lambda text, event_id, _: b",\n" + with_id(text, event_id))
"""Items of a JSON list, each after a comma."""

JOBS_FRAMES = Encoding(
    lambda text, event_id, channel_id: text_frame(_of_channel_with_id(text, event_id, channel_id))
)
"""WebSocket text frames for a client of many channels."""

JOBS_EVENTS = Encoding(
    lambda text, event_id, channel_id: event(
        _of_channel_with_id(text, event_id, channel_id), event_id
    )
)
"""Events for a client of many channels; their data are the same as on a WebSocket."""
