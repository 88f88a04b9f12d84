"""Settings that are read again."""

from dataclasses import fields, replace
from typing import Any, cast

from twisted.logger import ILogObserver, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import reload
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.settings.schema import Channels, History, Limits, Settings, Tls
from recodex_monitor.settings.schema import Logger as LogSettings

CERTIFICATE = Tls("certificate.pem", "key.pem")


class InForceTests(SynchronousTestCase):
    """What changes while the monitor runs."""

    def test_changes(self) -> None:
        """Log, channels, limits and the files of the certificate change."""
        running = Settings(websocket_tls=CERTIFICATE)
        read = Settings(
            logger=LogSettings("-", "debug"),
            channels=Channels(1, 2, 3),
            limits=Limits(max_connections=5, allowed_origins=("https://example.org",)),
            websocket_tls=Tls("other.pem", "other-key.pem"),
        )
        self.assertEqual(reload.in_force(running, read), read)

    def test_has_to_wait(self) -> None:
        """Addresses and files, what the broker's socket has, and whether there is TLS wait."""
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

    def test_waiting_limits_are_limits(self) -> None:
        """Those that wait are limits that there are."""
        self.assertLessEqual(set(reload.AT_START), {one.name for one in fields(Limits)})


class ToldTests(SynchronousTestCase):
    """What the log says."""

    def told(self, old: Settings, read: Settings) -> list[tuple[str, str]]:
        """Level and text of each event."""
        events: list[dict[str, Any]] = []
        observer = cast(ILogObserver, events.append)
        self.patch(reload, "_log", Logger("reload", observer=observer))
        reload.tell(old, reload.in_force(old, read), read)
        return [(event["log_level"].name, formatEvent(event)) for event in events]

    def test_each(self) -> None:
        """Each change is told with both values, and each that waits as a warning."""
        read = Settings(
            websocket_uri=Address("::1", 4567),
            channels=Channels(retention=60),
            limits=Limits(allowed_origins=("https://a.org",), max_frame_size=2048),
        )
        first, second = "[127.0.0.1, 4567]", "[::1, 4567]"
        self.assertEqual(
            self.told(Settings(), read),
            [
                ("info", "channels.retention is 60 now, it was 300"),
                ("info", "limits.allowed_origins is [https://a.org] now, it was [*]"),
                (
                    "warn",
                    f"limits.max_frame_size stays {2**20} until a restart, which makes it 2048",
                ),
                ("warn", f"websocket_uri stays {first} until a restart, which makes it {second}"),
            ],
        )

    def test_a_key_that_was_not_there(self) -> None:
        """A key without a value before is told too."""
        told = self.told(Settings(), Settings(history=History("history.db")))
        text = "history.file stays not set until a restart, which makes it history.db"
        self.assertEqual(told, [("warn", text)])

    def test_token(self) -> None:
        """A secret is not told."""
        secret = replace(Settings(), status_token="0123456789abcdef")
        ((_, text),) = self.told(Settings(), secret)
        self.assertNotIn("0123456789abcdef", text)
        self.assertIn("status_token", text)

    def test_nothing(self) -> None:
        """Where nothing has changed, the log says so."""
        self.assertEqual(
            self.told(Settings(), Settings()), [("info", "the settings are as they were")]
        )
