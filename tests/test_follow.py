"""Following a job from a program, without a network."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.follow import SILENCE, Log, decode


class DecodeTests(SynchronousTestCase):
    """Messages as they come."""

    def test_decode(self) -> None:
        """An object is taken as it is."""
        self.assertEqual(decode('{"command": "ENDED"}'), {"command": "ENDED"})

    def test_not_a_message(self) -> None:
        """Anything but a JSON object in a text message is refused."""
        for text in (b"{}", "", "x", "[]", "null", "1", "[" * 100_000):
            self.assertRaises(ValueError, decode, text)


class LogTests(SynchronousTestCase):
    """What has come of a job."""

    def take(self, log: Log, *messages: dict[str, Any]) -> list[Any]:
        """The messages that a log yields."""
        return [one for message in messages for one in log.take(message)]

    def test_whole_job(self) -> None:
        """The job's messages come, the monitor's own do not; END is the end."""
        log = Log()
        first = {"command": "STARTED", "id": "e:1"}
        own = {"command": "SUBSCRIBED", "recovered": False}, {"command": "PING"}
        self.assertEqual(self.take(log, own[0], first, own[1]), [first])
        self.assertEqual((log.last, log.is_over, log.silence), ("e:1", False, SILENCE))
        self.assertEqual(self.take(log, {"command": "END", "reason": "finished"}), [])
        self.assertTrue(log.is_over)

    def test_restarted(self) -> None:
        """The first message after the monitor has lost its history says so, and no other."""
        log = Log()
        started, ended = {"command": "STARTED", "id": "e:1"}, {"command": "ENDED", "id": "f:1"}
        subscribed = {"command": "SUBSCRIBED", "recovered": False}
        self.take(log, subscribed, started)
        self.assertEqual(self.take(log, {**subscribed, "recovered": True}, ended), [ended])
        found = self.take(log, subscribed, started, ended)
        self.assertEqual(found, [{**started, "restarted": True}, ended])

    def test_original(self) -> None:
        """A monitor without ids cannot resume; FINISHED is the end, and silence is none."""
        log = Log()
        messages: list[dict[str, Any]] = [{"command": one} for one in ("PING", "END", "FINISHED")]
        self.assertEqual(self.take(log, *messages), messages)
        self.assertEqual((log.is_over, log.can_resume, log.silence), (True, False, None))
