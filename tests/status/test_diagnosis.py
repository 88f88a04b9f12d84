"""What is going on, in words."""

from dataclasses import replace
from itertools import product
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.peers import NO_CURVE, NO_ZEROMQ
from recodex_monitor.status.diagnosis import (
    Broker,
    Forgotten,
    Job,
    going_on,
    hints,
    of_broker,
    span,
)

FINE = Broker(where="127.0.0.1:7894", peers=1, seen=1, messages=9, last_ago=1)

BROKERS = (FINE, Broker(), Broker(seen=1, gone_ago=9), Broker(peers=1, seen=1))
"""Connected with messages, never connected, disconnected, connected without a message."""

OF_BROKER = {"never-connected", "disconnected", "never-sent"}
_NEVER, _AWAY, _UNSENT = ["never-connected"], ["disconnected"], ["never-sent"]
_APART = [[], _NEVER, _AWAY, _UNSENT]
_REMOVED = ["expired"]
_QUIET: dict[str, Any] = {"messages": 2, "last_ago": 90}
_ENDED: dict[str, Any] = {**_QUIET, "ended_ago": 90}
TABLE: list[tuple[Job, list[list[str]]]] = [
    (Job(), [["unknown"], _NEVER, _AWAY, _UNSENT]),
    (Job(followers=1), [["waiting"], _NEVER, _AWAY, _UNSENT]),
    (Job(messages=2, last_ago=1), _APART),
    (Job(messages=2), _APART),
    (Job(**_QUIET), [["silent"], _NEVER, _AWAY, ["silent", *_UNSENT]]),
    (Job(failed_ago=90, grace=120, **_QUIET), _APART),
    (Job(end="finished", **_ENDED), [[]] * 4),
    (Job(end="finished", outcome="failed", **_ENDED), [["job-failed"]] * 4),
    (Job(end="failed", **_ENDED), [["given-up"]] * 4),
    (Job(end="expired", **_ENDED), [["silent"]] * 4),
    (Job(end="expired", ended_ago=90), [["silent"]] * 4),
    (Job(forgotten=Forgotten(9, "finished", 300)), [["expired"]] * 4),
    (
        Job(forgotten=Forgotten(9)),
        [_REMOVED, *(_REMOVED + one for one in (_NEVER, _AWAY, _UNSENT))],
    ),
]
"""The causes for a state of a job with each of BROKERS."""


class SpanTests(SynchronousTestCase):
    """Lengths of time."""

    def test_each(self) -> None:
        """They have two parts at most, and never a needless one."""
        cases = {0: "0 s", -3: "0 s", 59.4: "59 s", 60: "1 min", 3599: "59 min", 3600: "1 h"}
        cases |= {3720: "1 h 2 min", 86400: "1 d", 90000: "1 d 1 h", 86400 * 40: "40 d"}
        self.assertEqual({seconds: span(seconds) for seconds in cases}, cases)


class GoingOnTests(SynchronousTestCase):
    """A job in a sentence."""

    def check(self, text: str, **job: Any) -> None:
        """What is said of a job."""
        self.assertEqual(going_on(Job(**job)), text)

    def test_nothing(self) -> None:
        """Of a job without messages it is said who waits for it."""
        nothing = "the monitor has no message of this job"
        self.check(nothing)
        self.check(f"{nothing}; 1 waits for it", followers=1)
        self.check(f"{nothing}; 2 wait for it", followers=2)

    def test_running(self) -> None:
        """A running job tells its last message, a silent one for how long it is so."""
        job: dict[str, Any] = {"messages": 3, "last": "TASK compile"}
        self.check("running, last TASK compile 3 s ago", last_ago=3, **job)
        self.check("silent for 12 min, last TASK compile", last_ago=720, **job)
        self.check("no message since the restart, last TASK compile", **job)

    def test_failing(self) -> None:
        """After FAILED it is said when the job will end."""
        text = "has failed; unless another attempt begins, it ends in 6 s"
        self.check(text, messages=1, last="FAILED", last_ago=4, failed_ago=4)

    def test_ended(self) -> None:
        """An ended job tells when and how it ended, and for how long it is kept."""
        text = "ended 3 min ago (finished), kept for 2 min more"
        self.check(text, messages=1, end="finished", ended_ago=180)

    def test_forgotten(self) -> None:
        """Of a job that is kept no longer it is known that it was there."""
        text = (
            "ended 9 min ago (failed) after 34 messages and 1 follower, and was removed 4 min ago"
        )
        self.check(text, forgotten=Forgotten(240, "failed", 540, 34, 1))
        text = "was removed 4 min ago, since there was no room for it; until then it had 1 message"
        self.check(f"{text} and 0 followers", forgotten=Forgotten(240, messages=1))


