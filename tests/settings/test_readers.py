"""Readers of single values."""

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import readers
from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.readers import Mistake, Reader


def read(reader: Reader, text: str) -> Any:
    """The value that a reader makes of YAML."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert node is not None
    return reader(node)


class ReaderTestCase(SynchronousTestCase):
    """Readers, and what they make of YAML."""

    def check(self, reader: Reader, *expected: tuple[str, Any]) -> None:
        """Require these values of these texts."""
        for text, value in expected:
            self.assertEqual(read(reader, text), value, text)

    def refuse(self, reader: Reader, why: str, texts: Iterable[str]) -> None:
        """Require that these texts are mistakes that say why."""
        for text in texts:
            mistake = self.assertRaises(Mistake, read, reader, text)
            self.assertIn(why, str(mistake), text)


class ScalarTests(ReaderTestCase):
    """Strings, flags, words and numbers."""

    def test_text(self) -> None:
        """A string is read; anything else, nothing, and what no file name may have are mistakes."""
        self.check(readers.text, ("a", "a"), ("'1'", "1"), ("é", "é"))
        wrong = ("1", "{}", "[a]", "yes", '"a\\0"', '"\\ud800"', "2020-01-01", "~")
        self.refuse(readers.text, "is not a string; write it in quotes", wrong)
        self.refuse(readers.text, "is empty; leave it out for the default", ("''", '""'))

    def test_flag(self) -> None:
        """YAML's words for true and false are read, numbers are not."""
        self.check(readers.flag, ("yes", True), ("true", True), ("off", False))
        self.refuse(readers.flag, "is neither true nor false", ("1", "'yes'", "!!bool maybe", "[]"))

    def test_one_of(self) -> None:
        """A known word is read in any case; the mistake tells the known ones."""
        reader = readers.one_of("level", readers.LEVELS)
        self.check(reader, ("debug", "debug"), ("WARNING", "warning"))
        why = "is not a level; use one of debug, info, warning, error, critical"
        self.refuse(reader, why, ("all", "1", "[]", "!!timestamp now"))

    def test_whole(self) -> None:
        """Whole numbers in the range are read, both ends included."""
        reader = readers.whole(0, 1000)
        self.check(reader, ("0", 0), ("1000", 1000), ("0x10", 16))
        why = "is not a whole number from 0 to 1000"
        self.refuse(reader, why, ("-1", "1001", "1.5", "true", "'1'", "!!int ''", "1" + "0" * 5000))

    def test_whole_as_text(self) -> None:
        """Where the original takes it, digits may be in quotes."""
        reader = readers.whole(0, 1000, or_text=True)
        self.check(reader, ("'5'", 5), ("' 5 '", 5), ("5", 5), ('"1000"', 1000))
        self.refuse(reader, "is not a whole number", ("''", "'5k'", "'-1'", "'1.0'", "'¹'"))
        self.refuse(reader, "has a leading zero", ("'010'",))

    def test_misleading_numbers(self) -> None:
        """What YAML 1.1 reads as another number than people do is refused, with the reason."""
        for reader in (readers.whole(0, 10**6), readers.seconds(0, 10**6)):
            self.refuse(
                reader,
                "'04567' has a leading zero, YAML reads it as the octal number 2423; write 4567",
                ("04567",),
            )
            self.refuse(
                reader,
                "'089' has a leading zero, YAML reads it not as a number; write 89",
                ("089",),
            )
            self.refuse(reader, "has a leading zero", ("-010", "00", "0_10", "!!int '010'"))
            self.refuse(reader, "YAML reads '10:30' as 630, to the base 60; write 630", ("10:30",))
            self.refuse(reader, "'0o17' is not a number in YAML 1.1", ("0o17",))
            self.check(reader, ("0", 0), ("0x10", 16), ("1_000", 1000))
        self.check(readers.seconds(0, 9), ("0.5", 0.5))
        port = readers.endpoint("unix")
        self.refuse(port, "has a leading zero", ("[a, 04567]", "[a, '04567']", "[a, 080]"))
        self.refuse(port, "to the base 60", ("[a, 1:20]",))

    def test_levels(self) -> None:
        """The broker's names mean ours, in any case; an empty one is the default."""
        expected = {"warn": "warning", "err": "error", "notice": "info", "trace": "debug"}
        for name, known in {**expected, "alert": "critical", "emerg": "critical"}.items():
            self.check(readers.level, (name, known), (name.upper(), known), (f"'{name}'", known))
        self.check(readers.level, ("''", None), ("~", None), ("' '", None), ("Info", "info"))
        self.refuse(readers.level, "is not a level; use one of debug", ("off", "1", "[]", "{}"))

    def test_seconds(self) -> None:
        """Seconds in the range are read, with and without a fraction."""
        reader = readers.seconds(1, 60)
        self.check(reader, ("1", 1), ("1.5", 1.5), ("60", 60))
        why = "is not a number of seconds from 1 to 60"
        self.refuse(reader, why, ("0.9", "61", "5m", ".nan", ".inf", "true", "!!float ''"))

    def test_token(self) -> None:
        """A token has 16 to 512 visible ASCII characters; the mistake does not show the value."""
        self.check(readers.token, (16 * "a", 16 * "a"), (512 * "~", 512 * "~"))
        for wrong in ("secret", 513 * "a", "0123456789 abcdef", "0123456789abcdeé", "[secret]"):
            mistake = self.assertRaises(Mistake, read, readers.token, wrong)
            self.assertNotIn(wrong, str(mistake))
            self.assertIn("is not a token; write 16 to 512", str(mistake))


