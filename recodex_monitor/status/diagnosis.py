"""What is going on with a job, and why a student may see no progress, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

QUIET = 60.0
"""Seconds without a message after which a running job is called silent."""


@dataclass(frozen=True)
class Job:
    """What the monitor knows of a job; times are seconds ago.

    Attributes:
        messages: that came for it.
        last: its last message, in short; empty without one.
        last_ago: when that came; None where it came before a restart, or none has.
        failed_ago: when FAILED came, where nothing came after it.
        grace: seconds after which that ends the job.
        end: how it ended; None while it has not.
        ended_ago: when it ended.
        retention: seconds for which it is kept after that.
        followers: who follows it now.
        slow: of them, who do not take what is due.
        forgotten: how it had ended, "" if it had not, and when it was let go; None if it was not.
        cuts: of the followers that were cut off in the last minutes, how many seconds each lasted.
    """

    messages: int = 0
    last: str = ""
    last_ago: float | None = None
    failed_ago: float | None = None
    grace: float = 10
    end: str | None = None
    ended_ago: float | None = None
    retention: float = 300
    followers: int = 0
    slow: int = 0
    forgotten: tuple[str, float] | None = None
    cuts: Sequence[float] = ()


@dataclass(frozen=True)
class Broker:
    """What the monitor knows of the broker; times are seconds ago.

    Attributes:
        where: the address at which the monitor waits for it.
        peers: connections now.
        seen: connections since the start.
        failures: handshakes that failed.
        gone_ago: when the last connection ended.
        messages: that came of it.
        last_ago: when the last one came.
    """

    where: str = ""
    peers: int = 0
    seen: int = 0
    failures: int = 0
    gone_ago: float | None = None
    messages: int = 0
    last_ago: float | None = None


class Hint(NamedTuple):
    """Something that keeps students from seeing progress.

    Attributes:
        cause: its name in docs/operations.md.
        text: what is seen of it, and where to look.
    """

    cause: str
    text: str


def span(seconds: float) -> str:
    """A length of time for people."""
    whole = max(0, round(seconds))
    for unit, size, below in (("d", 86400, 3600), ("h", 3600, 60)):
        if whole >= size:
            rest = whole % size // below
            part = f" {rest} {'h' if below == 3600 else 'min'}" if rest else ""
            return f"{whole // size} {unit}{part}"
    return f"{whole // 60} min" if whole >= 60 else f"{whole} s"


def going_on(job: Job) -> str:
    """What is going on with a job, in a sentence."""
    if job.end is not None:
        return _ended(job)
    if job.forgotten is not None:
        end, ago = job.forgotten
        how = f"it had ended ({end})" if end else "there was no room for it"
        return f"was let go {span(ago)} ago, since {how}"
    if not job.messages:
        return f"the broker has not sent anything for this job{_waiting(job)}"
    if job.failed_ago is not None:
        left = span(job.grace - job.failed_ago)
        return f"FAILED came {span(job.failed_ago)} ago; with nothing behind it, it ends in {left}"
    if job.last_ago is None:
        return f"nothing has come since the restart, last {job.last}"
    if job.last_ago >= QUIET:
        return f"silent for {span(job.last_ago)}, last {job.last}"
    return f"running, last {job.last} {span(job.last_ago)} ago"


def _ended(job: Job) -> str:
    if job.ended_ago is None:
        return f"ended ({job.end})"
    left = span(job.retention - job.ended_ago)
    return f"ended {span(job.ended_ago)} ago ({job.end}), kept for {left} more"


def _waiting(job: Job) -> str:
    if not job.followers:
        return ""
    return f"; {job.followers} {'waits' if job.followers == 1 else 'wait'} for it"


def hints(job: Job, broker: Broker, refused: Mapping[str, int]) -> list[Hint]:
    """What may keep a student from seeing this job's progress, the likeliest first.

    Args:
        job: the job.
        broker: the broker.
        refused: clients that were refused in the last minutes, by reason.
    """
    return [*_of_job(job), *of_broker(broker, job), *of_clients(job, refused)]


def _of_job(job: Job) -> Iterator[Hint]:
    if job.end == "failed":
        text = "the broker gave the job up: FAILED came, and nothing after it"
        yield Hint("given-up", f"{text}. Its own log says why.")
    elif job.end == "expired":
        yield Hint("silent", "nothing came for so long that the job was ended (idle_timeout)")
    elif job.forgotten is not None:
        _, ago = job.forgotten
        text = f"the job was let go {span(ago)} ago. Whoever joins now waits in vain"
        yield Hint("expired", f"{text}; retention says how long jobs are kept after their end.")
    elif job.messages and job.last_ago is not None and job.last_ago >= QUIET:
        text = f"nothing has come for {span(job.last_ago)}: the task takes long"
        yield Hint("silent", f"{text}, or its worker hangs")


def of_broker(broker: Broker, job: Job | None = None) -> Iterator[Hint]:
    """What is wrong with the broker's connection, seen from a job or from all of them."""
    if not broker.peers and not broker.seen:
        text = f"the broker has never connected to {broker.where}. Its setting of the monitor's"
        failed = f" {broker.failures} handshakes failed there." if broker.failures else ""
        yield Hint("never-connected", f"{text} address and port must be that.{failed}")
    elif not broker.peers:
        ago = span(broker.gone_ago or 0)
        yield Hint("disconnected", f"the broker has gone {ago} ago and has not come back")
    elif not broker.messages:
        text = "the broker is connected and has never sent anything. It must address the monitor"
        yield Hint("never-sent", f"{text} as recodex-monitor, and be a broker")
    elif job is not None and not job.messages and job.forgotten is None:
        yield _unheard(job)


def _unheard(job: Job) -> Hint:
    if job.followers:
        text = "the broker sends other jobs but not this one: it waits in the broker's queue"
        return Hint("waiting", f"{text}, or its id is not the one that the page asks for")
    text = "neither the broker nor any browser has asked for this job: is the id right"
    return Hint("unknown", f"{text}, and is this the monitor that the broker sends it to?")


def of_clients(job: Job | None, refused: Mapping[str, int]) -> Iterator[Hint]:
    """What keeps clients from being served."""
    reasons = ", ".join(f"{count} x {reason}" for reason, count in refused.items() if count)
    if reasons:
        text = f"clients were refused in the last minutes: {reasons}"
        yield Hint("refused", f"{text}. See limits, and allowed_origins")
    if job is not None and len(job.cuts) > 1:
        lasted = sorted(job.cuts)[len(job.cuts) // 2]
        text = f"{len(job.cuts)} followers were cut off in the last minutes, after {span(lasted)}"
        yield Hint("cut-off", f"{text} mostly. A proxy's timeout does that, at equal times")
    if job is not None and job.slow:
        yield Hint("slow", f"{job.slow} followers do not take what is due to them")
