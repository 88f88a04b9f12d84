"""Real servers that may be the engine of a cluster, or may not."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay import probing
from recodex_monitor.settings.engines import EngineAddress
from tests.support.engine import EngineServer


class ProbeTests(SynchronousTestCase):
    """What `recodex-monitor check --connect` finds."""

    def server(self, *options: str) -> EngineServer:
        """A server that runs until the test ends."""
        server = EngineServer(*options).start()
        self.addCleanup(server.stop)
        return server

    def found(self, *addresses: EngineAddress, password: str | None = None) -> list[str]:
        """What is found."""
        return [one.text for one in probing.probe(addresses, password, "rx")]

    def test_usable(self) -> None:
        """A new server has nothing wrong, and is not changed."""
        server = self.server()
        self.assertEqual(self.found(EngineAddress("127.0.0.1", server.port)), [])
        self.assertEqual(server.ask("DBSIZE"), 0)

    def test_unfit(self) -> None:
        """A server that may drop keys, or has another layout, is no engine."""
        server = self.server("--maxmemory-policy", "allkeys-lru")
        address = EngineAddress("127.0.0.1", server.port)
        self.assertIn("set its maxmemory-policy to noeviction", self.found(address)[0])
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        server.ask("SET", "rx:meta", "99")
        self.assertIn("rx:meta is 99, not 1", self.found(address)[0])

    def test_password(self) -> None:
        """A wrong password and a missing one are told apart from a server that is away."""
        server = self.server()
        server.ask("CONFIG", "SET", "requirepass", "right")
        address = EngineAddress("127.0.0.1", server.port)
        self.assertEqual(self.found(address, password="right"), [])
        self.assertIn("WRONGPASS", self.found(address, password="wrong")[0])
        self.assertIn("NOAUTH", self.found(address)[0])

    def test_list(self) -> None:
        """Of several servers one has to be a primary; those that are away are noted."""
        primary = self.server()
        replica = self.server("--replicaof", "127.0.0.1", str(primary.port))
        here, there = (EngineAddress("127.0.0.1", one.port) for one in (primary, replica))
        away = EngineAddress("127.0.0.1", 1)
        self.assertEqual(self.found(there, here), [])
        self.assertIn("it is a replica", self.found(there)[0])
        self.assertIn("none of the servers is a primary", self.found(there, away)[-1])

    def test_no_engine(self) -> None:
        """Something else that listens is told as such."""
        self.assertIn("refused", self.found(EngineAddress("127.0.0.1", 1))[0])