class ListTests(ReaderTestCase):
    """Networks, origins and hosts."""

    def test_networks(self) -> None:
        """A list of networks of both families is read; a single address is a network too."""
        networks = (ip_network("10.1.0.0/16"), ip_network("::1/128"))
        self.check(readers.networks, ('[10.1.0.0/16, "::1"]', networks), ("[]", ()))
        self.refuse(readers.networks, "is not a list; write it in brackets", ("10.0.0.0/8", "{}"))
        self.refuse(readers.networks, "is not a network; write", ("[10.1.0.1/16]", "[1]", "[a]"))

    def test_meant_networks(self) -> None:
        """A network with bits of a host is refused with the network that may be meant."""
        for text, network, address in (
            ("10.0.0.1/8", "10.0.0.0/8", "10.0.0.1"),
            ("192.0.2.129/255.255.255.0", "192.0.2.0/24", "192.0.2.129"),
            ("2001:db8::1/32", "2001:db8::/32", "2001:db8::1"),
        ):
            why = f'\'{text}\' is not a network; write "{network}", or "{address}" for the one add'
            self.refuse(readers.networks, why, (f"['{text}']",))
        self.refuse(readers.networks, 'write "10.1.0.0/16"', ("[10.0.0.1/40]",))

    def test_origins(self) -> None:
        """A list of origins is read; a path, and what is no origin, are mistakes."""
        origins = ("https://a.example.org", "https://*.example.org:8080", "http://[::1]:3000", "*")
        self.check(readers.origins, (str(list(origins)), origins))
        others = (
            "null",
            "capacitor://localhost",
            "chrome-extension://abc",
            "file://",
            "ab+c.d-e://*",
        )
        self.check(readers.origins, (str(list(others)), others), ("[null]", ("null",)))
        wrong = (
            "['https://a/']",
            "['a.example.org']",
            "['ftp://a']",
            "['wss://a']",
            "['nullx']",
            "[~]",
            "['capacitor:']",
            "[1]",
            "['https://a:123456']",
        )
        self.refuse(readers.origins, "is not an origin; write", wrong)

    def test_hosts(self) -> None:
        """IP addresses, host names and ``*`` are read."""
        hosts = ("0.0.0.0", "::1", "fe80::1%eth0", "localhost", "a-1_b.example.org.", "*")
        self.check(readers.hosts, (str(list(hosts)), hosts))
        wrong = ("[a b]", "[10.0.0.256]", "[-a]", "['1']", "[1]", f"[{'a' * 64}]", "['a..b']")
        self.refuse(readers.hosts, "is not a host; use an IP address, a host name, or", wrong)


class EndpointTests(ReaderTestCase):
    """Addresses and Unix sockets."""

    def test_addresses(self) -> None:
        """An address is a host and a port; the port may be a string."""
        for port, number in (("4567", 4567), ("'4567'", 4567), ("0", 0), ("65535", 65535)):
            self.check(readers.endpoint("unix"), (f"[a, {port}]", Address("a", number)))
        self.check(readers.endpoint("unix"), ("['', 1]", Address("*", 1)))
        wrong = ("tcp://a", "[]", "[a, 1, 2]", "4568", "ipc:/a", "{}")
        self.refuse(readers.endpoint("unix"), 'is not an address; write ["127.0.0.1", 4567]', wrong)

    def test_ports(self) -> None:
        """A port is a number from 0 to 65535, in ASCII digits."""
        wrong = ("65536", "-1", "http", "true", "1.5", "'¹'", "''", f"'{'9' * 5000}'")
        texts = [f"[a, {port}]" for port in wrong]
        self.refuse(readers.endpoint("unix"), "is not a port; use a number from 0 to 65535", texts)

    def test_socket_files(self) -> None:
        """A socket's path follows its scheme, with one slash, or three as in a URL."""
        for text in ("unix:/a/b", "unix:///a/b"):
            self.check(readers.endpoint("unix"), (text, SocketFile("/a/b", "unix")))
        self.check(readers.endpoint("ipc"), ("ipc:/c", SocketFile("/c", "ipc")))

    def test_socket_paths(self) -> None:
        """A path is absolute, has no null byte, and is short enough for Linux, in bytes."""
        longest = f"/{'a' * 106}"
        self.check(readers.endpoint("unix"), (f"unix:{longest}", SocketFile(longest, "unix")))
        wrong = ("unix:x", "'unix:'", '"unix:/\\0"', f"unix:{longest}a", f"unix:/{'é' * 54}")
        self.refuse(readers.endpoint("unix"), 'is not an absolute path; write "unix:/PATH"', wrong)


class ShownTests(SynchronousTestCase):
    """Values in errors."""

    def test_bounded(self) -> None:
        """The error shows the beginning of a long value, and of other nodes only their kind."""
        for text, shown in ((900 * "v", repr(60 * "v")), ("[a]", "a list"), ("{}", "a mapping")):
            mistake = self.assertRaises(Mistake, read, readers.flag, text)
            self.assertEqual(str(mistake), f"{shown} is neither true nor false")
