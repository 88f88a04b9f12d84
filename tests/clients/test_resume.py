"""Clients that connect with ``after``: ids, heartbeats, the reason of the end, and no gap."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.schema import Limits
from tests.support.clients import CLOSE, PONG, TEXT, Browser, frame, message, service

LIMITS = Limits()


class ResumeTestCase(SynchronousTestCase):
    """A service, and clients that resume."""

    def setUp(self) -> None:
        """A service without channels."""
        self.clock, self.hub, self.factory = service()

    def publish(self, *commands: str) -> None:
        """Let the broker say something."""
        self.hub.publish([message("job", command) for command in commands])

    def follow(self, after: str = "") -> Browser:
        """A client that follows the job."""
        browser = Browser(self.factory)
        browser.follow("job", f"after={after}")
        return browser

    def objects(self, browser: Browser) -> list[dict[str, object]]:
        """The JSON objects that a client got since the last call."""
        return [json.loads(payload) for opcode, payload in browser.received() if opcode == TEXT]

    def after_sweep(self, browser: Browser, seconds: float) -> list[object]:
        """The commands that a client gets while time passes, and it answers pings."""
        browser.send(frame(PONG))
        self.clock.advance(seconds)
        self.factory.sweep()
        return [each["command"] for each in self.objects(browser)]


class ResumeTests(ResumeTestCase):
    """What such a client gets."""

    def test_all_from_the_start(self) -> None:
        """Without an id a client gets everything, each message with the next number."""
        browser = self.follow()
        self.publish("STARTED", "ENDED")
        epoch = self.hub.channels["job"].epoch
        self.assertEqual(
            self.objects(browser),
            [
                {"command": "SUBSCRIBED", "recovered": False},
                {"command": "STARTED", "id": f"{epoch}:1"},
                {"command": "ENDED", "id": f"{epoch}:2"},
            ],
        )

    def test_end(self) -> None:
        """The reason comes last, before the close."""
        browser = self.follow()
        self.publish("FINISHED")
        _, (_, finished), (_, end), close = browser.received()
        self.assertEqual(json.loads(finished)["command"], "FINISHED")
        self.assertEqual(json.loads(end), {"command": "END", "reason": "finished"})
        self.assertEqual(close, (CLOSE, b"\x03\xe8"))

    def test_stop(self) -> None:
        """When the monitor stops the job has not ended for such a client."""
        browser = self.follow()
        self.objects(browser)
        self.factory.reception.close_all()
        self.assertEqual(browser.close_code(), 1012)

    def test_recovered(self) -> None:
        """With an id of the channel a client gets what follows it, also when nothing does."""
        self.publish("STARTED", "ENDED")
        epoch = self.hub.channels["job"].epoch
        for after, due in ((1, [f"{epoch}:2"]), (2, [])):
            subscribed, *others = self.objects(self.follow(f"{epoch}:{after}"))
            self.assertEqual(subscribed, {"command": "SUBSCRIBED", "recovered": True})
            self.assertEqual([other["id"] for other in others], due)

    def test_not_recovered(self) -> None:
        """Any other id, malformed, of the future or of another epoch, gets everything."""
        self.publish("STARTED")
        self.hub.publish([message("other", "STARTED")])
        epoch, other = (self.hub.channels[name].epoch for name in ("job", "other"))
        ids = (f"{epoch}:2", f"{epoch}:0", f"{epoch}:-1", f"{epoch}:%c2%b9", f"{other}:1", epoch)
        for after in (*ids, ":", ":1", "x", f"{epoch}:1:1", f"{epoch}:" + "9" * 500):
            subscribed, *others = self.objects(self.follow(after))
            self.assertEqual(subscribed, {"command": "SUBSCRIBED", "recovered": False}, after)
            self.assertEqual([each["id"] for each in others], [f"{epoch}:1"])

    def test_without_the_query(self) -> None:
        """Any other query changes nothing."""
        browser = Browser(self.factory)
        browser.follow("job", "hereafter=x")
        self.publish("STARTED")
        self.assertEqual(browser.texts(), ['{"command": "STARTED"}'])


class HeartbeatTests(ResumeTestCase):
    """How a client knows that the connection is alive."""

    def test_silence(self) -> None:
        """A client hears something every so often, and nothing more while messages come."""
        browser = self.follow()
        self.objects(browser)
        for _ in range(3):
            self.publish("STARTED")
            self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat - 1), ["STARTED"])
        self.assertEqual(self.after_sweep(browser, 1), ["PING"])
        self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat), ["PING"])

    def test_bare_id(self) -> None:
        """A client without the query, which would not understand it, gets none."""
        browser = Browser(self.factory)
        browser.follow("job")
        self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat), [])

    def test_slow_reader(self) -> None:
        """A client that takes nothing gets no heartbeats to pile up, and gets them again later."""
        browser = self.follow()
        self.objects(browser)
        browser.server.pauseProducing()
        self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat), [])
        browser.server.resumeProducing()
        self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat), ["PING"])


class CutTests(ResumeTestCase):
    """Whatever happens to the connection."""

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.sampled_from(("publish", "cut", "connect", "pause", "resume")), max_size=50))
    def test_list_is_the_log(self, steps: list[str]) -> None:
        """For any log and any sequence of connects and cuts a client's list equals the log."""
        self.setUp()
        self.publish("STARTED")
        log, got, browser = ["STARTED"], [], self.follow()
        for number, step in enumerate([*steps, "connect"]):
            if step == "publish":
                log.append(f"C{number}")
                self.publish(log[-1])
            elif step == "pause":
                browser.server.pauseProducing()
            elif step == "resume":
                browser.server.resumeProducing()
            else:
                got += [each for each in self.objects(browser) if "id" in each]
                browser.lose()
                browser = self.follow(str(got[-1]["id"]) if step == "connect" and got else "")
                if step == "cut":
                    got = []
        got += [each for each in self.objects(browser) if "id" in each]
        self.assertEqual([each["command"] for each in got], log)