class HintTests(SynchronousTestCase):
    """Why a student sees no progress."""

    def causes(
        self, job: Job, broker: Broker = FINE, refused: dict[str, int] | None = None
    ) -> list[str]:
        """The causes that are named."""
        return [hint.cause for hint in hints(job, broker, refused or {})]

    def test_none(self) -> None:
        """Nothing is said of a job that goes well."""
        self.assertEqual(self.causes(Job(messages=1, last="STARTED", last_ago=1)), [])
        self.assertEqual(self.causes(Job(messages=1, end="finished", ended_ago=1)), [])

    def test_every_pair(self) -> None:
        """For each state of a job with each state of the broker, only true causes are named."""
        for job, expected in TABLE:
            told = [self.causes(job, broker) for broker in BROKERS]
            self.assertEqual(told, expected, job)

    def test_refused_brokers(self) -> None:
        """A broker that is refused is named with each of these, unless another sends messages."""
        for job, expected in TABLE:
            for broker, causes in zip(BROKERS, expected, strict=True):
                refusing = replace(broker, failures=1, causes={NO_CURVE: 1})
                if broker != FINE and (causes and causes[-1] in OF_BROKER):
                    *others, last = causes
                    refused = [*others, "broker-refused"]
                    causes = refused if last == "never-connected" else [*refused, last]
                self.assertEqual(self.causes(job, refusing), causes, (job, broker))

    def test_every_combination_with_clients(self) -> None:
        """With each of these pairs clients may be refused, cut off and slow, in any combination."""
        for (job, expected), (cut_off, slow) in product(TABLE, product((False, True), repeat=2)):
            if slow and not job.messages:
                continue  # No follower is behind where there is nothing to read.
            one = replace(job, cuts=(60, 60) if cut_off else (), slow=int(slow))
            of_job = ["cut-off"] * cut_off + ["slow"] * slow
            for broker, causes in zip(BROKERS, expected, strict=True):
                # Followers that were cut off have asked for the job.
                known = ["waiting" if cut_off and cause == "unknown" else cause for cause in causes]
                for refused, of_all in (({}, []), ({"origin not allowed": 1}, ["refused"])):
                    told = self.causes(one, broker, refused)
                    self.assertEqual(told, [*known, *of_all, *of_job], (one, broker))

    def test_removed(self) -> None:
        """Only of a job that had ended is retention named as what removed it."""
        for end, has in (("finished", True), (None, False)):
            (hint,) = hints(Job(forgotten=Forgotten(9, end, 300)), FINE, {})
            self.assertEqual("retention" in hint.text, has)
            self.assertEqual("no room" in hint.text, not has)

    def test_broker(self) -> None:
        """A broker that never came, went, or came and never sent anything is told first."""
        self.assertEqual(self.causes(Job(), Broker()), ["never-connected"])
        self.assertEqual(self.causes(Job(), Broker(seen=1, gone_ago=9)), ["disconnected"])
        self.assertEqual(self.causes(Job(), Broker(peers=1, seen=1)), ["never-sent"])

    def test_handshakes(self) -> None:
        """Failed handshakes are told with a broker that never came: it has the wrong port."""
        (hint,) = of_broker(Broker(failures=3))
        self.assertIn("3 handshakes failed", hint.text)

    def test_refused_broker(self) -> None:
        """A broker that was refused is not told to look at the address and port that it has."""
        broker = Broker(failures=16, causes={NO_CURVE: 16})
        (hint,) = of_broker(broker)
        self.assertEqual(hint.cause, "broker-refused")
        self.assertIn("16 x it does not use CURVE", hint.text)
        causes = {"not in zeromq.allowed_networks": 2}
        (hint, away) = of_broker(Broker(seen=1, causes=causes, refused="192.0.2.7"))
        self.assertEqual((hint.cause, away.cause), ("broker-refused", "disconnected"))
        self.assertIn("(last 192.0.2.7): 2 x not in zeromq.allowed_networks", hint.text)
        self.assertEqual(list(of_broker(Broker(peers=1, seen=1, messages=1, causes=causes))), [])
        (hint,) = of_broker(Broker(failures=3, causes={NO_ZEROMQ: 3}))
        self.assertEqual(hint.cause, "never-connected")

    def test_job(self) -> None:
        """A job is unknown, waits, was removed, or was given up."""
        self.assertEqual(self.causes(Job()), ["unknown"])
        self.assertEqual(self.causes(Job(followers=1)), ["waiting"])
        self.assertEqual(self.causes(Job(forgotten=Forgotten(9, "finished", 300))), ["expired"])
        self.assertEqual(self.causes(Job(messages=1, end="failed")), ["given-up"])
        failed = Job(messages=1, end="finished", outcome="failed")
        self.assertEqual(self.causes(failed), ["job-failed"])
        self.assertEqual(self.causes(Job(messages=1, end="expired")), ["silent"])
        self.assertEqual(self.causes(Job(messages=1, last_ago=90)), ["silent"])

    def test_clients(self) -> None:
        """Refused clients, those that were cut off more than once, and slow ones are told."""
        job = Job(messages=1, last_ago=1, cuts=(60.0, 60.1, 59.9), slow=1)
        told = hints(job, FINE, {"origin not allowed": 2, "no room": 0})
        self.assertEqual([hint.cause for hint in told], ["refused", "cut-off", "slow"])
        self.assertIn("2 x origin not allowed", told[0].text)
        self.assertNotIn("no room", told[0].text)
        self.assertIn(
            "3 followers were cut off in the last 15 minutes, after 1 min each", told[1].text
        )
        self.assertEqual(self.causes(Job(messages=1, last_ago=1, cuts=(1.0,))), [])
        (hint,) = hints(Job(messages=1, last_ago=1, cuts=(60, 5, 900)), FINE, {})
        self.assertIn("after 5 s to 15 min: their network", hint.text)
        (hint,) = hints(Job(messages=1, last_ago=1, cuts=(0.3, 0.4, 0.5)), FINE, {})
        self.assertIn("after less than 5 s each: their page was left", hint.text)
