"""The broker's frames, and the JSON text that browsers get for them.

Both forms are the contract with programs that are deployed already: the frames come from the
ReCodEx broker, the text is what its web application parses, byte for byte as Python's
``json.dumps(..., sort_keys=True)`` writes it.
"""

import sys
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import NamedTuple

FINISHED = "FINISHED"
"""The command after which a job's channel ends; the last that a browser looks for."""

FAILED = "FAILED"
"""The job failed; from the broker itself it is the last message, from a worker it is not."""

_KEPT = 4
"""Frames that have a meaning: channel id, command, task id, task state."""


class Message(NamedTuple):
    """One progress message: the channel it is for, its command, and its JSON text."""

    channel_id: str
    command: str
    text: bytes


class MalformedMessage(ValueError):
    """Frames that make no message.

    Attributes:
        reason: one of a few fixed texts, so that it can be counted by.
    """

    def __init__(self, reason: str, frames: Sequence[bytes]) -> None:
        super().__init__(f"{reason}: {_shown(frames)}")
        self.reason = reason


def parse(frames: Sequence[bytes], max_channel_id: int = sys.maxsize) -> Message:
    """Make a message of the frames that follow the peer's identity.

    Args:
        frames: channel id, command and perhaps a task's id and state. More frames than that
            are ignored, but must be UTF-8 like the others.
        max_channel_id: bytes of a channel id.

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
    # The text is put together here since json.dumps takes ten times as long for the same bytes.
    text = f'{{"command": {_quoted(command)}'
    if details:
        text += f', "task_id": {_quoted(details[0])}'
        if len(details) > 1:
            text += f', "task_state": {_quoted(details[1])}'
    # Not by the class itself, which is a function of Python's own about it.
    return tuple.__new__(Message, (channel_id, command, f"{text}}}".encode("ascii")))


def finished(channel_id: str) -> Message:
    """The message that ends a job for today's browsers, whatever the broker said."""
    return parse([channel_id.encode(), FINISHED.encode()])


def _shown(frames: Sequence[bytes], limit: int = 40) -> str:
    """The frames as one printable line of bounded length."""
    shown = ", ".join(repr(bytes(frame[:limit])) for frame in frames[:_KEPT])
    cut = len(frames) > _KEPT or any(len(frame) > limit for frame in frames[:_KEPT])
    return f"[{shown}{', ...' if cut else ''}]"
