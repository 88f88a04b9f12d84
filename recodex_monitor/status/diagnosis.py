"""What is going on with a job, and why a student may see no progress, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from recodex_monitor.status import refusals
from recodex_monitor.status.hint import Hint
from recodex_monitor.status.refusals import NOTHING

QUIET = 60.0
"""Seconds without a message after which a running job is called silent."""

_ALIKE = 0.1
"""Times that are shorter than another by no more than this part of it count as equal."""

_AT_ONCE = 5
"""Seconds; no proxy has so short a timeout."""


class Forgotten(NamedTuple):
    """What is remembered of a job that is no longer kept; times are seconds ago.

    Attributes:
        ago: when it was removed.
        outcome: how it had gone; None if it had not ended.
        ended_ago: when it had ended.
        messages: how many it had.
        followers: how many had followed it.
        end: how its channel had ended; None if it had not.
    """

    ago: float
    outcome: str | None = None
    ended_ago: float | None = None
    messages: int = 0
    followers: int = 0
    end: str | None = None


@dataclass(frozen=True)
class Job:
    """What the monitor knows of a job; times are seconds ago.

    Attributes:
        messages: that came for it.
        last: its last message, in short; empty without one.
        last_ago: when that came; None where it came before a restart, or none has.
        failed_ago: when the last message came, where FAILED came and no attempt began after it.
        grace: seconds after which that ends the job.
        end: how its channel ended; None while it has not.
        outcome: how it went, once its channel has ended.
        ended_ago: when it ended.
        retention: seconds for which it is kept after that.
        followers: how many follow it now.
        slow: how many of them do not read fast enough.
        forgotten: what is remembered of it, if it is no longer kept.
        cuts: for how many seconds each follower that was cut off in the last minutes had followed.
    """

    messages: int = 0
    last: str = ""
    last_ago: float | None = None
    failed_ago: float | None = None
    grace: float = 10
    end: str | None = None
    outcome: str | None = None
    ended_ago: float | None = None
    retention: float = 300
    followers: int = 0
    slow: int = 0
    forgotten: Forgotten | None = None
    cuts: Sequence[float] = ()


@dataclass(frozen=True)
class Broker:
    """What the monitor knows of the broker; times are seconds ago.

    Attributes:
        where: the address at which the monitor listens for it.
        peers: current connections.
        seen: connections since the start.
        failures: handshakes that failed.
        causes: those handshakes by cause.
        refused: the last address that was refused for its network or key.
        gone_ago: when the last connection ended.
        messages: that it has sent.
        last_ago: when the last one came.
    """

    where: str = ""
    peers: int = 0
    seen: int = 0
    failures: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)
    refused: str | None = None
    gone_ago: float | None = None
    messages: int = 0
    last_ago: float | None = None


_SET_ADDRESS = (
    "Set this address and port as the monitor's in the broker's configuration, and let the firewall"
    " pass it."
)
_LOOK_AT_BROKER = (
    "Check that the broker runs, and check the network to it. It reconnects by itself; meanwhile it"
    " keeps 500 to 1000 messages."
)
_LOOK_AT_WORKER = "The worker's log says what it does."
_CHECK_BROKER = (
    "If jobs are running, check that it is a broker and addresses the monitor as recodex-monitor."
)


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
        return _removed(job.forgotten)
    if not job.messages:
        return f"the monitor has no message of this job{_waiting(job)}"
    if job.failed_ago is not None:
        left = span(job.grace - job.failed_ago)
        return f"has failed; unless another attempt begins, it ends in {left}"
    if job.last_ago is None:
        return f"no message since the restart, last {job.last}"
    if job.last_ago >= QUIET:
        return f"silent for {span(job.last_ago)}, last {job.last}"
    return f"running, last {job.last} {span(job.last_ago)} ago"


def _ended(job: Job) -> str:
    if job.ended_ago is None:
        return f"ended ({job.outcome or job.end})"
    left = span(job.retention - job.ended_ago)
    return f"ended {span(job.ended_ago)} ago ({job.outcome or job.end}), kept for {left} more"


def _removed(one: Forgotten) -> str:
    had = f"{_several(one.messages, 'message')} and {_several(one.followers, 'follower')}"
    ago = f"removed {span(one.ago)} ago"
    if one.outcome is None or one.ended_ago is None:
        return f"was {ago}, since there was no room for it; until then it had {had}"
    return f"ended {span(one.ended_ago)} ago ({one.outcome}) after {had}, and was {ago}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _waiting(job: Job) -> str:
    if not job.followers:
        return ""
    return f"; {job.followers} {'waits' if job.followers == 1 else 'wait'} for it"


def hints(
    job: Job, broker: Broker, refused: Mapping[str, int], details: Mapping[str, str] = NOTHING
) -> list[Hint]:
    """What may keep a student from seeing this job's progress, the likeliest first.

    Args:
        job: the job.
        broker: the broker.
        refused: clients that were refused in the last 15 minutes, by reason.
        details: what the last one of each reason was refused for.
    """
    return [
        *_of_job(job, is_heard=broker.peers > 0),
        *of_broker(broker, job),
        *of_clients(job, refused, details),
    ]


def _of_job(job: Job, *, is_heard: bool) -> Iterator[Hint]:
    if job.end == "failed":
        text = "the broker gave up the job: it sent FAILED, and no other attempt began."
        yield Hint("given-up", text, "The broker's log says why.")
    elif job.outcome == "failed":
        text = "its last attempt sent FAILED: the solution could not be built or run."
        yield Hint("job-failed", text, "The job's results say why.")
    elif job.end == "expired":
        text = "no message came for so long that the monitor ended it (idle_timeout)."
        yield Hint("silent", text, _LOOK_AT_WORKER)
    elif job.forgotten is not None:
        end = job.forgotten.outcome
        text = f"the job was removed {span(job.forgotten.ago)} ago. New followers"
        text += (
            " are told only that it ended" if end else " get only messages that come from now on"
        )
        why = "The setting retention says how long jobs are kept after their end."
        why = why if end else "There was no room for it, see the limits reached."
        yield Hint("expired", f"{text}. {why}")
    elif is_heard and (silent := _silence(job)) >= QUIET:
        text = f"no message has come for {span(silent)}: the task takes long, or the worker hangs."
        yield Hint("silent", text, _LOOK_AT_WORKER)


def _silence(job: Job) -> float:
    """Seconds since the last message of a job that neither ended nor failed; 0 if unknown."""
    if job.end is not None or job.failed_ago is not None or not job.messages:
        return 0
    return job.last_ago or 0


def of_broker(broker: Broker, job: Job | None = None) -> Iterator[Hint]:
    """What is wrong with the broker's connection, for one job or for all."""
    if job is not None and _is_over(job):
        return
    refusals = [] if broker.peers and broker.messages else [*_of_refusals(broker)]
    yield from refusals
    if refusals and not broker.seen:
        return
    if not broker.peers and not broker.seen:
        text = f"no broker has connected to {broker.where} since the monitor started."
        failed = f" {broker.failures} handshakes failed there." if broker.failures else ""
        yield Hint("never-connected", f"{text}{failed}", _SET_ADDRESS)
    elif not broker.peers:
        ago = span(broker.gone_ago or 0)
        text = f"the broker disconnected {ago} ago and has not come back."
        yield Hint("disconnected", text, _LOOK_AT_BROKER)
    elif not broker.messages:
        text = "a broker is connected but has sent nothing since the monitor started."
        yield Hint("never-sent", text, _CHECK_BROKER)
    elif job is not None and not job.messages and job.forgotten is None:
        yield _unheard(job)


