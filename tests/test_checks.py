"""What would keep a monitor from starting."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import checks
from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.engines import EngineAddress
from recodex_monitor.settings.schema import Cluster, History, Logger, Settings, Tls, Zeromq
from tests.test_cli import CommandTestCase


class FindTests(SynchronousTestCase):
    """Findings of settings."""

    def setUp(self) -> None:
        """Make a folder."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def mistakes(self, **settings: object) -> list[str]:
        """The mistakes of settings, all other ports free."""
        return list(self.texts(True, **settings))

    def notes(self, **settings: object) -> list[str]:
        """The notes."""
        return list(self.texts(False, **settings))

    def texts(self, are_mistakes: bool, **settings: object) -> Iterator[str]:
        """The findings of one kind."""
        free = {name: Address("127.0.0.1", 0) for name in ("websocket_uri", "zeromq_uri")}
        made = Settings(**{**free, **settings})  # type: ignore[arg-type]
        return (text for text, is_mistake in checks.find(made) if is_mistake == are_mistakes)

    def test_nothing(self) -> None:
        """Settings that can be used have no findings."""
        self.assertEqual((self.mistakes(), self.notes()), ([], []))
        log, history = str(self.folder / "log"), str(self.folder / "history")
        self.assertEqual(self.mistakes(logger=Logger(log), history=History(history)), [])
        self.assertEqual(os.listdir(self.folder), [])

    def test_files(self) -> None:
        """Files that cannot be used are named with their keys, all of them at once."""
        missing = str(self.folder / "missing" / "file")
        found = self.mistakes(
            logger=Logger(missing),
            websocket_tls=Tls(missing, missing),
            zeromq=Zeromq(curve_key=missing),
            history=History(missing),
        )
        keys = ["logger.file", "websocket_tls.certificate", "zeromq.curve_key", "history.file"]
        self.assertEqual([text.partition(":")[0] for text in found], keys)
        for text in found:
            self.assertIn(str(self.folder / "missing"), text)

    def test_cluster(self) -> None:
        """The password file of a cluster has to be there; the engine is asked only if asked to."""
        engine = (EngineAddress("127.0.0.1", 1),)
        missing = str(self.folder / "missing")
        (text,) = self.mistakes(cluster=Cluster(engine, password_file=missing))
        self.assertTrue(text.startswith(f"cluster.password_file: cannot read {missing}"), text)
        self.assertEqual(self.mistakes(cluster=Cluster(engine)), [])
        made = Settings(cluster=Cluster(engine))
        (found,) = (one for one in checks.find(made, connects=True) if "engine" in one.text)
        self.assertEqual(found.text, "cluster.engine: redis://127.0.0.1:1: Connection refused")

    def test_unknown_host(self) -> None:
        """A host name that cannot be resolved is a mistake of its key."""
        for key in ("websocket_uri", "zeromq_uri", "status_uri"):
            (text,) = self.mistakes(**{key: Address("no-such-host.invalid", 1)})
            self.assertTrue(text.startswith(f"{key}: cannot find the host no-such-host.invalid"))

    def test_other_machine(self) -> None:
        """An address of another machine is a mistake, unless systemd may pass its socket."""
        self.patch(os, "environ", {})
        (text,) = self.mistakes(websocket_uri=Address("192.0.2.1", 4567))
        expected = "websocket_uri: cannot listen on 192.0.2.1:4567: Cannot assign requested address"
        self.assertEqual(text, expected)
        os.environ["INVOCATION_ID"] = "1"
        self.assertEqual(self.mistakes(websocket_uri=Address("192.0.2.1", 4567)), [])
        self.assertEqual(len(self.mistakes(zeromq_uri=Address("192.0.2.1", 4567))), 1)

    def test_port_taken(self) -> None:
        """A port that is taken is a note: a monitor may be running."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = Address(*taken.getsockname())
            self.assertEqual(self.mistakes(zeromq_uri=address), [])
            (text,) = self.notes(zeromq_uri=address)
        expected = f"zeromq_uri: {address} is in use, perhaps by a monitor that runs"
        self.assertEqual(text, expected)

    def test_port_of_systemd(self) -> None:
        """In a unit the public port is systemd's own, so nothing is noted; others' ports are."""
        os.environ["INVOCATION_ID"] = "1"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = Address(*taken.getsockname())
            self.assertEqual(self.notes(websocket_uri=address), [])
            self.assertEqual(len(self.notes(zeromq_uri=address)), 1)

    def test_same_by_name(self) -> None:
        """Names of the same address collide."""
        self.patch(checks, "resolve", lambda address: [Address("127.0.0.1", address.port)])
        self.patch(checks, "_address", lambda key, address: [])
        (text,) = self.mistakes(zeromq_uri=Address("a", 1), status_uri=Address("b", 1))
        expected = (
            "status_uri: 127.0.0.1:1 is taken by zeromq_uri; each needs an address of its own"
        )
        self.assertEqual(text, expected)

    def test_socket_files(self) -> None:
        """A socket file needs a folder, and nothing else in its place; /run comes with the unit."""
        path = self.folder / "socket"
        self.assertEqual(self.mistakes(websocket_uri=SocketFile(str(path), "unix")), [])
        path.touch()
        for file, why in ((path, "exists, and is no socket"), (path / "a", "is not a folder")):
            (text,) = self.mistakes(websocket_uri=SocketFile(str(file), "unix"))
            self.assertIn(why, text)
        missing = SocketFile(str(self.folder / "missing" / "a"), "unix")
        (text,) = self.mistakes(websocket_uri=missing)
        self.assertIn("missing: No such file or directory", text)
        self.assertEqual(self.mistakes(websocket_uri=SocketFile("/run/no-such-unit/a", "unix")), [])


class CommandTests(CommandTestCase):
    """The command ``check``."""

    def check(self, text: str, *options: str) -> tuple[int, list[str]]:
        """Check a file; returns the exit code and the lines of errors, without the file's name."""
        config = Path(self.mktemp())
        config.write_text(text)
        code, _, errors = self.run_command("check", "-c", str(config), *options)
        return code, errors.replace(str(config), "F").splitlines()

    def test_located(self) -> None:
        """Each mistake has the file and the line of its key, also of a key that is merged."""
        text = """
websocket_tls:
  certificate: /missing/cert
  key: /missing/key
history: {<<: {file: /missing/history}}
zeromq_uri: [no-such-host.invalid, 7894]
logger:
  level: info
  file: /missing/log
"""
        code, errors = self.check(text)
        self.assertEqual(code, 1)
        starts = [
            "F:9: logger.file: cannot write /missing/log: No such file or directory",
            "F:3: websocket_tls.certificate: cannot read /missing/cert",
            "F:5: history.file: cannot write /missing: No such file or directory",
            "F:6: zeromq_uri: cannot find the host no-such-host.invalid",
        ]
        self.assertEqual(
            [line[: len(one)] for line, one in zip(errors, starts, strict=True)], starts
        )

    def test_default_taken(self) -> None:
        """Where a default is taken, the mistake is at the line of the key that takes it."""
        for text, start in (
            ("status_uri: [127.0.0.1, 4568]\nwebsocket_uri: ['*', 7894]", "F:2: zeromq_uri: "),
            ("websocket_uri: [localhost, 7894]", "F:1: zeromq_uri: "),
            ("zeromq_uri: ['*', 4567]", "F:1: zeromq_uri: "),
        ):
            code, errors = self.check(text)
            self.assertEqual(code, 1)
            self.assertEqual({line[: len(start)] for line in errors}, {start}, errors)

    def test_same_address(self) -> None:
        """Listeners of the same address are a mistake at the later one's line."""
        text = (
            "websocket_uri: ['*', 4567]\nzeromq_uri: ['::1', 4567]\nstatus_uri: [localhost, 4567]"
        )
        code, errors = self.check(text)
        self.assertEqual(code, 1)
        self.assertEqual(
            [line.partition(" is taken by ")[0] for line in errors],
            [
                "F:2: zeromq_uri: [::1]:4567",
                "F:3: status_uri: localhost:4567",
                "F:3: status_uri: localhost:4567",
            ],
        )

    def test_wrong_user(self) -> None:
        """A user that does not exist is wrong usage."""
        code, errors = self.check("", "--user", "no-such-user")
        self.assertEqual(
            (code, errors), (2, ["recodex-monitor check: there is no user no-such-user"])
        )
