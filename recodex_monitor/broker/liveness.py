"""How ZeroMQ notices that a broker's machine or network has failed without closing anything."""

import zmq


def notice_vanished(socket: "zmq.Socket[bytes]", timeout: float) -> None:
    """Have connections to vanished machines ended; call it before the socket is bound.

    A peer that is silent is pinged, and TCP gives up if no acknowledgement comes. Answers to pings
    are not waited for: ZMTP 3.0 has none, and while we cannot read, they are not read either.
    Closing a connection for that would lose messages.

    Args:
        socket: the broker's socket.
        timeout: seconds until a peer is noticed to have vanished; TCP may take a few more.
    """
    quarter = timeout / 4
    socket.set(zmq.HEARTBEAT_IVL, int(quarter * 1000))
    socket.set(zmq.HEARTBEAT_TIMEOUT, 0)
    socket.set(zmq.TCP_MAXRT, int(3 * quarter * 1000))
    # For connections whose handshake is not done yet, which are not pinged.
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, int(quarter))
    socket.set(zmq.TCP_KEEPALIVE_INTVL, int(quarter))
    socket.set(zmq.TCP_KEEPALIVE_CNT, 3)
