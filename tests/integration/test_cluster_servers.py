"""Servers that join nodes: by TLS, a Unix socket, with users, of another make, and replicas."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock
from urllib.parse import quote

from twisted.trial.unittest import SkipTest

from recodex_monitor.relay import probing
from recodex_monitor.settings.engines import EngineAddress
from tests.integration.cluster import Cluster, Link, Node, until
from tests.integration.support import free_ports
from tests.integration.test_cluster import ClusterTestCase, Speaking
from tests.support.certificates import Authority
from tests.support.engine import EngineServer

PASSWORD = "p@ss/word:#1"


class ServerTestCase(ClusterTestCase):
    """Nodes whose engine is something else than usual."""

    def server(self, *options: str, program: str = "") -> EngineServer:
        """A server that runs until the test ends."""
        server = EngineServer(*options, program=program)
        self.addCleanup(server.stop)
        return server.start()

    def debian(self, *options: str) -> EngineServer:
        """A server of the distribution."""
        program = shutil.which("redis-server")
        if program is None:
            raise SkipTest("redis-server is not installed")
        return self.server(*options, program=program)

    def folder(self) -> Path:
        """A folder that is removed after the test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    @contextmanager
    def nodes(self, server: EngineServer, **cluster: object) -> Iterator[Cluster]:
        """Two nodes with this section of the settings."""
        with ExitStack() as stack:
            folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2)]
            nodes = [
                Node(folder, f"node-{number}", "", cluster=cluster)
                for number, folder in enumerate(folders)
            ]
            for node in nodes:
                node.start()
                stack.callback(node.stop, 9)
            yield Cluster(server, nodes, {})

    def play(self, cluster: Cluster, fault: Callable[[], object] = lambda: None) -> None:
        """Play a job, with a fault in the middle, to followers of both nodes."""
        owner = cluster.owner()
        speaking = Speaking(owner)

        def play() -> None:
            speaking.tasks("job", 0, 100, 0.001)
            fault()
            speaking.tasks("job", 100, 200, 0.005)
            speaking.finish("job")

        self.check(self.followed(cluster, "job", play), 200)
        speaking.close()

    def address(self, node: Node) -> str:
        """The server that a node uses, as its status says."""
        engine = node.told("/api/status")["cluster"]["engine"]
        return str(engine["address"]) if engine["up"] else ""


class LinkTests(ServerTestCase):
    """Ways to a server."""

    def test_distribution(self) -> None:
        """The distribution's server is as good, and its own version is shown."""
        server = self.debian()
        with self.nodes(server, engine=server.url) as cluster:
            self.play(cluster)
            told = cluster.nodes[0].told("/api/status")["cluster"]["engine"]["version"]
            self.assertEqual(told, f"Redis {version_of(server, 'redis_version')}")

    def test_valkey(self) -> None:
        """Valkey's own version is shown, and not that of Redis with which it is compatible."""
        server = self.server()
        with self.nodes(server, engine=server.url) as cluster:
            told = cluster.nodes[0].told("/api/status")["cluster"]["engine"]["version"]
            self.assertEqual(told, f"Valkey {version_of(server, 'valkey_version')}")

    def test_tls(self) -> None:
        """A link may be encrypted, the server's certificate is checked, and a user logs in."""
        authority, (port,) = Authority(self.folder()), free_ports(1)
        files = ("--tls-cert-file", authority.settings["certificate"])
        key = ("--tls-key-file", authority.settings["key"], "--tls-auth-clients", "no")
        server = self.debian("--tls-port", str(port), *files, *key)
        rights = ("~rx:*", "&rx:*", "+@all")
        server.ask("ACL", "SETUSER", "monitor", "on", f">{PASSWORD}", *rights)
        url = f"rediss://monitor:{quote(PASSWORD, safe='')}@localhost:{port}"
        address = EngineAddress("localhost", port, tls=True, user="monitor", password=PASSWORD)
        with mock.patch.dict(os.environ, SSL_CERT_FILE=str(authority.root)):
            self.assertEqual([*probing.probe((address,), None, "rx")], [])
            with self.nodes(server, engine=url) as cluster:
                self.play(cluster)
                clients = str(server.ask("CLIENT", "LIST"))
                self.assertEqual(clients.count("user=monitor"), 4)
                self.assertNotIn(PASSWORD, cluster.nodes[0].logged())

    def test_strange_certificate(self) -> None:
        """A server whose certificate is not known is not used."""
        authority, (port,) = Authority(self.folder()), free_ports(1)
        files = ("--tls-cert-file", authority.settings["certificate"])
        key = ("--tls-key-file", authority.settings["key"], "--tls-auth-clients", "no")
        server = self.debian("--tls-port", str(port), *files, *key)
        (problem,) = probing.probe((EngineAddress("localhost", port, tls=True),), None, "rx")
        self.assertIn("certificate verify failed", problem.text)
        with self.nodes(server, engine=f"rediss://localhost:{port}") as cluster:
            cluster.nodes[0].require_logged("certificate verify failed")
            self.assertEqual(cluster.nodes[0].asked("/readyz"), 503)

    def test_unix_socket(self) -> None:
        """The server may be on the same machine, with a password from a file."""
        folder = self.folder()
        path, file = folder / "engine.sock", folder / "password"
        file.write_text(f"{PASSWORD}\n")
        server = self.debian("--unixsocket", str(path))
        server.ask("CONFIG", "SET", "requirepass", PASSWORD)
        with self.nodes(server, engine=f"unix:{path}", password_file=str(file)) as cluster:
            self.play(cluster)
            self.assertEqual(self.address(cluster.nodes[0]), f"unix:{path}")


class ReplicaTests(ServerTestCase):
    """A list of servers, of which one is the primary."""

    def setUp(self) -> None:
        """Start a primary and its replica, and make links to them that can be cut."""
        self.primary = self.server()
        options = ("--replicaof", "127.0.0.1", str(self.primary.port))
        self.replica = self.server(*options)
        self.links = [Link(self.primary), Link(self.replica)]
        for link in self.links:
            self.addCleanup(link.close)
        until(lambda: "master_link_status:up" in str(self.replica.ask("INFO")))

    def promote(self) -> None:
        """Make the replica a primary."""
        self.replica.ask("REPLICAOF", "NO", "ONE")

    def play_fault(self, fault: Callable[[], object]) -> None:
        """Play a job while the replica is promoted; in the end all use it."""
        addresses = [link.address for link in self.links]
        with self.nodes(self.primary, engine=addresses) as cluster:
            until(lambda: [*map(self.address, cluster.nodes)] == addresses[:1] * 2)
            self.play(cluster, fault)
            until(lambda: [*map(self.address, cluster.nodes)] == addresses[1:] * 2)

    def test_primary_dies(self) -> None:
        """The first server refuses, and the next is no primary yet: it is asked again."""

        def fault() -> None:
            self.primary.kill()
            time.sleep(1)
            self.promote()

        self.play_fault(fault)

    def test_primary_is_cut_off(self) -> None:
        """A primary that is there again, and does not know that it is none any more, is left."""

        def fault() -> None:
            self.links[0].stop()
            self.promote()
            time.sleep(1)
            self.links[0].start()

        self.play_fault(fault)

    def test_demoted(self) -> None:
        """A primary that becomes a replica is left at once."""

        def fault() -> None:
            self.promote()
            self.primary.ask("REPLICAOF", "127.0.0.1", str(self.replica.port))

        self.play_fault(fault)


def version_of(server: EngineServer, name: str) -> str:
    """A version that a server tells."""
    lines = str(server.ask("INFO")).splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith(f"{name}:"))
