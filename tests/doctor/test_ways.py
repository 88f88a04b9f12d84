"""Addresses by which browsers reach the monitor."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor.ways import direct_way, public_way, reachable
from recodex_monitor.settings import parsing
from recodex_monitor.settings.endpoints import Address


class PublicTests(SynchronousTestCase):
    """The public address."""

    def test_parts(self) -> None:
        """WebSocket uses the address as it is; all else is below it, with the token."""
        way = public_way("wss://h.example.org/ws", token="a+b")
        self.assertEqual(
            (str(way), way.origin), ("wss://h.example.org/ws", "https://h.example.org")
        )
        self.assertEqual(way.url(after=""), "wss://h.example.org/ws?after=&token=a%2Bb")
        self.assertEqual(way.path("events", "a/b"), "/ws/events/a%2Fb?token=a%2Bb")
        self.assertIsNotNone(way.tls)

    def test_ports(self) -> None:
        """A port is named where it is not the scheme's, also of IPv6 and at the root."""
        self.assertEqual(public_way("ws://h:80/ws/").url(), "ws://h/ws/")
        way = public_way("ws://[::1]:8080", "http://app/")
        self.assertEqual((way.authority, way.origin), ("[::1]:8080", "http://app"))
        self.assertEqual((str(way), way.path("channels", "x")), ("ws://[::1]:8080/", "/channels/x"))

    def test_mistakes(self) -> None:
        """What is no such address is refused."""
        for text in ("https://h/ws", "ws://", "ws://u@h/", "ws://h:0/", "ws://h:x/", "h"):
            self.assertRaises(ValueError, public_way, text)

    def test_origins(self) -> None:
        """An origin is that of pages, with or without a slash at its end."""
        for text in ("https://h/", "null", "capacitor://localhost"):
            self.assertEqual(public_way("ws://h/", text).origin, text.rstrip("/"))
        for text in ("h.example.org", "https://", "https://h/app", "https://h?x"):
            self.assertRaises(ValueError, public_way, "ws://h/", text)


class DirectTests(SynchronousTestCase):
    """The monitor's own listener."""

    def test_settings(self) -> None:
        """It is where the settings say, as this machine reaches it."""
        way = direct_way(parsing.parse(b"websocket_uri: ['*', 5000]", None))
        self.assertEqual(
            (way.host, way.port, way.tls, way.greeting), ("127.0.0.1", 5000, None, b"")
        )
        way = direct_way(parsing.parse(b"websocket_uri: 'unix:/run/x/y'", None))
        self.assertEqual(str(way), "unix:/run/x/y")
        text = b"websocket_proxy_protocol: true\nwebsocket_tls: {certificate: c, key: k}"
        way = direct_way(parsing.parse(text, None))
        self.assertEqual(way.greeting, b"PROXY UNKNOWN\r\n")
        self.assertIsNotNone(way.tls)

    def test_reachable(self) -> None:
        """What listens everywhere is reached by loopback."""
        self.assertEqual(reachable(Address("::", 1)), ("::1", 1))
        self.assertEqual(reachable(Address("192.0.2.1", 2)), ("192.0.2.1", 2))
