"""Ends the connection of a client that, through no fault of its own, has not seen its job end.

Clients that know close codes get one. Today's web application does not: it only listens for
``error``. Which frame makes all browsers fire that was measured, see docs/protocol.md.
"""

from typing import Any

FAILURE = b"\x83\x00"
"""A frame of a reserved opcode, which makes every browser fail the connection and fire ``error``.

No close code does that in all of them, nor does the end of TCP.
"""

STOPPING = b"the monitor stops"
"""The reason that is sent with 1012."""


def end_early(connection: Any, code: int, reason: bytes) -> None:
    """End the connection of a client: fail that of a page without ids, close any other.

    Args:
        connection: a ``websocket.SubscriberProtocol``.
        code: the close code.
        reason: sent with the code.
    """
    if not fail(connection, code):
        connection.sendCloseFrame(code, reason)


def fail(connection: Any, code: int | None = None) -> bool:
    """Fail the connection of a page without ids, if ``clients.fail_browsers`` asks for that.

    Args:
        connection: see ``end_early``.
        code: of the close frame in whose place it is, for statistics; None where the connection
            would have been cut, and counts as lost.

    Returns:
        Whether the connection was failed, now or earlier.
    """
    subscriber = connection.subscriber
    is_page = subscriber is not None and subscriber.is_plain_page
    if not is_page or not connection.factory.settings.clients.fail_browsers:
        return False
    if connection.state == connection.STATE_OPEN:
        if code is None:
            subscriber.pauseProducing()
        else:
            subscriber.unsubscribe()
            connection.closedByMe, connection.localCloseCode = True, code
        connection.factory.keepalive.closing(subscriber)
        connection.transport.write(FAILURE)
        connection.dropConnection()
    return True
