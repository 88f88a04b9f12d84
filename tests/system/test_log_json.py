"""The log as JSON, and by other settings."""

import json
from typing import Any

from twisted.logger import LogLevel

from recodex_monitor.settings import schema
from recodex_monitor.timing.throttle import ThrottledCounts
from tests.system.log import LogTestCase


class JsonTests(LogTestCase):
    """The log as JSON."""

    def events(self) -> list[dict[str, Any]]:
        """What was written."""
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]

    def test_fields(self) -> None:
        """A line is an object: time, level, room, message, and the values in the message."""
        event = {
            "log_time": 0.5,
            "log_level": LogLevel.warn,
            "log_namespace": "recodex_monitor.test",
            "log_format": "{peer} follows {channel!r}",
            "peer": "192.0.2.1",
            "channel": "a\nb",
            "other": 1,
        }
        self.open(format="json")(event)
        (written,) = self.events()
        self.assertEqual(
            written,
            {
                "time": "1970-01-01T00:00:00.500+00:00",
                "level": "warning",
                "room": "recodex_monitor.test",
                "message": "192.0.2.1 follows 'a\\nb'",
                "peer": "192.0.2.1",
                "channel": "a\nb",
            },
        )

    def test_event(self) -> None:
        """The name of an event, and the reason of a count, are told though no message has them."""
        self.open(format="json")
        ThrottledCounts(self.logger, "client", lambda: 0.0).add("too many", "192.0.2.1")
        (event,) = self.events()
        self.assertEqual((event["event"], event["reason"]), ("dropped", "too many"))
        self.assertEqual(event["detail"], "192.0.2.1")

    def test_values(self) -> None:
        """Numbers stay numbers, other values become text, and none replaces our own keys."""
        self.open(format="json")
        self.logger.info("{count} {what} {time}", count=3, what=b"x", time="forged")
        (event,) = self.events()
        self.assertEqual((event["count"], event["what"]), (3, "b'x'"))
        self.assertNotEqual(event["time"], "forged")

    def test_failure(self) -> None:
        """A traceback is a list of lines in the same object."""
        self.open(format="json")
        try:
            raise ValueError("wrong\n[line]")
        except ValueError:
            self.logger.failure("it failed")
        (event,) = self.events()
        self.assertEqual(event["level"], "critical")
        self.assertIn("builtins.ValueError: wrong", event["traceback"])


class OtherSettingsTests(LogTestCase):
    """A log whose settings change."""

    def test_adopt(self) -> None:
        """Level, format and file are those of the new settings."""
        log = self.open()
        self.logger.debug("not this")
        log.adopt(schema.Logger(str(self.folder / "other.log"), "debug"))
        self.assertTrue(log.has_debug)
        self.logger.debug("this")
        self.assertEqual(self.lines(), [])
        self.assertEqual(self.lines("other.log"), ["[DEBUG] this"])

    def test_unwritable(self) -> None:
        """If the new file cannot be written, the log continues with the old settings."""
        log = self.open()
        missing = schema.Logger(str(self.folder / "missing" / "monitor.log"), "debug")
        self.assertRaises(OSError, log.adopt, missing)
        self.logger.info("this")
        self.logger.debug("not this")
        self.assertEqual(self.lines(), ["[INFO] this"])
