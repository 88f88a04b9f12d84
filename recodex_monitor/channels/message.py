"""Messages: from the broker's ZeroMQ frames to the JSON text that clients get.

Both forms are contracts with deployed programs: the ReCodEx broker sends the frames, and its web
application parses the text, which is byte for byte what Python's ``json.dumps(...,
sort_keys=True)`` writes.
"""

import sys
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import NamedTuple

FINISHED = "FINISHED"
"""The command that ends a job's channel; the last that the web application waits for."""

FAILED = "FAILED"
"""The job failed. It is the last message if the broker says so; a worker sends FINISHED too."""

_KNOWN_FRAMES = 4
"""Frames of a message that mean something: channel id, command, task id, task state."""


class Message(NamedTuple):
    """A progress message: the id of its channel, its command, and its JSON text."""

    channel_id: str
    command: str
    text: bytes


class MalformedMessage(ValueError):
    """The frames are not a message.

    Attributes:
        reason: one of a few fixed texts, to count by.
    """

    def __init__(self, reason: str, frames: Sequence[bytes]) -> None:
        super().__init__(f"{reason}: {_shown(frames)}")
        self.reason = reason


def parse(frames: Sequence[bytes], max_channel_id: int = sys.maxsize) -> Message:
    """Make a message of the frames that follow the peer's identity.

    Args:
        frames: channel id, command and optionally a task's id and state. More frames are ignored,
            but must be UTF-8 like the others.
        max_channel_id: the limit for the channel id, in bytes.

    Raises:
        MalformedMessage: there is no command, the channel id is empty or too long, or a frame is
            not UTF-8.
    """
    try:
        channel_id, command, *details = map(bytes.decode, frames)
    except UnicodeDecodeError:
        raise MalformedMessage("a frame that is not UTF-8", frames) from None
    except ValueError:
        raise MalformedMessage("no command frame", frames) from None
    if not channel_id:
        raise MalformedMessage("an empty channel id", frames)
    if len(frames[0]) > max_channel_id:
        raise MalformedMessage("a channel id that is too long", frames)
    # The text is built by hand because json.dumps takes ten times as long for the same bytes.
    text = f'{{"command": {_quoted(command)}'
    if details:
        text += f', "task_id": {_quoted(details[0])}'
        if len(details) > 1:
            text += f', "task_state": {_quoted(details[1])}'
    # Bypasses NamedTuple's Python-level __new__, for speed.
    return tuple.__new__(Message, (channel_id, command, f"{text}}}".encode("ascii")))


def finished(channel_id: str) -> Message:
    """The message that ends a channel for the web application, where the broker sent none."""
    return parse([channel_id.encode(), FINISHED.encode()])


def _shown(frames: Sequence[bytes], limit: int = 40) -> str:
    """The frames as a printable line of bounded length."""
    shown = ", ".join(repr(bytes(frame[:limit])) for frame in frames[:_KNOWN_FRAMES])
    cut = len(frames) > _KNOWN_FRAMES or any(len(frame) > limit for frame in frames[:_KNOWN_FRAMES])
    return f"[{shown}{', ...' if cut else ''}]"
