"""What is wrong with the monitor as a whole, beyond the broker, the cluster and refused clients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from recodex_monitor.status.hint import Hint

LATE = 0.5
"""Seconds by which the loop may be late before that is called a problem."""

FEW = 5
"""Slow followers that are no problem: one student's network is not the monitor's."""

_SHARE = 0.05  # The part of all followers beyond FEW that may be slow.

_LIMITS = {
    "max_channels": "Raise it if there is memory for more, or shorten channels.retention.",
    "max_history_bytes": "Raise it if there is memory for more, or shorten channels.retention.",
    "max_channel_messages": "The log names the jobs; raise it if they are as they should be.",
    "max_channel_bytes": "The log names the jobs; raise it if they are as they should be.",
}
"""What to do where a limit is reached; limits on clients are listed with the refused clients."""


@dataclass(frozen=True)
class Seen:
    """What is seen of the monitor as a whole.

    Attributes:
        unready: why it cannot serve students, a text for each reason.
        limits: what each limit has cost in the last 15 minutes: messages, channels or clients.
        dropped: messages of the broker that were dropped in that time, by reason.
        followers: subscriptions.
        slow: how many of them do not read fast enough.
        late: seconds by which the loop was late at most in the last minute.
    """

    unready: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    followers: int = 0
    slow: int = 0
    late: float = 0.0


def problems(seen: Seen) -> Iterator[Hint]:
    """What is wrong, the worst first."""
    for why in seen.unready:
        if "history" in why:
            text = f"{why}: new messages are in memory only, and lost if the monitor ends."
            yield Hint("history", text, "Make room on the disk if it is full; see the log.")
        elif "engine" not in why:
            yield Hint("not-ready", f"{why}.", "The log says why.")
    for limit, count in seen.limits.items():
        if limit in _LIMITS:
            what = "messages were dropped"
            if not limit.startswith("max_channel_"):
                what = f"jobs were removed before their time, or {what}"
            text = f"{limit} was reached {count} times in the last 15 minutes: {what}."
            yield Hint("limit", text, _LIMITS[limit])
    counted = ", ".join(f"{count} x {reason}" for reason, count in seen.dropped.items() if count)
    if counted:
        text = f"messages of the broker were dropped in the last 15 minutes: {counted}."
        remedy = "Find what sends them to zeromq_uri; the log has the last one."
        yield Hint("dropped", text, remedy)
    if seen.slow > max(FEW, _SHARE * seen.followers):
        text = f"{seen.slow} of {seen.followers} followers do not read fast enough."
        yield Hint("slow-followers", text, "Look at the proxy and the network before it.")
    if seen.late >= LATE:
        text = f"the monitor was up to {seen.late:.1f} s late in the last minute."
        remedy = (
            "Look at the machine's processor, memory and disk: something slows the monitor down."
        )
        yield Hint("lag", text, remedy)
