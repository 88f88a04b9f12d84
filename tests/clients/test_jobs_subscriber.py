"""WebSocket clients that follow many channels."""

import json
from typing import Any

from recodex_monitor.channels.channel import CHUNK_SIZE
from tests.clients.support import RUNNING, ClientsTestCase, end_told, told
from tests.support.clients import Browser
from tests.support.frames import BINARY, CLOSE, TEXT, frame
from tests.support.messages import message

SUBSCRIBED = {"channel": "a", **told("SUBSCRIBED", recovered=False, age=None)}


class JobsClient(Browser):
    """A client of many channels in memory."""

    def ask(self, **request: object) -> None:
        """Send a JSON object."""
        self.send(frame(TEXT, json.dumps(request).encode()))

    def follow_all(self, *channels: str) -> None:
        """Follow channels from their first messages on."""
        for channel in channels:
            self.ask(follow=channel)

    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects that have come since the last call; nothing else may have come."""
        return [json.loads(text) for text in self.texts()]

    def told_of(self, *keys: str) -> list[tuple[Any, ...]]:
        """The values of these keys in what has come since the last call."""
        return [tuple(each.get(key) for key in keys) for each in self.objects()]


class JobsTestCase(ClientsTestCase):
    """Clients of many channels."""

    def client(self, *channels: str) -> JobsClient:
        """A client that follows channels, and has taken what is there."""
        client = JobsClient(self.factory)
        client.open("jobs")
        client.follow_all(*channels)
        client.take()
        return client

    def tell(self, channel_id: str, *commands: str) -> None:
        """Publish messages of a channel with these commands."""
        self.hub.publish([message(channel_id, command) for command in commands])


class FollowTests(JobsTestCase):
    """What such a client gets."""

    def test_channel_first(self) -> None:
        """SUBSCRIBED, messages with ids and END come with the channel as their first key."""
        client = self.client()
        client.ask(follow="a")
        self.hub.publish([message("a", *RUNNING)])
        self.tell("a", "FINISHED")
        epoch = self.hub.channels["a"].epoch
        texts = client.texts()
        task = {"command": "TASK", "task_id": "t", "task_state": "COMPLETED"}
        due = [
            SUBSCRIBED,
            {"channel": "a", **task, "id": f"{epoch}:1"},
            {"channel": "a", "command": "FINISHED", "id": f"{epoch}:2"},
            {"channel": "a", **end_told("finished")},
        ]
        self.assertEqual(texts, [json.dumps(each) for each in due])

    def test_query(self) -> None:
        """The parameter ``jobs`` may have a value, and others beside it; ``xjobs`` is none."""
        for query in ("jobs", "jobs=", "jobs=1", "x=1&jobs", "jobs&after="):
            client = JobsClient(self.factory)
            client.open(query)
            client.ask(follow="a")
            self.assertEqual(client.told_of("channel", "command"), [("a", "SUBSCRIBED")], query)
        other = JobsClient(self.factory)
        other.open("xjobs=jobs")
        other.ask(follow="a")
        self.assertEqual(other.received(), [])

    def test_many(self) -> None:
        """Each channel's messages come with it, in order."""
        client = self.client("a", "b")
        self.tell("a", "STARTED")
        self.tell("b", "STARTED", "ENDED")
        self.tell("c", "STARTED")
        self.tell("a", "ENDED")
        got = client.told_of("channel", "command")
        self.assertEqual(got, [("a", "STARTED"), ("b", "STARTED"), ("b", "ENDED"), ("a", "ENDED")])

    def test_resume(self) -> None:
        """After an id a client gets what follows it; with one that is not known it gets all."""
        self.tell("a", "STARTED", "ENDED")
        epoch = self.hub.channels["a"].epoch
        client = self.client()
        client.ask(follow="a", after=f"{epoch}:1")
        client.ask(unfollow="a")
        client.ask(follow="a", after="x:1")
        keys = ("command", "recovered", "id")
        self.assertEqual(
            client.told_of(*keys),
            [
                ("SUBSCRIBED", True, None),
                ("ENDED", None, f"{epoch}:2"),
                ("SUBSCRIBED", False, None),
                ("STARTED", None, f"{epoch}:1"),
                ("ENDED", None, f"{epoch}:2"),
            ],
        )

    def test_end(self) -> None:
        """An end ends one channel; the connection stays, and the channel may be followed again."""
        client = self.client("a", "b")
        self.tell("a", "FINISHED")
        self.tell("b", "STARTED")
        client.ask(follow="a")
        due = ["FINISHED", "END", "STARTED", "SUBSCRIBED", "FINISHED", "END"]
        self.assertEqual([command for (command,) in client.told_of("command")], due)
        self.assertEqual(len(self.hub.channels["a"].subscriptions), 0)
        self.assertIsNone(client.ended)

    def test_forgotten(self) -> None:
        """Of a channel that is no longer kept a client gets what is remembered of it."""
        self.tell("a", "FINISHED")
        self.pass_time(self.hub.settings.channels.retention)
        self.hub.expire()
        client = self.client()
        client.ask(follow="a")
        due = [("SUBSCRIBED", "finished"), ("FINISHED", None), ("END", None)]
        self.assertEqual(client.told_of("command", "forgotten"), due)

    def test_nothing_to_do(self) -> None:
        """To follow what is followed, or to unfollow what is not, does nothing."""
        client = self.client("a")
        client.ask(follow="a")
        client.ask(unfollow="b")
        self.tell("a", "STARTED")
        self.assertEqual(client.told_of("command"), [("STARTED",)])

    def test_unfollow(self) -> None:
        """A channel that is unfollowed sends nothing more; without messages it is removed."""
        client = self.client("a", "b")
        client.ask(unfollow="a")
        client.ask(unfollow="b")
        self.assertEqual(self.hub.channels, {})
        self.tell("a", "STARTED")
        self.assertEqual(client.received(), [])

    def test_lost(self) -> None:
        """With the connection all its subscriptions end; what was cut is noted."""
        client = self.client("a", "b")
        self.tell("a", "STARTED")
        client.lose()
        self.assertEqual(set(self.hub.channels), {"a"})
        self.assertEqual(len(self.hub.channels["a"].subscriptions), 0)
        counters = self.hub.counters
        self.assertEqual(dict(counters.gone), {("jobs", "1006"): 1})
        self.assertEqual(
            [(cut.id, cut.kind) for cut in counters.cuts], [("a", "jobs"), ("b", "jobs")]
        )
        self.assertEqual(counters.joined["jobs"], 2)


