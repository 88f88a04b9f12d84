"""What is going on, in words."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.status.diagnosis import Broker, Job, going_on, hints, of_broker, span

FINE = Broker(where="127.0.0.1:7894", peers=1, seen=1, messages=9, last_ago=1)


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
        nothing = "the broker has not sent anything for this job"
        self.check(nothing)
        self.check(f"{nothing}; 1 waits for it", followers=1)
        self.check(f"{nothing}; 2 wait for it", followers=2)

    def test_running(self) -> None:
        """A running job tells its last message, a silent one for how long it is so."""
        job: dict[str, Any] = {"messages": 3, "last": "TASK compile"}
        self.check("running, last TASK compile 3 s ago", last_ago=3, **job)
        self.check("silent for 12 min, last TASK compile", last_ago=720, **job)
        self.check("nothing has come since the restart, last TASK compile", **job)

    def test_failing(self) -> None:
        """After FAILED it is said when the job will end."""
        text = "FAILED came 4 s ago; with nothing behind it, it ends in 6 s"
        self.check(text, messages=1, last="FAILED", last_ago=4, failed_ago=4)

    def test_ended(self) -> None:
        """An ended job tells when and how it ended, and for how long it is kept."""
        text = "ended 3 min ago (finished), kept for 2 min more"
        self.check(text, messages=1, end="finished", ended_ago=180)

    def test_forgotten(self) -> None:
        """Of a job that is kept no longer it is known that it was there."""
        text = "was let go 4 min ago, since it had ended (failed)"
        self.check(text, forgotten=("failed", 240))
        text = "was let go 4 min ago, since there was no room for it"
        self.check(text, forgotten=("", 240))


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

    def test_broker(self) -> None:
        """A broker that never came, went, or came and never sent anything is told first."""
        self.assertEqual(self.causes(Job(), Broker()), ["never-connected"])
        self.assertEqual(self.causes(Job(), Broker(seen=1, gone_ago=9)), ["disconnected"])
        self.assertEqual(self.causes(Job(), Broker(peers=1, seen=1)), ["never-sent"])

    def test_handshakes(self) -> None:
        """Failed handshakes are told with a broker that never came: it has the wrong port."""
        (hint,) = of_broker(Broker(failures=3))
        self.assertIn("3 handshakes failed", hint.text)

    def test_job(self) -> None:
        """A job is unknown, waits, was let go, or was given up."""
        self.assertEqual(self.causes(Job()), ["unknown"])
        self.assertEqual(self.causes(Job(followers=1)), ["waiting"])
        self.assertEqual(self.causes(Job(forgotten=("finished", 9))), ["expired"])
        self.assertEqual(self.causes(Job(messages=1, end="failed")), ["given-up"])
        self.assertEqual(self.causes(Job(messages=1, end="expired")), ["silent"])
        self.assertEqual(self.causes(Job(messages=1, last_ago=90)), ["silent"])

    def test_clients(self) -> None:
        """Refused clients, those that were cut off more than once, and slow ones are told."""
        job = Job(messages=1, last_ago=1, cuts=(60.0, 60.1, 59.9), slow=1)
        told = hints(job, FINE, {"origin not allowed": 2, "no room": 0})
        self.assertEqual([hint.cause for hint in told], ["refused", "cut-off", "slow"])
        self.assertIn("2 x origin not allowed", told[0].text)
        self.assertNotIn("no room", told[0].text)
        self.assertIn("3 followers were cut off in the last minutes, after 1 min", told[1].text)
        self.assertEqual(self.causes(Job(messages=1, last_ago=1, cuts=(1.0,))), [])