def _is_over(job: Job) -> bool:
    """Whether a job has ended, so that the broker has nothing more to send for it."""
    return job.end is not None or bool(job.forgotten and job.forgotten.outcome)


def _of_refusals(broker: Broker) -> Iterator[Hint]:
    """Why something that speaks ZeroMQ could not connect."""
    causes = [
        f"{count} x {cause}" for cause, count in broker.causes.items() if "no ZeroMQ" not in cause
    ]
    if causes:
        host = f" (last {broker.refused})" if broker.refused else ""
        text = f"a broker was refused{host}: {', '.join(causes)}"
        remedy = "Compare the section zeromq with the broker's."
        yield Hint("broker-refused", f"{text}.", remedy)


def _unheard(job: Job) -> Hint:
    if job.followers or job.cuts:
        text = "the broker has sent messages of other jobs but not of this one: it waits in the"
        return Hint("waiting", f"{text} broker's queue, or the page asks for a wrong id.")
    text = (
        "the broker has sent nothing of this job, and no browser follows it now. Is the id right,"
    )
    text += " and does the broker send the job to this monitor? If it ended long ago, or before a"
    return Hint("unknown", f"{text} restart without history, the monitor no longer knows it.")


def of_clients(
    job: Job | None,
    refused: Mapping[str, int],
    details: Mapping[str, str] = NOTHING,
    origins: Sequence[tuple[str, int]] = (),
) -> Iterator[Hint]:
    """What keeps clients from being served; see hints, and ``refusals.hints``."""
    yield from refusals.hints(refused, details, origins)
    if job is not None and len(job.cuts) > 1:
        yield Hint("cut-off", _cut_off(sorted(job.cuts)))
    if job is not None and job.slow:
        who = "1 follower does" if job.slow == 1 else f"{job.slow} followers do"
        yield Hint("slow", f"{who} not read fast enough: the network there is slow.")


def _cut_off(lasted: Sequence[float]) -> str:
    """What cut-off followers have in common, by the sorted seconds for which each had followed."""
    text = f"{len(lasted)} followers were cut off in the last 15 minutes, after"
    shortest, longest = lasted[0], lasted[-1]
    if longest < _AT_ONCE:
        return f"{text} less than {_AT_ONCE} s each: their page was left, or their network fails."
    if longest - shortest <= max(2, _ALIKE * longest):
        return f"{text} {span(lasted[len(lasted) // 2])} each: a proxy's timeout does that."
    times = f"{span(shortest)} to {span(longest)}"
    return f"{text} {times}: their network fails, or a proxy restarts."