class RefusedTests(JobsTestCase):
    """What cannot be followed."""

    limits = {"max_channels_per_client": 2, "max_channels": 3}  # noqa: RUF012

    def refused(self, client: JobsClient) -> list[tuple[Any, ...]]:
        """The channels and reasons of what was refused since the last call, and of nothing else."""
        objects = client.objects()
        self.assertEqual([each["command"] for each in objects], ["REFUSED"] * len(objects))
        for each in objects:
            self.assertEqual(list(each), ["channel", "command", "reason"])
        return [(each["channel"], each["reason"]) for each in objects]

    def test_id(self) -> None:
        """An id must not be empty or too long, and must be Unicode."""
        client = self.client()
        wrong = ["", "x" * 513, "\ud800", "\u017d" * 257]
        client.follow_all(*wrong)
        self.assertEqual(self.refused(client), [(each, "id") for each in wrong])
        client.follow_all("x" * 512)
        self.assertEqual(client.told_of("command"), [("SUBSCRIBED",)])

    def test_limit(self) -> None:
        """A client follows so many channels at a time; ended ones do not count."""
        client = self.client("a", "b")
        client.follow_all("c")
        self.assertEqual(self.refused(client), [("c", "limit")])
        self.tell("a", "FINISHED")
        client.take()
        client.follow_all("c")
        self.assertEqual(client.told_of("channel", "command"), [("c", "SUBSCRIBED")])

    def test_room(self) -> None:
        """There may be no room for another channel, which is counted."""
        self.client("a", "b")
        client = self.client("c")
        client.follow_all("d")
        self.assertEqual(self.refused(client), [("d", "room")])
        self.assertEqual(self.factory.connections.refused.counts["no room"], 1)

    def test_malformed(self) -> None:
        """What is not understood is refused without a channel, and closes nothing."""
        client = self.client("a")
        client.send(frame(TEXT, b"student_1") + frame(TEXT, b"") + frame(TEXT, b"[" * 2000))
        client.ask(follow="b", after=1)
        none = (None, "malformed")
        self.assertEqual(self.refused(client), [none, none, none, ("b", "malformed")])
        self.tell("a", "STARTED")
        self.assertEqual(client.told_of("command"), [("STARTED",)])


