"""The broker's side of a trial: connects as the broker does, and says why that fails."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

from recodex_monitor.settings.endpoints import Address, SocketFile, parsed_ip
from recodex_monitor.settings.schema import Settings, Zeromq
from recodex_monitor.tools.simulate import broker_socket, deliver

TIMEOUT = 5.0
"""Seconds within which the monitor must take a connection, and a message."""

_SUCCEEDED = zmq.EVENT_HANDSHAKE_SUCCEEDED
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_ALL = zmq.EVENT_CONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_CONNECT_RETRIED | _SUCCEEDED | _FAILED

_ANYWHERE = ("*", "0.0.0.0", "::")


class CannotPlay(Exception):
    """Why no job can be played: as a text, with what to do.

    Attributes:
        remedy: what to do.
        is_wrong: whether something is wrong; else a job of the doctor's is not allowed.
    """

    def __init__(self, seen: str, remedy: str, *, is_wrong: bool = True) -> None:
        super().__init__(seen)
        self.remedy = remedy
        self.is_wrong = is_wrong


def endpoint_of(settings: Settings, host: str = "") -> str:
    """Where a broker connects; ``host`` is another node's, as it is reached from here."""
    where = settings.zeromq_uri
    if isinstance(where, SocketFile):
        return f"ipc://{where.path}"
    if where.host in _ANYWHERE:
        here = "::1" if where.host == "::" else "127.0.0.1"
        where = Address(host or here, where.port)
    return f"tcp://{where}"


@contextmanager
def broker(endpoint: str, zeromq: Zeromq, curve: str | None) -> "Iterator[zmq.Socket[bytes]]":
    """A socket that is connected to the monitor, during the block.

    Args:
        endpoint: of the monitor.
        zeromq: who may be a broker there.
        curve: the file with a broker's key pair; None to make one up, if any will do.

    Raises:
        CannotPlay: the monitor does not take the connection.
    """
    _check(endpoint, zeromq, curve)
    monitors: list[zmq.Socket[bytes]] = []

    def prepare(socket: "zmq.Socket[bytes]") -> None:
        _use_curve(socket, zeromq, curve)
        monitors.append(socket.get_monitor_socket(_ALL))

    try:
        with broker_socket(endpoint, TIMEOUT, prepare) as socket:
            try:
                _wait(monitors[0], endpoint)
                # The monitor must know the connection before it gets the first message.
                time.sleep(0.2)
                yield socket
            finally:
                socket.disable_monitor()
                monitors[0].close(linger=0)
    except (TimeoutError, ValueError, zmq.ZMQError) as error:
        raise CannotPlay(str(error), "See the monitor's log.") from None


def send(socket: "zmq.Socket[bytes]", *frames: str) -> None:
    """Send a message.

    Raises:
        TimeoutError: the monitor does not take it.
    """
    deliver(socket, [frame.encode() for frame in frames], TIMEOUT)


def _check(endpoint: str, zeromq: Zeromq, curve: str | None) -> None:
    """Do not even try what would be refused, and counted as a broker's failure."""
    host = parsed_ip(endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]"))
    is_here = host is not None and host.is_loopback
    if is_here and not any(host in one for one in zeromq.allowed_networks):
        raise CannotPlay(
            "no job was played: zeromq.allowed_networks lets no broker of this machine connect",
            "Run this on the broker's machine, with --zmq tcp://MONITOR:PORT.",
            is_wrong=False,
        )
    if zeromq.curve_clients is not None and curve is None:
        raise CannotPlay(
            "no job was played: zeromq.curve_clients lets only brokers with certain keys connect",
            "Give the broker's key pair by --curve FILE.key_secret.",
            is_wrong=False,
        )


def _use_curve(socket: "zmq.Socket[bytes]", zeromq: Zeromq, curve: str | None) -> None:
    if zeromq.curve_key is None:
        return
    try:
        server, _ = zmq.auth.load_certificate(zeromq.curve_key)
        public, secret = zmq.auth.load_certificate(curve) if curve else zmq.curve_keypair()
    except (OSError, ValueError) as error:
        text = f"no job was played: a key for CURVE cannot be read: {error}"
        raise CannotPlay(text, "Run this as root or as the monitor's user.") from None
    socket.set(zmq.CURVE_SERVERKEY, server)
    socket.set(zmq.CURVE_PUBLICKEY, public)
    socket.set(zmq.CURVE_SECRETKEY, secret or b"")


def _wait(monitor: "zmq.Socket[bytes]", endpoint: str) -> None:
    """Wait for the end of the handshake."""
    seen = {"connected": False, "closed": False}
    deadline = time.monotonic() + TIMEOUT
    while (left := deadline - time.monotonic()) > 0:
        if not monitor.poll(int(left * 1000)):
            break
        event = recv_monitor_message(monitor)
        if event["event"] == _SUCCEEDED:
            return
        if event["event"] & _FAILED:
            raise CannotPlay(
                f"what listens at {endpoint} refused the connection of a broker",
                "Is it the monitor's zeromq_uri? See broker-refused in `recodex-monitor status`.",
            )
        seen["connected"] |= event["event"] == zmq.EVENT_CONNECTED
        if event["event"] == zmq.EVENT_CLOSED and not seen["connected"]:
            seen["closed"] = True
    raise _unreached(endpoint, seen)


def _unreached(endpoint: str, seen: dict[str, bool]) -> CannotPlay:
    if seen["connected"]:
        return CannotPlay(
            f"what listens at {endpoint} does not speak ZeroMQ, or does not answer",
            "Is it the monitor's zeromq_uri? If the monitor asks for CURVE, is its key known here?",
        )
    if seen["closed"]:
        return CannotPlay(
            f"nothing listens at {endpoint}",
            "Start the monitor. Set this address and port as the monitor's in the broker's "
            "configuration only if it is zeromq_uri.",
        )
    return CannotPlay(
        f"no answer from {endpoint} within {TIMEOUT:.0f} s: a firewall drops the connection",
        "Let the broker's machine connect to this port, as by `ufw allow from BROKER to any port "
        "7894 proto tcp`, or an nftables rule `tcp dport 7894 ip saddr BROKER accept`.",
    )
