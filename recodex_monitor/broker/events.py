"""ZeroMQ's events about the connections of a socket: what each says of the peers.

See the manual of ``zmq_socket_monitor``; an event is a number and a value, then our address.
"""

from errno import EPIPE
from struct import unpack

import zmq

from recodex_monitor.broker.peers import CURVE, HUNG_UP, NO_CURVE, NO_ZEROMQ, SERVER_KEY, Peers

_ACCEPTED = zmq.EVENT_ACCEPTED
_SUCCEEDED, _DISCONNECTED = zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_DISCONNECTED
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
_FAILED = (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, _REFUSED)

WATCHED = int(_ACCEPTED | _SUCCEEDED | _DISCONNECTED | _FAILED[0] | _FAILED[1] | _FAILED[2])
"""The events that are of interest."""


def apply(event_frame: bytes, peers: Peers, *, wants_curve: bool) -> None:
    """Apply an event to the count of peers.

    Args:
        event_frame: the event's first frame. Its value is the connection's descriptor, or why a
            handshake failed.
        peers: counts them.
        wants_curve: whether they must use CURVE.
    """
    event, value = unpack("=HI", event_frame)
    if event == _ACCEPTED:
        peers.accept(value)
    elif event == _SUCCEEDED:
        peers.handshake_succeeded()
    elif event == _DISCONNECTED:
        peers.disconnect(value)
    elif event in _FAILED:
        peers.handshake_failed(None if event == _REFUSED else _cause(value, wants_curve))


def _cause(value: int, wants_curve: bool) -> str:
    if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
        return NO_CURVE if wants_curve else CURVE
    if value == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
        return SERVER_KEY
    # Whichever side sees first that the mechanisms differ hangs up.
    return HUNG_UP if value == EPIPE and wants_curve else NO_ZEROMQ
