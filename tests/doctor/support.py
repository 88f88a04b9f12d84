"""What a trial heard, and what a monitor tells, as the tests of the doctor need it."""

from typing import Any

from recodex_monitor.doctor.context import Context
from recodex_monitor.doctor.findings import Finding
from recodex_monitor.doctor.following import Heard
from recodex_monitor.doctor.trial import FIRST, LAST, Trial
from recodex_monitor.doctor.ways import Way, public_way
from recodex_monitor.settings import parsing

PUBLIC = public_way("ws://recodex.example.org/ws")
DIRECT = Way("127.0.0.1", 4567)

SENT = {name: 10.0 + number for number, name in enumerate(FIRST)} | {
    name: 40.0 + number for number, name in enumerate(LAST)
}


def heard(kind: str, delay: float = 0.01, **changed: Any) -> Heard:
    """A follower that has heard all, some seconds after it was sent."""
    messages = {name: at + delay for name, at in SENT.items()}
    told: dict[str, Any] = {"address": "192.0.2.7", "opened": 9.0, "messages": messages}
    return Heard(kind, **{**told, "ended": 42.0, "is_over": True, **changed})


def trial(**changed: Any) -> Trial:
    """A trial in which nothing is wrong, but for what is given."""
    kinds = ("websocket", "events", "poll")
    direct = [heard(kind, address="127.0.0.1") for kind in kinds]
    public = [changed.pop(kind, None) or heard(kind) for kind in kinds]
    known = [("websocket", "192.0.2.7"), ("events", "127.0.0.1")]
    parts: dict[str, Any] = {"endpoint": "tcp://127.0.0.1:7894", "sent": dict(SENT)}
    parts |= {"silence": 26.0, "resumed": 39.0, "direct": direct, "public": public}
    return Trial(**{**parts, "readers": known, **changed})


def levels(findings: "list[Finding]") -> dict[str, str]:
    """The level of each check."""
    return {one.check: str(one.level) for one in findings}


def said(findings: "list[Finding]", check: str) -> str:
    """What a check has seen and recommends."""
    return " ".join(f"{one.seen} {one.remedy}" for one in findings if one.check == check)


def context(text: str = "", **told: Any) -> Context:
    """A context with the settings of a YAML text; ``told`` is what the monitor tells, if given."""
    made = Context(DIRECT, parsing.parse(text.encode(), None), "config.yml")
    made.told = told or None
    return made
