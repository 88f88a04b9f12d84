"""What is concluded from what followers have heard."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor import verdicts
from recodex_monitor.doctor.answers import Refusal
from recodex_monitor.doctor.broker_side import CannotPlay
from recodex_monitor.doctor.findings import Level
from recodex_monitor.doctor.trial import FIRST, Trial
from tests.doctor.support import DIRECT, PUBLIC, heard, levels, said, trial

ALL = {"websocket", "events", "poll", "buffering", "idle"}


def failing(played: Trial) -> set[str]:
    """The checks of the public way that fail."""
    found = levels(list(verdicts.public(played, PUBLIC)))
    return {check for check, level in found.items() if level == "FAIL"}


class PublicTests(SynchronousTestCase):
    """The public way."""

    def test_well(self) -> None:
        """Where all comes at once, all is well."""
        found = levels(list(verdicts.public(trial(), PUBLIC)))
        self.assertEqual(found, dict.fromkeys(ALL, "ok"))

    def test_no_upgrade(self) -> None:
        """Where only WebSocket is refused, the upgrade was lost."""
        for status in (200, 400, 404, 426):
            lost = heard("websocket", opened=None, messages={}, refusal=Refusal(status))
            found = list(verdicts.public(trial(websocket=lost), PUBLIC))
            self.assertIn("upgrade", said(found, "websocket"))
            self.assertEqual(failing(trial(websocket=lost)), {"websocket"})

    def test_silent(self) -> None:
        """Where WebSocket opens and nothing comes through, that is not the upgrade."""
        lost = heard("websocket", opened=None, messages={}, ended=None, is_over=False)
        found = list(verdicts.public(trial(websocket=lost), PUBLIC))
        self.assertIn("nothing came", said(found, "websocket"))
        self.assertEqual(levels(found)["websocket"], "FAIL")
        self.assertEqual(levels(found)["buffering"], "ok")

    def test_opened_late(self) -> None:
        """A WebSocket that takes long to open is not buffered."""
        messages = {name: max(at, 15.0) for name, at in heard("websocket").messages.items()}
        late = heard("websocket", opened=14.99, messages=messages)
        self.assertEqual(failing(trial(websocket=late)), set())

    def test_origin(self) -> None:
        """Where the page is refused, that is not the proxy's fault."""
        refusal = Refusal(403, "Pages of this origin may not connect.")
        lost = heard("websocket", opened=None, messages={}, refusal=refusal)
        found = list(verdicts.public(trial(websocket=lost), PUBLIC))
        self.assertNotIn("upgrade", said(found, "websocket"))

    def test_nothing(self) -> None:
        """Where nothing works, each way says why."""
        lost = {
            kind: heard(kind, opened=None, messages={}, refusal=Refusal(502), is_over=False)
            for kind in ("websocket", "events", "poll")
        }
        self.assertEqual(failing(trial(**lost)), set(lost))

    def test_buffering(self) -> None:
        """What comes late, or only when all is over, was kept back."""
        late = heard("events", delay=4.0)
        never = heard("events", opened=None, messages={}, ended=None, is_over=False)
        for one in (late, never):
            self.assertEqual(failing(trial(events=one)), {"buffering"})
        busy = list(verdicts.public(trial(poll=heard("poll", delay=0.3)), PUBLIC))
        self.assertEqual(levels(busy)["buffering"], "warn")

    def test_idle(self) -> None:
        """What ended in the silence was cut off, and how long that took is said."""
        messages = {name: at for name, at in heard("events").messages.items() if name in FIRST}
        cut: dict[str, Any] = {
            "messages": messages,
            "ended": 22.0,
            "is_over": False,
            "error": "it ended",
        }
        for one in (
            heard("websocket", **cut),
            heard("poll", **{**cut, "error": "", "refusal": Refusal(504)}),
        ):
            found = list(verdicts.public(trial(**{one.kind: one}), PUBLIC))
            self.assertEqual(failing(trial(**{one.kind: one})), {"idle"}, found)
            self.assertIn("after 10 s of silence", said(found, "idle"))

    def test_not_tried(self) -> None:
        """Without a job nothing is said of buffers, and without silence nothing of timeouts."""
        quiet = trial(silence=0.0)
        self.assertNotIn("idle", levels(list(verdicts.public(quiet, PUBLIC))))
        unplayed = trial(sent={}, silence=0.0)
        self.assertNotIn("buffering", levels(list(verdicts.public(unplayed, PUBLIC))))
        self.assertEqual(failing(unplayed), set())

    def test_without_job(self) -> None:
        """Without a job it is seen what is open, and what is cut off in the silence."""
        nothing = {"messages": {}, "is_over": False}
        kinds = ("websocket", "events", "poll")
        kept = {kind: heard(kind, 0, **nothing, opened=10.0, ended=39.5) for kind in kinds}
        played = trial(sent={}, **kept)
        found = list(verdicts.public(played, PUBLIC))
        self.assertEqual(levels(found), dict.fromkeys((*kinds, "idle"), "ok"))
        cut = {**kept, "events": heard("events", 0, **nothing, opened=10.0, ended=20.0, error="x")}
        found = list(verdicts.public(trial(sent={}, **cut), PUBLIC))
        self.assertIn("after 10 s of silence", said(found, "idle"))

    def test_missing(self) -> None:
        """A message that never comes is named."""
        messages = heard("poll").messages
        del messages["task-2"]
        found = list(verdicts.public(trial(poll=heard("poll", messages=messages)), PUBLIC))
        self.assertIn("task-2 never came", said(found, "poll"))


class DirectTests(SynchronousTestCase):
    """The monitor itself, and the job."""

    def test_levels(self) -> None:
        """It delivers, or late, or not at all."""
        self.assertEqual(verdicts.direct(trial(), DIRECT).level, Level.OK)
        late = [heard(kind, delay=0.5) for kind in ("websocket", "events", "poll")]
        self.assertEqual(verdicts.direct(trial(direct=late), DIRECT).level, Level.WARN)
        broken = [*late[:2], heard("poll", error="refused")]
        found = verdicts.direct(trial(direct=broken), DIRECT)
        self.assertEqual((found.level, "long poll" in found.seen), (Level.FAIL, True))

    def test_job(self) -> None:
        """A job that may not be played is no failure."""
        self.assertEqual(verdicts.job(trial()).level, Level.OK)
        wrong = CannotPlay("nothing listens", "start it")
        self.assertEqual(verdicts.job(trial(problem=wrong)).level, Level.FAIL)
        barred = CannotPlay("not allowed", "", is_wrong=False)
        self.assertEqual(verdicts.job(trial(problem=barred)).level, Level.WARN)


class AddressTests(SynchronousTestCase):
    """What the monitor takes this client for."""

    def test_levels(self) -> None:
        """Itself, the proxy, or what is not told."""
        (right,) = verdicts.client_address(trial())
        self.assertEqual((right.level, "192.0.2.7" in right.seen), (Level.OK, True))
        (wrong,) = verdicts.client_address(trial(readers=[("websocket", "10.0.0.1")]))
        self.assertEqual((wrong.level, "for 10.0.0.1" in wrong.seen), (Level.WARN, True))
        for readers in (None, list[Any]()):
            (unknown,) = verdicts.client_address(trial(readers=readers))
            self.assertEqual(unknown.level, Level.WARN)
        self.assertEqual(list(verdicts.client_address(trial(public=[]))), [])
