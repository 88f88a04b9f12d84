"""The close codes of WebSocket connections (RFC 6455, section 7.4)."""

from typing import NamedTuple

from recodex_monitor.channels.counters import OTHER

NORMAL = 1000
UNSUPPORTED = 1003
NO_CODE = 1005
"""Never sent: stands for a close frame without a code."""
LOST = 1006
"""Never sent: stands for a connection that ended without a close frame."""
POLICY = 1008
TOO_BIG = 1009
INTERNAL_ERROR = 1011
RESTART = 1012
TRY_LATER = 1013

_COUNTED = frozenset(
    {NORMAL, 1001, 1002, UNSUPPORTED, NO_CODE, LOST, 1007, POLICY, TOO_BIG, INTERNAL_ERROR}
    | {RESTART, TRY_LATER}
)


class Ending(NamedTuple):
    """How a connection has ended.

    Attributes:
        code: the close code as statistics count it, see ``counted_code``.
        why: the reason, for the log.
    """

    code: str
    why: str


def ending(ours: int | None, theirs: int | None, *, is_clean: bool) -> Ending:
    """Tell how a connection has ended.

    Args:
        ours: the code with which the monitor began to close it; None if it did not.
        theirs: the code that the client sent; None if it sent none.
        is_clean: whether both sides sent a close frame.
    """
    if ours is not None:
        return Ending(counted_code(ours), f"closed by us with {ours}")
    if is_clean:
        return Ending(counted_code(theirs), f"closed by the client with {theirs or 'no code'}")
    return Ending(counted_code(LOST), "the connection was lost")


def counted_code(code: int | None) -> str:
    """A close code as one of a few texts: the known codes, or OTHER. None is NO_CODE."""
    code = NO_CODE if code is None else code
    return str(code) if code in _COUNTED else OTHER
