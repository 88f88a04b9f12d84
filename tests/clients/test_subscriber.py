"""WebSocket clients: resuming after an id, pausing, and no gaps."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from recodex_monitor.channels.channel import CHUNK_SIZE
from tests.clients.support import RUNNING_TEXT, ClientsTestCase, end_told, told
from tests.support.clients import Browser
from tests.support.frames import CLOSE, PING, PONG, TEXT, frame
from tests.support.messages import message


class ResumingTestCase(ClientsTestCase):
    """Clients that resume."""

    def follow(self, after: str = "") -> Browser:
        """A client that follows the job and resumes after this id."""
        browser = Browser(self.factory)
        browser.follow("job", f"after={after}")
        return browser

    def objects(self, browser: Browser) -> list[dict[str, object]]:
        """The JSON objects that a client has received since the last call."""
        return [json.loads(payload) for opcode, payload in browser.received() if opcode == TEXT]


class ResumeTests(ResumingTestCase):
    """What a client that resumes gets."""

    def test_all_from_the_start(self) -> None:
        """Without an id a client gets all messages, with consecutive numbers in their ids."""
        browser = self.follow()
        self.publish("STARTED", "ENDED")
        epoch = self.hub.channels["job"].epoch
        self.assertEqual(
            self.objects(browser),
            [
                told("SUBSCRIBED", recovered=False, age=None),
                {"command": "STARTED", "id": f"{epoch}:1"},
                {"command": "ENDED", "id": f"{epoch}:2"},
            ],
        )

    def test_end(self) -> None:
        """How the channel has ended comes last, before the close."""
        browser = self.follow()
        self.publish("FINISHED")
        _, (_, finished), (_, end), close = browser.received()
        self.assertEqual(json.loads(finished)["command"], "FINISHED")
        self.assertEqual(json.loads(end), end_told("finished"))
        self.assertEqual(close, (CLOSE, b"\x03\xe8"))

    def test_forgotten(self) -> None:
        """Of a channel that is no longer kept a client gets FINISHED, the end and 1000 at once."""
        self.publish("STARTED", "FINISHED")
        epoch = self.hub.channels["job"].epoch
        self.pass_time(self.hub.settings.channels.retention)
        self.hub.expire()
        last_told = end_told("finished")
        for after, recovered in (("x", False), (f"{epoch}:1", True), (f"{epoch}:2", True)):
            last = [{"command": "FINISHED", "id": f"{epoch}:2"}] * (after != f"{epoch}:2")
            *texts, close = self.follow(after).received()
            first = told("SUBSCRIBED", recovered=recovered, age=None, forgotten="finished")
            self.assertEqual([json.loads(text) for _, text in texts], [first, *last, last_told])
            self.assertEqual(close, (CLOSE, b"\x03\xe8"))
        bare = self.follower()
        (_, finished), close = bare.received()
        self.assertEqual((finished, close), (b'{"command": "FINISHED"}', (CLOSE, b"\x03\xe8")))

    def test_stop(self) -> None:
        """When the monitor stops, such a client is not told that the job has ended."""
        browser = self.follow()
        self.objects(browser)
        self.factory.connections.close_all()
        self.assertEqual(browser.close_code(), 1012)

    def test_recovered(self) -> None:
        """After an id of the channel a client gets only later messages, possibly none."""
        self.publish("STARTED", "ENDED")
        epoch = self.hub.channels["job"].epoch
        for after, due in ((1, [f"{epoch}:2"]), (2, [])):
            subscribed, *others = self.objects(self.follow(f"{epoch}:{after}"))
            self.assertEqual(subscribed, told("SUBSCRIBED", recovered=True))
            self.assertEqual([other["id"] for other in others], due)

    def test_other_name(self) -> None:
        """A client may also name the id ``lastEventId``."""
        self.publish("STARTED", "ENDED")
        epoch = self.hub.channels["job"].epoch
        for query, recovered in ((f"lastEventId={epoch}%3A1", True), ("lastEventId=", False)):
            browser = Browser(self.factory)
            browser.follow("job", query)
            subscribed, *_, last = self.objects(browser)
            self.assertEqual(subscribed, told("SUBSCRIBED", recovered=recovered))
            self.assertEqual(last["id"], f"{epoch}:2")

    def test_not_recovered(self) -> None:
        """After an id that is malformed, too high or of another epoch a client gets everything."""
        self.publish("STARTED")
        self.hub.publish([message("other", "STARTED")])
        epoch, other = (self.hub.channels[name].epoch for name in ("job", "other"))
        ids = (f"{epoch}:2", f"{epoch}:0", f"{epoch}:-1", f"{epoch}:%c2%b9", f"{other}:1", epoch)
        for after in (*ids, ":", ":1", "x", f"{epoch}:1:1", f"{epoch}:" + "9" * 500):
            subscribed, *others = self.objects(self.follow(after))
            self.assertEqual(subscribed, told("SUBSCRIBED", recovered=False), after)
            self.assertEqual([each["id"] for each in others], [f"{epoch}:1"])

    def test_without_the_query(self) -> None:
        """Other queries change nothing."""
        browser = Browser(self.factory)
        browser.follow("job", "hereafter=x")
        self.publish("STARTED")
        self.assertEqual(browser.texts(), ['{"command": "STARTED"}'])


class GapTests(ResumingTestCase):
    """Connections that end at any time."""

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.sampled_from(("publish", "cut", "connect", "pause", "resume")), max_size=50))
    def test_list_is_the_log(self, steps: list[str]) -> None:
        """With any log and any sequence of connects and losses a client gets exactly the log."""
        self.setUp()
        self.publish("STARTED")
        log, got, browser = ["STARTED"], [], self.follow()
        for number, step in enumerate([*steps, "connect"]):
            if step == "publish":
                log.append(f"C{number}")
                self.publish(log[-1])
            elif step == "pause":
                browser.pause()
            elif step == "resume":
                browser.resume()
            else:
                got += [each for each in self.objects(browser) if "id" in each]
                browser.lose()
                browser = self.follow(str(got[-1]["id"]) if step == "connect" and got else "")
                if step == "cut":
                    got = []
        got += [each for each in self.objects(browser) if "id" in each]
        self.assertEqual([each["command"] for each in got], log)


class SlowReaderTests(ClientsTestCase):
    """Clients that take less than there is."""

    def setUp(self) -> None:
        """A client that follows a channel."""
        super().setUp()
        self.browser = self.follower()

    def test_paused_client_stays_where_it_is(self) -> None:
        """A paused client is sent nothing more, and later the rest from where it was."""
        self.browser.pause()
        self.publish_tasks(1000)
        self.assertEqual(self.browser.transport.stream, [])
        self.browser.resume()
        self.assertEqual(self.browser.texts(), [RUNNING_TEXT] * 1000)

    def test_pause_within_a_write(self) -> None:
        """A client that is full after one chunk of a long log is sent that chunk: whole frames."""
        transport = self.browser.transport
        transport.full = True
        self.publish_tasks(1000)
        self.assertEqual(len(transport.stream), 1)
        self.assertLess(len(transport.stream[0]), CHUNK_SIZE + 200)
        self.assertEqual(set(self.browser.texts()), {RUNNING_TEXT})

    def test_ping_is_answered(self) -> None:
        """A client's ping is answered with its payload."""
        self.browser.send(frame(PING, b"hello"))
        self.assertEqual(self.browser.received(), [(PONG, b"hello")])

    def test_no_answer_to_pings_while_paused(self) -> None:
        """The pings of a client that does not read are not answered, so no answers pile up."""
        self.browser.pause()
        self.browser.send(frame(PING, b"hello") * 100)
        self.assertEqual(self.browser.transport.stream, [])
