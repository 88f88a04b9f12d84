"""Settings as YAML, as values to show, and compared."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.export import changes, dump, shown
from recodex_monitor.settings.parsing import parse
from recodex_monitor.settings.readers import LEVELS
from recodex_monitor.settings.schema import (
    Channels,
    History,
    Limits,
    Logger,
    Settings,
    Zeromq,
)

TOKEN = "0123456789abcdef"

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,20}(\.[a-z0-9][a-z0-9-]{0,20}){0,3}\.?", fullmatch=True)
ADDRESSES = st.builds(
    Address, st.just("*") | st.ip_addresses().map(str) | NAMES, st.integers(0, 65535)
)

PATHS = st.from_regex(r"/[a-zé][^/\0]{0,20}", fullmatch=True, alphabet=st.characters(codec="utf-8"))


def endpoints(scheme: str) -> st.SearchStrategy[Address | SocketFile]:
    """Addresses, and Unix sockets with this scheme."""
    return ADDRESSES | st.builds(SocketFile, PATHS, st.just(scheme))


def seconds(low: int, high: int) -> st.SearchStrategy[float]:
    """Numbers of seconds, with and without a fraction."""
    return st.integers(low, high) | st.floats(low, high)


SETTINGS = st.builds(
    Settings,
    endpoints("unix"),
    endpoints("ipc"),
    st.builds(
        Logger,
        st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        st.sampled_from(LEVELS),
        st.integers(0, 2**40),
        st.integers(0, 1000),
    ),
    st.builds(Zeromq, st.booleans()),
    st.builds(Channels, seconds(0, 86400), seconds(0, 3600), seconds(1, 30 * 86400)),
)


class DumpTests(SynchronousTestCase):
    """Settings as YAML."""

    @settings(deadline=None, max_examples=50)
    @given(SETTINGS)
    def test_round_trip(self, made: Settings) -> None:
        """Settings that are dumped are parsed to the same settings."""
        for origin in (None, lambda key: f"F:1 {key}"):
            self.assertEqual(parse(dump(made, origin).encode(), "F"), made)

    def test_all_keys(self) -> None:
        """Keys have their names in the file; keys without a value are left out."""
        text = dump(Settings())
        self.assertIn("max-size: 1048576", text)
        self.assertNotIn("status_uri", text)


class ShownTests(SynchronousTestCase):
    """Settings as plain values."""

    def test_values(self) -> None:
        """Values are shown as in the file, without the token."""
        found = shown(Settings(status_uri=SocketFile("/run/status", "unix"), status_token=TOKEN))
        self.assertEqual(found["status_uri"], "unix:/run/status")
        self.assertEqual(found["websocket_uri"], ["127.0.0.1", 4567])
        self.assertEqual(found["limits"]["trusted_proxies"], ["127.0.0.0/8", "::1/128"])
        self.assertNotIn(TOKEN, str(found))


class ChangesTests(SynchronousTestCase):
    """The difference of two settings."""

    def test_changes(self) -> None:
        """Each key that differs is given with both values, an unset one with None."""
        new = Settings(limits=Limits(backlog=5), history=History("history.db"))
        expected = [("history.file", None, "history.db"), ("limits.backlog", 4096, 5)]
        self.assertEqual(list(changes(Settings(), new)), expected)
        self.assertEqual(list(changes(new, new)), [])

    def test_secret(self) -> None:
        """Of a token, only the fact that it differs is given."""
        found = list(changes(Settings(), Settings(status_token=TOKEN)))
        self.assertEqual(found, [("status_token", "***", "***")])