class BoundTests(JobsTestCase):
    """What such a client may do at most."""

    limits = {"max_client_messages": 10, "max_client_bytes": 2000}  # noqa: RUF012

    def test_nothing_followed(self) -> None:
        """A client that follows nothing in time is closed with 1008; later it may."""
        idle, refused, client = self.client(), self.client(), self.client("a")
        refused.ask(follow="")
        refused.take()
        client.ask(unfollow="a")
        self.pass_time(10)
        self.assertEqual((idle.close_code(), refused.close_code()), (1008, 1008))
        self.assertEqual(client.received(), [])

    def test_messages(self) -> None:
        """A client that sends too many messages in an interval is closed with 1008."""
        for size in (10, 200):  # short frames are read in another way than long ones
            client = self.client()
            for _ in range(10 if size == 10 else 8):
                client.send(frame(TEXT, b" " * size + b'{"unfollow": "a"}'))
            self.assertEqual(client.received(), [])
            self.clock.advance(60)
            client.send(frame(TEXT, b'{"unfollow": "a"}') * 10)
            self.assertEqual(client.received(), [])
            client.send(frame(TEXT, b'{"follow": "a"}'))
            self.assertEqual(client.close_code(), 1008)
            self.assertEqual(self.hub.channels, {})

    def test_bytes(self) -> None:
        """So is one that sends too many bytes, and one that sends empty fragments."""
        client = self.client()
        for _ in range(2):
            client.send(frame(TEXT, b" " * 990 + b"x"))
        self.assertEqual(client.told_of("reason"), [("malformed",), ("malformed",)])
        client.send(frame(TEXT, b" " * 100))
        self.assertEqual(client.close_code(), 1008)
        client = self.client()
        fragment = frame(0)[1:]
        client.send(bytes((TEXT,)) + fragment + (b"\0" + fragment) * 10)
        self.assertEqual(client.close_code(), 1008)

    def test_binary(self) -> None:
        """A binary message is closed with 1003, a long one with 1009."""
        client, other = self.client("a"), self.client("a")
        client.send(frame(BINARY, b'{"follow": "b"}'))
        self.assertEqual(client.close_code(), 1003)
        other.send(frame(TEXT, b" " * 4097))
        self.assertEqual(other.close_code(), 1009)
        self.assertEqual(self.hub.channels, {})


class LoadingTests(JobsTestCase):
    """Channels whose messages another node has to send first."""

    def setUp(self) -> None:
        """Load nothing before the test says so."""
        super().setUp()
        self.waiting: list[tuple[Any, Any]] = []
        source = self.hub.source
        self.patch(source, "when_loaded", lambda *call: self.waiting.append(call[1:3]))

    def test_later(self) -> None:
        """A channel is followed when it is loaded, unless it was unfollowed; once at most."""
        client = self.client("a", "a", "b", "c")
        client.ask(unfollow="b")
        self.assertEqual(len(self.waiting), 3)
        for call, _ in self.waiting:
            call()
        got = client.told_of("channel", "command")
        self.assertEqual(got, [("a", "SUBSCRIBED"), ("c", "SUBSCRIBED")])

    def test_refused(self) -> None:
        """What cannot be loaded is refused for lack of room."""
        client = self.client("a", "b")
        client.ask(unfollow="b")
        for _, refuse in self.waiting:
            refuse()
        self.assertEqual(client.told_of("channel", "reason"), [("a", "room")])

    def test_gone(self) -> None:
        """Nothing is followed for a client that has gone meanwhile."""
        client = self.client("a")
        client.lose()
        for call, refuse in self.waiting:
            call()
            refuse()
        self.assertEqual(self.hub.channels, {})

    def test_restart(self) -> None:
        """A channel whose messages are replaced begins anew on the same connection."""
        self.tell("a", "STARTED")
        client = self.client("a")
        self.waiting.pop()[0]()
        client.take()
        (subscription,) = self.hub.channels["a"].subscriptions
        self.hub.unsubscribe(subscription)
        subscription.restart()
        self.waiting.pop()[0]()
        got = client.told_of("channel", "command", "recovered")
        self.assertEqual(got, [("a", "SUBSCRIBED", False), ("a", "STARTED", None)])


