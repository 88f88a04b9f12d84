"""How clients follow a job: by WebSocket with and without ids, by events, by long polls."""

import json
from collections.abc import Iterator
from typing import Protocol

from tests.faults.clients import Frames
from tests.support.frames import HANDSHAKE, TEXT, frame

WAIT = 2
"""Seconds for which a long poll waits: less than after which a client gives up a handshake."""


class Kind(Protocol):
    """One connection of a client.

    Attributes:
        has_ids: whether messages have ids, by which the client resumes elsewhere; one without them
            begins again.
        is_over: whether it has given all it can, though there may be more to come.
    """

    has_ids: bool
    is_over: bool

    def request(self, channel: str, after: str) -> bytes:
        """What to send."""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """What these bytes complete: opcodes and payloads, as a WebSocket that resumes has them."""


class Resuming(Frames):
    """A WebSocket that resumes by ``after``."""

    has_ids, is_over = True, False

    def request(self, channel: str, after: str) -> bytes:
        """A handshake, and the channel."""
        head = HANDSHAKE.replace(b"x=1", b"after=" + after.encode())
        return head + frame(TEXT, channel.encode())


class Bare(Frames):
    """A WebSocket that sends the id of its channel alone, as today's web application does."""

    has_ids, is_over = False, False

    def request(self, channel: str, after: str) -> bytes:
        """A handshake, and the channel."""
        return HANDSHAKE + frame(TEXT, channel.encode())


class Many(Frames):
    """A WebSocket that may follow many jobs."""

    has_ids, is_over = True, False

    def request(self, channel: str, after: str) -> bytes:
        """A handshake, and what it follows."""
        self._channel = b'"channel": "%b", ' % channel.encode()
        told = json.dumps({"follow": channel, "after": after}).encode()
        return HANDSHAKE.replace(b"x=1", b"jobs") + frame(TEXT, told)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The messages without their channel."""
        for opcode, payload in super().feed(data):
            yield opcode, payload.replace(self._channel, b"", 1)


class Events:
    """An event stream that resumes by ``after``."""

    has_ids, is_over = True, False

    def __init__(self) -> None:
        self._rest = b""
        self._id = b""

    def request(self, channel: str, after: str) -> bytes:
        """A request."""
        return _get(f"/events/{channel}?after={after}")

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The events, with their ids."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            name, _, value = line.strip().partition(b": ")
            if name == b"id":
                self._id = value
            elif name == b"data":
                has_id, self._id = self._id, b""
                yield TEXT, value[:-1] + b', "id": "%b"}' % has_id if has_id else value


class EventSource(Events):
    """An event stream that resumes by the header of browsers."""

    def request(self, channel: str, after: str) -> bytes:
        """A request."""
        return _get(f"/events/{channel}", *[f"Last-Event-ID: {after}"] * bool(after))


class Poll:
    """A long poll, which ends with the first answer."""

    has_ids, is_over = True, False

    def __init__(self) -> None:
        self._rest = b""

    def request(self, channel: str, after: str) -> bytes:
        """A request."""
        return _get(f"/channels/{channel}?after={after}&wait={WAIT}")

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """SUBSCRIBED, the messages, and END if there is one."""
        self._rest += data
        if not self._rest.rstrip().endswith(b"}"):
            return
        try:
            told = json.loads(self._rest)
        except ValueError:
            return
        self.is_over = True
        subscribed = {"command": "SUBSCRIBED", "recovered": told["recovered"]}
        ended = [{"command": "END"}] * bool(told["end"])
        for message in (subscribed, *told["messages"], *ended):
            yield TEXT, json.dumps(message).encode()


def _get(target: str, *headers: str) -> bytes:
    lines = (f"GET {target} HTTP/1.0", "Host: monitor.example", *headers, "", "")
    return "\r\n".join(lines).encode()


KINDS: tuple[type[Kind], ...] = (
    *(Events, Poll, Bare, Resuming),
    *(EventSource, Resuming, Many, Resuming),
)
"""In the order in which clients have them: every eighth client is of the same kind."""
