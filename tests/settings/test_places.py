"""Where settings come from."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.places import Places, located


class PlaceTests(SynchronousTestCase):
    """The places of keys."""

    def setUp(self) -> None:
        """Write a file."""
        self.file = Path(self.mktemp())
        self.file.write_text("common: &it\n  backlog: 5\nlimits:\n  <<: *it\n  max_channels: 6\n")

    def test_of(self) -> None:
        """A key is in the environment, in a line of the file, or has its default."""
        environ = {"RECODEX_MONITOR_LIMITS__MAX_CHANNELS": "7"}
        places = Places.read(str(self.file), environ)
        self.assertEqual(places.of("limits.max_channels"), "RECODEX_MONITOR_LIMITS__MAX_CHANNELS")
        self.assertEqual(places.of("limits.backlog"), f"{self.file}:2")
        for key in ("limits.heartbeat", "logger.file", "limits.backlog.x", "status_uri"):
            self.assertIsNone(places.of(key))

    def test_located(self) -> None:
        """Problems get their place, or the file; those that begin with no key stay."""
        problems = ["limits.backlog: too few", "status_uri: taken", "Other text: here"]
        expected = [f"{self.file}:2: {problems[0]}", f"{self.file}: {problems[1]}", problems[2]]
        self.assertEqual(located(problems, str(self.file), {}), expected)
        self.assertEqual(located(problems, None, {}), problems)
        environ = {"RECODEX_MONITOR_STATUS_URI": "x"}
        (found,) = located(problems[1:2], None, environ)
        self.assertEqual(found, "RECODEX_MONITOR_STATUS_URI: status_uri: taken")

    def test_changed_meanwhile(self) -> None:
        """A file that can no longer be read has no lines."""
        for content in (b"[", b"\xff", b"- x"):
            self.file.write_bytes(content)
            self.assertIsNone(Places.read(str(self.file), {}).of("limits.backlog"))
        self.file.unlink()
        self.assertIsNone(Places.read(str(self.file), {}).of("limits.backlog"))
