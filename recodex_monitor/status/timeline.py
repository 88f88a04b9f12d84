"""What came for a job: its last messages, each with its time and attempt, and the attempts."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from recodex_monitor.channels.attempts import Attempts
from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.frames import spans
from recodex_monitor.status.tally import TALLIED, Tally

MESSAGES = 500
"""Messages of one channel that are shown: the last ones."""

ATTEMPTS = 20
"""Attempts that are shown: the last ones."""

_ENDS = {"ABORTED": "aborted", "FAILED": "failed", "FINISHED": "finished"}
Moment = Callable[[float], float | None]


def timeline(channel: Channel, counted: int, moment: Moment) -> list[dict[str, Any]]:
    """The last messages; those from before a restart have None as their time.

    Args:
        channel: has them.
        counted: the number of its attempts, as far as they are counted.
        moment: makes wall clock time of the clock's.
    """
    first = max(channel.skipped, channel.count - MESSAGES)
    untimed = channel.count - len(channel.times)
    start = channel.position(first)
    attempts = _attempts_before(channel, start)
    told = []
    for number, text in enumerate(spans(channel.log, start), first):
        at = None
        if number >= untimed:
            at = moment((channel.began + channel.times[number - untimed]) / 100)
        said = json.loads(channel.log[text])
        before = attempts.number
        attempts.feed(str(said.get("command")))
        # ABORTED is the last message of an attempt, not the first of the next.
        attempt = before if said.get("command") == "ABORTED" else attempts.number
        told.append({"number": number + 1, "at": at, "attempt": attempt, **said})
    if start > TALLIED:
        for one in told:
            one["attempt"] += max(0, counted - attempts.number)
    return told


def _attempts_before(channel: Channel, position: int) -> Attempts:
    """The attempts up to a position in the log, as far as TALLIED bytes before it show them."""
    tally = Tally()
    tally.feed(bytes(memoryview(channel.log)[max(0, position - TALLIED) : position]))
    return tally.counted


def attempts(told: list[dict[str, Any]], *, is_over: bool) -> list[dict[str, Any]]:
    """The attempts in a timeline: when each began and ended, its tasks, and how it ended.

    Args:
        told: the timeline.
        is_over: whether the job has ended, so that the last attempt is not running.
    """
    by_number: dict[int, list[dict[str, Any]]] = {}
    for one in told:
        by_number.setdefault(one["attempt"], []).append(one)
    last = max(by_number, default=0)
    numbers = sorted(by_number)[-ATTEMPTS:]
    return [_attempt(by_number[number], is_over or number < last) for number in numbers]


def _attempt(said: list[dict[str, Any]], is_over: bool) -> dict[str, Any]:
    tasks = Counter(str(one["task_state"]).lower() for one in said if "task_state" in one)
    ended = [_ENDS[one["command"]] for one in said if one["command"] in _ENDS]
    # The end of a job that FAILED is FINISHED, too.
    how = "failed" if "failed" in ended else ended[-1] if ended else None
    return {
        "number": said[0]["attempt"],
        "began": said[0]["at"],
        "last": said[-1]["at"],
        "messages": len(said),
        "tasks": {state: tasks[state] for state in ("completed", "failed", "skipped")},
        "end": how or ("given up" if is_over else None),
    }


def last_text(channel: Channel) -> str:
    """The values of the last message, shortened; empty if there is none."""
    if not channel.count:
        return ""
    *_, last = spans(channel.log, channel.position(channel.count - 1))
    return " ".join(str(value)[:80] for value in json.loads(channel.log[last]).values())
