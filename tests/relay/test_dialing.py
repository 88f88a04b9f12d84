"""Dialing: the server that is used is a primary that can be."""

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay.connection import EngineAway, EngineConnection, packed
from recodex_monitor.relay.dialing import GRACE, Dialer, Facts, Session, facts_of, why_unfit
from recodex_monitor.relay.layout import Keys
from recodex_monitor.settings.engines import EngineAddress

INFO = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\nrun_id:r\r\n"


class Server:
    """Replies to commands as soon as they come; what it has no reply to is never answered."""

    def __init__(self, role: str = "master") -> None:
        info = f"{INFO}role:{role}\r\n".encode()
        self.replies = {
            "INFO": b"$%d\r\n%b\r\n" % (len(info), info),
            "GET": b"$1\r\n1\r\n",
            "HGET": b"$-1\r\n",
            **dict.fromkeys(("SET", "CLIENT", "SELECT", "AUTH"), b"+OK\r\n"),
        }
        self.heard: list[bytes] = []

    def connect(self, factory: Any) -> "Deferred[EngineConnection]":
        """Accept a connection."""
        link: EngineConnection = factory.buildProtocol(None)
        transport: Any = StringTransport()
        transport.write = lambda data: self.write(link, data)
        transport.abortConnection = transport.loseConnection
        link.makeConnection(transport)
        return succeed(link)

    def write(self, link: EngineConnection, data: bytes) -> None:
        """Reply to a command."""
        self.heard.append(data)
        name = data.split(b"\r\n")[2].decode()
        if name in self.replies:
            link.dataReceived(self.replies[name])


class Refusing(Server):
    """Nothing listens there."""

    def connect(self, factory: Any) -> "Deferred[EngineConnection]":
        """Refuse."""
        return fail(Refused())


class FactTests(SynchronousTestCase):
    """What a server says about itself."""

    def test_names(self) -> None:
        """Valkey says which version of Redis it is compatible with, and its own."""
        facts = facts_of(INFO.encode())
        self.assertEqual((facts.name, facts.version, facts.run), ("Valkey 8.1.1", "7.2.4", "r"))
        self.assertEqual(facts_of(b"redis_version:6.2.1\r\n").name, "Redis 6.2.1")

    def test_unfit(self) -> None:
        """Replicas, old servers and those that drop keys are not used."""
        fit = Facts("7.0.15", role="master", policy="noeviction", name="Redis 7.0.15")
        self.assertIsNone(why_unfit(fit))
        for change, why in (
            ({"role": "slave"}, "replica"),
            ({"version": "6.0.16", "name": "Redis 6.0.16"}, "it is Redis 6.0.16"),
            ({"policy": "allkeys-lru"}, "noeviction"),
        ):
            self.assertIn(why, why_unfit(fit._replace(**change)) or "")  # type: ignore[arg-type]


class DialTests(SynchronousTestCase):
    """Which server is used."""

    def dial(self, *servers: Server, **address: Any) -> "Deferred[Session]":
        """Dial these servers."""
        self.clock = Clock()
        addresses = [EngineAddress(str(number), 1, **address) for number in range(len(servers))]

        class Dialing(Dialer):
            def _endpoint(self, address: EngineAddress) -> Any:
                return servers[int(address.host)]

        dialer = Dialing(addresses, "of the file", Keys("rx"), 3.0, self.clock)
        return ensureDeferred(dialer.dial())

    def test_first_primary(self) -> None:
        """Those that are away, replicas, or do not answer are passed over."""
        silent, primary = Server(), Server()
        silent.replies.clear()  # Others wait for it, but not for long.
        dialing = self.dial(Refusing(), Server("slave"), silent, primary)
        self.assertNoResult(dialing)
        self.clock.advance(GRACE)
        session = self.successResultOf(dialing)
        self.assertEqual((session.address.host, session.facts.run), ("3", "r"))
        self.assertIsNot(session.commands, session.messages)

    def test_latest_owner(self) -> None:
        """Of two primaries, one of which was cut off from the other, the later one is used."""
        old, new = Server(), Server()
        old.replies["HGET"], new.replies["HGET"] = b"$1\r\n3\r\n", b"$1\r\n4\r\n"
        for servers in ((old, new), (new, old)):
            session = self.successResultOf(self.dial(*servers))
            self.assertIs(servers[int(session.address.host)], new)

    def test_none(self) -> None:
        """If there is none, the error has a reason for each."""
        error = self.failureResultOf(self.dial(Refusing(), Server("slave")), EngineAway)
        self.assertIn("Connection was refused", str(error.value))
        self.assertIn("it is a replica", str(error.value))

    def test_log_in(self) -> None:
        """The user and the password of the address come before the file's."""
        server = Server()
        self.successResultOf(self.dial(server, user="me", password="secret", database=2))
        self.assertEqual(server.heard[0], packed(("AUTH", "me", "secret")))
        self.assertEqual(server.heard[1], packed(("SELECT", 2)))
        server = Server()
        self.successResultOf(self.dial(server))
        self.assertEqual(server.heard[0], packed(("AUTH", "of the file")))

    def test_refused(self) -> None:
        """A wrong password and another layout are told."""
        for replies, why in (
            ({"AUTH": b"-WRONGPASS invalid\r\n"}, "WRONGPASS"),
            ({"GET": b"$2\r\n99\r\n"}, "rx:meta is 99"),
        ):
            server = Server()
            server.replies |= replies
            error = self.failureResultOf(self.dial(server), EngineAway)
            self.assertIn(why, str(error.value))
