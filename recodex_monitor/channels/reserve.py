"""The reserve of a full channel, for the few messages that decide how its job went.

Without FAILED, or the attempt that begins after it, followers would see another outcome than the
monitor counts, and a restart, which finds the outcome in the log, would change it.
"""

from recodex_monitor.channels.attempts import OUTCOME
from recodex_monitor.channels.channel import Channel
from recodex_monitor.settings.schema import Limits

RESERVED_MESSAGES = 20
RESERVED_BYTES = 16 * 1024
RESERVED_HISTORY = 0.01
"""How far each limit may be exceeded; that of all histories by a part of it."""


def may_exceed(
    channel: Channel,
    command: str,
    limits: Limits,
    history_bytes: int,
    waiting: tuple[int, int] = (0, 0),
) -> bool:
    """Whether a full channel takes a message all the same.

    Args:
        channel: is full.
        command: of the message.
        limits: to be exceeded.
        history_bytes: the size of all logs together.
        waiting: messages and bytes that are to be appended to the channel before it.
    """
    count, size = waiting
    return (
        command in OUTCOME
        and channel.count + count < limits.max_channel_messages + RESERVED_MESSAGES
        and len(channel.log) + size < limits.max_channel_bytes + RESERVED_BYTES
        and history_bytes + size < limits.max_history_bytes * (1 + RESERVED_HISTORY)
    )
