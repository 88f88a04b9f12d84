"""Settings that are read again while the monitor runs."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from twisted.logger import ILogObserver, Logger, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import reload
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.settings.schema import Channels, History, Limits, Settings, Tls
from recodex_monitor.settings.schema import Logger as LogSettings

CERTIFICATE = Tls("certificate.pem", "key.pem")


class InForceTests(SynchronousTestCase):
    """What changes at once, and what needs a restart."""

    def test_changes(self) -> None:
        """Log, channels, limits and the files of the certificate change at once."""
        running = Settings(websocket_tls=CERTIFICATE)
        read = Settings(
            logger=LogSettings("-", "debug"),
            channels=Channels(1, 2, 3),
            limits=Limits(max_connections=5, allowed_origins=("https://example.org",)),
            websocket_tls=Tls("other.pem", "other-key.pem"),
        )
        self.assertEqual(reload.in_force(running, read), read)

    def test_needs_a_restart(self) -> None:
        """Addresses, files, limits of the broker's socket, and TLS or none need a restart."""
        running = Settings()
        limits = Limits(high_water_mark=5, max_frame_size=5000)
        for read in (
            Settings(websocket_uri=Address("127.0.0.1", 1)),
            Settings(history=History("history.db")),
            Settings(status_token="0123456789abcdef"),
            Settings(websocket_tls=CERTIFICATE),
            Settings(limits=limits),
        ):
            self.assertEqual(reload.in_force(running, read), running)
        with_tls = Settings(websocket_tls=CERTIFICATE)
        self.assertEqual(reload.in_force(with_tls, running), with_tls)

    def test_limits_at_start(self) -> None:
        """The limits that need a restart are limits that exist."""
        self.assertLessEqual(set(reload.AT_START), {one.name for one in fields(Limits)})


class LogTests(SynchronousTestCase):
    """What the log has about a reload."""

    def logged(self, old: Settings, read: Settings) -> list[tuple[str, str]]:
        """The level and text of each event of a reload."""
        events: list[dict[str, Any]] = []
        observer = cast(ILogObserver, events.append)
        self.patch(reload, "_log", Logger("reload", observer=observer))
        reload.log_changes(old, reload.in_force(old, read), read)
        return [(event["log_level"].name, formatEvent(event)) for event in events]

    def test_each(self) -> None:
        """A change is logged with both values; one that needs a restart is a warning."""
        read = Settings(
            websocket_uri=Address("::1", 4567),
            channels=Channels(retention=60),
            limits=Limits(allowed_origins=("https://a.org",), max_frame_size=2048),
        )
        first, second = "[127.0.0.1, 4567]", "[::1, 4567]"
        self.assertEqual(
            self.logged(Settings(), read),
            [
                ("info", "channels.retention changed from 300 to 60"),
                ("info", "limits.allowed_origins changed from [*] to [https://a.org]"),
                (
                    "warn",
                    f"limits.max_frame_size stays {2**20} until a restart makes it 2048",
                ),
                ("warn", f"websocket_uri stays {first} until a restart makes it {second}"),
            ],
        )

    def test_unset_key(self) -> None:
        """A key that had no value is logged as not set."""
        logged = self.logged(Settings(), Settings(history=History("history.db")))
        text = "history.file stays not set until a restart makes it history.db"
        self.assertEqual(logged, [("warn", text)])

    def test_token(self) -> None:
        """A secret is not logged."""
        secret = replace(Settings(), status_token="0123456789abcdef")
        ((_, text),) = self.logged(Settings(), secret)
        self.assertNotIn("0123456789abcdef", text)
        self.assertIn("status_token", text)

    def test_nothing(self) -> None:
        """If nothing has changed, the log says so."""
        self.assertEqual(self.logged(Settings(), Settings()), [("info", "no setting has changed")])


class ReadAgainTests(SynchronousTestCase):
    """A file that is read again."""

    def read(self, content: str, prepare: Callable[[Settings], None]) -> Settings | None:
        """Read a file with this content, where the defaults are in use."""
        path = self.mktemp()
        Path(path).write_text(content)
        self.events = self.enterContext(capturedLogs())
        return reload.read_again(path, Settings(), prepare)

    def errors(self) -> list[str]:
        """The text of each error in the log."""
        return [formatEvent(one) for one in self.events if one["log_level"] is LogLevel.error]

    def test_good_file(self) -> None:
        """What may fail is prepared with the new settings, which are then returned."""
        prepared: list[Settings] = []
        settings = self.read("channels: {retention: 1}", prepared.append)
        self.assertEqual(settings, Settings(channels=Channels(retention=1)))
        self.assertEqual((prepared, self.errors()), ([settings], []))

    def test_mistakes(self) -> None:
        """A file with mistakes changes nothing, and the log has each of them."""
        prepared: list[Settings] = []
        self.assertIsNone(self.read("x: 1\ny: 1", prepared.append))
        first, second = self.errors()
        self.assertRegex(first, "^keeping the old settings: .*:1: x: is not a key")
        self.assertRegex(second, "^keeping the old settings: .*:2: y: is not a key")
        self.assertEqual(prepared, [])

    def test_log_that_cannot_be_written(self) -> None:
        """A log file that cannot be written changes nothing, and the log says which."""

        def prepare(_: Settings) -> None:
            raise PermissionError(13, "Permission denied", "/new.log")

        self.assertIsNone(self.read("", prepare))
        why = "keeping the old settings: logger.file: cannot write /new.log: Permission denied"
        self.assertEqual(self.errors(), [why])
