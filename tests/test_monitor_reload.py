"""Tests of the monitor's reload, with fake parts and without a network."""

import signal
from pathlib import Path

from tests.support.parts import MonitorTestCase


class ReloadTests(MonitorTestCase):
    """Reloading the settings by SIGHUP."""

    def setUp(self) -> None:
        """Run a monitor with a configuration file."""
        super().setUp()
        self.config = Path(self.mktemp())
        self.config.write_text("limits: {max_connections: 10}\n")
        self.made = self.running(file=str(self.config))

    def reload(self, text: str) -> None:
        """Write the file and send the signal."""
        self.config.write_text(text)
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)

    def test_adopts(self) -> None:
        """Every part gets what it may change while it runs."""
        self.reload(
            "limits: {max_connections: 20, max_frame_size: 4096}\n"
            "logger: {level: debug}\nstatus_uri: [localhost, 81]\n"
        )
        limits = self.parts.live.limits
        self.assertEqual(limits.max_connections, 20)
        self.assertNotEqual(limits.max_frame_size, 4096)
        for text in ("clients has new limits", "port has new limits", "20 + 100 files"):
            self.assertIn(text, self.done)
        self.assertEqual(self.log.adopted.level, "debug")
        self.assertIsNot(self.parts.broker.publish, self.parts.hub.publish)
        shown = self.parts.inspection.settings
        self.assertEqual(shown["limits"]["max_connections"], 20)
        self.assertNotIn("status_uri", shown)

    def test_order(self) -> None:
        """The certificate is used only if the log can be adopted too."""
        self.reload("logger: {file: missing/log}\n")
        self.assertIn("certificate read", self.done)
        self.assertNotIn("certificate used", self.done)
        self.done.clear()
        self.reload("logger: {level: error}\n")
        self.assertIn("certificate used", self.done)

    def test_mistakes(self) -> None:
        """With a mistake nothing changes, and systemd still learns that the reload is over."""
        self.reload("limits: {max_connections: 20, max_channel: 1}\n")
        self.assertIsNone(self.parts.broker.publish)
        self.assertIn("keeping the old settings", "".join(self.logged))
        self.assertEqual(self.done, ["systemd told RELOADING", "systemd told READY"])
        self.assertEqual(self.log.reopened, 1)

    def test_without_a_file(self) -> None:
        """Without a configuration file the log is opened again, and nothing else happens."""
        self.running()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(self.log.reopened, 1)
        self.assertEqual(self.done, ["systemd told RELOADING", "systemd told READY"])
