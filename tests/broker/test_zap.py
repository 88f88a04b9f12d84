"""Who may be a broker."""

from ipaddress import ip_network
from pathlib import Path

import zmq.auth
from twisted.trial.unittest import SynchronousTestCase
from zmq.utils import z85

from recodex_monitor.broker.zap import FILE, NETWORK, Guard, make_guard
from recodex_monitor.settings.schema import ConfigError, Zeromq

NETWORKS = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


def question(address: str, *credentials: bytes, domain: bytes = NETWORK) -> list[bytes]:
    """ZeroMQ's request about a peer."""
    return [b"1.0", b"7", domain, address.encode(), b"", b"NULL", *credentials]


class GuardTestCase(SynchronousTestCase):
    """A folder with the keys of a monitor and of a broker."""

    def setUp(self) -> None:
        """Make them."""
        self.folder = Path(self.mktemp())
        (self.folder / "brokers").mkdir(parents=True)
        _, self.secret = zmq.auth.create_certificates(self.folder, "monitor")
        self.public, _ = zmq.auth.create_certificates(self.folder / "brokers", "broker")

    def guard(self, **settings: object) -> Guard:
        """Make a guard with these settings."""
        return Guard(Zeromq(**settings), lambda: 0.0)  # type: ignore[arg-type]


class AnswerTests(GuardTestCase):
    """The replies to ZeroMQ."""

    def allows(
        self, guard: Guard, address: str, *credentials: bytes, domain: bytes = NETWORK
    ) -> bool:
        """Whether a peer is accepted."""
        answer = guard.answer(question(address, *credentials, domain=domain))
        self.assertEqual((answer[:2], answer[4:]), ([b"1.0", b"7"], [b"", b""]))
        return answer[2] == b"200"

    def test_networks(self) -> None:
        """Peers of the networks are accepted, by IPv4 and IPv6; others are not."""
        guard = self.guard(allowed_networks=NETWORKS)
        for address in ("192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"):
            self.assertTrue(self.allows(guard, address), address)
        for address in ("192.0.3.1", "2001:db9::1", "127.0.0.1", "", "localhost", "\u010d"):
            self.assertFalse(self.allows(guard, address), address)
        self.assertEqual(guard.refused.counts, {"not in zeromq.allowed_networks": 6})

    def test_socket_file(self) -> None:
        """A peer on a socket file is accepted; its address is its user, group and process."""
        guard = self.guard(allowed_networks=())
        self.assertTrue(self.allows(guard, "localhost:0:0:9491", domain=FILE))
        self.assertFalse(self.allows(guard, "localhost:0:0:9491"))

    def test_keys(self) -> None:
        """A key in the folder is accepted, another is not."""
        guard = self.guard(curve_key=self.secret, curve_clients=str(self.folder / "brokers"))
        known, _ = zmq.auth.load_certificate(self.public)
        self.assertTrue(self.allows(guard, "192.0.2.7", z85.decode(known)))
        self.assertFalse(self.allows(guard, "192.0.2.7", b"\0" * 32))
        self.assertEqual(guard.refused.counts, {"its key is not in zeromq.curve_clients": 1})

    def test_any_key(self) -> None:
        """Without a folder of keys, any peer that knows the monitor's key is accepted."""
        self.assertTrue(self.allows(self.guard(curve_key=self.secret), "192.0.2.7", b"\0" * 32))


class SettingsTests(GuardTestCase):
    """Valid and invalid settings."""

    def test_everybody(self) -> None:
        """With the defaults everybody is accepted, without a guard."""
        self.assertIs(make_guard(Zeromq(), lambda: 0.0), None)
        self.assertIsNot(make_guard(Zeromq(allowed_networks=NETWORKS), lambda: 0.0), None)

    def test_mistakes(self) -> None:
        """An error of a file names the setting."""
        text = self.folder / "text"
        text.write_text("no key\n")
        (self.folder / "short").write_text('public-key = "abc"\nsecret-key = "abc"\n')
        (self.folder / "other").write_text(
            f'public-key = "{"~" * 40}"\nsecret-key = "{"~" * 40}"\n'
        )
        (self.folder / "empty").mkdir()
        clients = {"curve_key": self.secret}
        for settings, wrong in (
            ({"curve_key": "missing"}, "curve_key: cannot use missing: "),
            ({"curve_key": str(text)}, f"curve_key: cannot use {text}: No public key"),
            ({"curve_key": str(self.public)}, "has no secret key, name the .key_secret file"),
            ({"curve_key": str(self.folder / "short")}, "curve_key: cannot use "),
            ({"curve_key": str(self.folder / "other")}, "curve_key: cannot use "),
            ({"curve_clients": "brokers"}, "curve_clients: needs zeromq.curve_key too"),
            (clients | {"curve_clients": str(self.folder / "empty")}, "has no .key files"),
            (clients | {"curve_clients": "missing"}, "curve_clients: cannot use missing: "),
        ):
            error = self.assertRaises(ConfigError, self.guard, **settings)
            self.assertIn(wrong, str(error))
            self.assertTrue(str(error).startswith("zeromq.curve_"), error)