class SlowClientTests(JobsTestCase):
    """Clients that take less than there is."""

    def test_nothing_lost(self) -> None:
        """What a paused client has missed comes later, SUBSCRIBED first."""
        client = self.client("a")
        client.pause()
        client.follow_all("b")
        self.tell("a", "STARTED")
        self.tell("b", "STARTED", "FINISHED")
        self.assertEqual(client.received(), [])
        self.assertTrue(all(one.is_paused for one in self.hub.channels["a"].subscriptions))
        client.resume()
        due = [("b", each) for each in ("SUBSCRIBED", "STARTED", "FINISHED", "END")]
        self.assertEqual(client.told_of("channel", "command"), [*due, ("a", "STARTED")])

    def test_turns(self) -> None:
        """A long channel does not hold up the others: each is read a chunk at a time."""
        client = self.client("long", "a", "b")
        client.pause()
        self.hub.publish([message("long", *RUNNING)] * (3 * CHUNK_SIZE // 60))
        self.tell("a", "STARTED")
        self.tell("b", "STARTED")
        client.transport.full = True
        order = []
        for _ in range(7):
            client.resume()
            order += sorted({channel for (channel,) in client.told_of("channel")})
        self.assertEqual(order, ["long", "a", "b", "long", "long", "long"][: len(order)])
        self.assertEqual(len(order), 6)

    def test_refusals(self) -> None:
        """A client that does not read answers is not read itself until they can be sent."""
        client = self.client("a")
        client.pause()
        stopped = []
        self.patch(client.transport, "pauseProducing", lambda: stopped.append(True))
        self.patch(client.transport, "resumeProducing", lambda: stopped.append(False))
        client.follow_all("", "")
        self.assertEqual((client.received(), stopped), ([], [True, True]))
        client.resume()
        self.assertEqual(client.told_of("reason"), [("id",), ("id",)])
        self.assertEqual(stopped, [True, True, False])

    def test_refusals_at_close(self) -> None:
        """Nothing comes after a close frame, and the client's answer to it is read."""
        client = self.client("a")
        client.pause()
        client.follow_all("")
        resumed: list[bool] = []
        self.patch(client.transport, "resumeProducing", lambda: resumed.append(True))
        client.server.sendCloseFrame(1008)
        client.resume()
        self.assertEqual((client.close_code(), resumed), (1008, [True]))

    def test_rest_in_time(self) -> None:
        """Who does not read the rest of an ended channel in time is cut; others are not."""
        slow, other = self.client("a", "b"), self.client("a", "b")
        for client in (slow, other):
            client.transport.full = True
            client.pause()
        self.hub.publish([message("b", *RUNNING)] * (3 * CHUNK_SIZE // 60))
        self.tell("b", "FINISHED")
        for client, turns in ((slow, 1), (other, 5)):
            for _ in range(turns):
                client.resume()
        self.clock.advance(self.hub.settings.limits.finish_timeout)
        self.factory.subscribers.shared.sweep()
        self.assertEqual((slow.ended, other.ended), ("aborted", None))


class ConnectionTests(JobsTestCase):
    """What belongs to the connection."""

    def test_heartbeat(self) -> None:
        """PING comes after silence on the connection, and has no channel."""
        client = self.client("a", "b")
        self.tell("a", "STARTED")
        client.take()
        self.pass_time(25)
        texts = [json.loads(payload) for opcode, payload in client.received() if opcode == TEXT]
        self.assertEqual(texts, [{"command": "PING", "broker": True}])

    def test_stop(self) -> None:
        """When the monitor stops, what is due is sent, and then 1012."""
        client, idle = self.client("a", "b"), self.client()
        client.pause()
        self.tell("a", "STARTED")
        self.tell("b", "FINISHED")
        self.factory.connections.close_all()
        self.assertEqual(idle.close_code(), 1012)
        self.assertEqual(client.received(), [])
        client.resume()
        *texts, close = client.received()
        got = [
            (each["channel"], each["command"]) for _, text in texts for each in [json.loads(text)]
        ]
        self.assertEqual(got, [("a", "STARTED"), ("b", "FINISHED"), ("b", "END")])
        self.assertEqual(close, (CLOSE, b"\x03\xf4the monitor stops"))

    def test_bug(self) -> None:
        """An internal error while sending closes this client with 1011, and nobody else."""
        client, other = self.client("a"), self.client("a")
        client.transport.broken = True
        self.tell("a", "STARTED")
        self.assertEqual(client.close_code(), 1011)
        self.assertEqual(other.told_of("command"), [("STARTED",)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_is_alive(self) -> None:
        """A client that takes something counts as alive, though it answers no ping."""
        client = self.client("a")
        subscriber = client.server.subscriber
        subscriber.ping()
        self.assertFalse(subscriber.is_alive())
        self.tell("a", "STARTED")
        self.assertTrue(subscriber.is_alive())
        subscriber.ping()
        client.transport.unacknowledged = 10
        self.assertFalse(subscriber.is_alive())
