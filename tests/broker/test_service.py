"""The service around the sockets: start, stop, and where it listens."""

import errno
import os
import socket
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import zmq
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker import service
from recodex_monitor.broker.service import BrokerService
from recodex_monitor.channels.message import Message
from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.schema import LiveSettings


class FakeSockets:
    """The sockets; those of ``taken`` cannot be bound."""

    def __init__(self, taken: Sequence[object], publish: Any) -> None:
        self.bound: list[object] = []
        self.publish = publish
        self.did: list[str] = []
        self.dropped = SimpleNamespace(counts=Counter(reason=1))
        self.connection = self
        self.options: dict[int, int] = {}
        self.socket = SimpleNamespace(set=self.options.__setitem__)
        self._taken = taken

    def bind(self, address: Address) -> Address:
        """Bind, to 49152 where the system picks the port."""
        if address in self._taken:
            raise zmq.ZMQError(errno.EADDRINUSE)
        self.bound.append(address)
        return Address(address.host, address.port or 49152)

    def bind_file(self, file: SocketFile) -> None:
        """Bind to a file, which is then there."""
        with open(file.path, "x"):
            self.bound.append(file)

    def read_events(self) -> None:
        """Read events."""
        self.did.append("read events")

    def close(self) -> None:
        """Close."""
        self.did.append("close")


def publish(messages: list[Message], *, more: bool = False) -> None:
    """Publish nothing."""


def publish_aloud(messages: list[Message], *, more: bool = False) -> None:
    """Publish nothing either."""


class ServiceTests(SynchronousTestCase):
    """A service with sockets that only note what is done with them."""

    def start(self, address: Address | SocketFile, *taken: object) -> None:
        """Start it."""

        def make(settings: object, publish: object, *others: object) -> FakeSockets:
            self.sockets = FakeSockets(taken, publish)
            return self.sockets

        def drain(drained: object, count_ended: Any) -> None:
            self.assertIs(drained, self.sockets)
            self.sockets.did.append(f"drain {count_ended()}")

        self.patch(service, "Sockets", make)
        self.patch(service, "drain", drain)
        self.patch(service, "resolve", self.resolve)
        self.service = BrokerService(address, LiveSettings(), publish)
        self.service.startService()

    def resolve(self, address: Address) -> list[Address]:
        """Resolve every name to the two addresses of a host."""
        return [Address(host, address.port) for host in ("127.0.0.1", "::1")]

    def test_addresses(self) -> None:
        """It listens on all addresses of a name."""
        self.start(Address("localhost", 7894))
        self.assertEqual(self.service.addresses, [Address("127.0.0.1", 7894), Address("::1", 7894)])
        self.assertTrue(self.service.running)
        self.assertEqual(self.service.dropped, {"reason": 1})

    def test_picked_port(self) -> None:
        """Where the system picks the port, it is the same on all addresses."""
        self.start(Address("localhost", 0))
        self.assertEqual(self.sockets.bound, [Address("127.0.0.1", 0), Address("::1", 49152)])

    def test_peer_timeout(self) -> None:
        """Brokers that vanish are noticed, by the time that is set."""
        self.start(Address("localhost", 0))
        self.assertEqual(self.sockets.options[zmq.TCP_MAXRT], 45_000)

    def test_taken(self) -> None:
        """If one address is taken, the error names it, and all sockets are closed."""
        with self.assertRaises(OSError) as raised:
            self.start(Address("localhost", 7894), Address("::1", 7894))
        text = "cannot listen for the broker on [::1]:7894: Address already in use"
        self.assertEqual(raised.exception.strerror, text)
        self.assertEqual((self.sockets.did, self.service.running), (["close"], False))

    def test_stop(self) -> None:
        """A stop drains the connection, then closes it; the second one does nothing."""
        self.start(Address("localhost", 0))
        self.service.stopService()
        self.service.stopService()
        self.assertEqual(self.sockets.did, ["read events", "drain 0", "close"])
        self.assertEqual(self.service.addresses, [])

    def test_file(self) -> None:
        """A stop removes the socket file, also where it has been removed already."""
        file = SocketFile(os.path.abspath(self.mktemp()), "ipc")
        for remove in (os.path.exists, os.unlink):
            self.start(file)
            self.assertEqual(self.service.addresses, [file])
            remove(file.path)
            self.service.stopService()
            self.assertFalse(os.path.exists(file.path))

    def test_publish_by(self) -> None:
        """Another function publishes from then on, after a restart, too."""
        self.start(Address("localhost", 0))
        self.assertIs(self.sockets.publish, publish)
        self.service.publish_by(publish_aloud)
        self.assertIs(self.sockets.publish, publish_aloud)
        self.service.stopService()
        self.service.startService()
        self.assertIs(self.sockets.publish, publish_aloud)

    def test_no_descriptors(self) -> None:
        """Where no socket can be made, the error says why."""

        def fail(*_: object) -> FakeSockets:
            raise zmq.ZMQError(errno.EMFILE)

        self.patch(service, "Sockets", fail)
        self.patch(service, "resolve", self.resolve)
        made = BrokerService(Address("localhost", 0), LiveSettings(), publish)
        error = self.assertRaises(OSError, made.startService)
        self.assertEqual(error.strerror, "cannot make a socket: Too many open files")
        self.assertFalse(made.running)

    def test_unknown_name(self) -> None:
        """A name that is not known is an error before any socket is made."""

        def fail(address: Address) -> list[Address]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        self.resolve = fail  # type: ignore[method-assign]
        self.assertRaises(OSError, self.start, Address("missing.invalid", 0))
        self.assertFalse(hasattr(self, "sockets"))
