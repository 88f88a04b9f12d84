"""TLS's first bytes."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.network.hello import ALERT, is_tls


class HelloTests(SynchronousTestCase):
    """What is recognised, and the answer."""

    def test_is_tls(self) -> None:
        """A record with a handshake is TLS, by its first byte; nothing and HTTP are not."""
        self.assertTrue(is_tls(b"\x16"))
        self.assertTrue(is_tls(b"\x16\x03\x01\x02\x00\x01"))
        for data in (b"", b"GET / HTTP/1.1", b"\x15\x03", b"\0"):
            self.assertFalse(is_tls(data), data)

    def test_alert(self) -> None:
        """The alert is a whole record."""
        self.assertEqual((ALERT[0], int.from_bytes(ALERT[3:5], "big")), (0x15, len(ALERT) - 5))
