"""Counts the tasks of a job by their state, from the bytes of its channel's log."""

import re
from collections import Counter
from dataclasses import dataclass, field

from recodex_monitor.channels.attempts import Attempts
from recodex_monitor.channels.channel import Channel

TALLIED = 2**19
"""Bytes of logs counted for one list of jobs; counting them takes about 4 ms."""

# Quotes are escaped in JSON: none of these texts can be within a task's id.
_OF_ATTEMPTS = re.compile(rb'\{"command": "(DOWNLOADED|STARTED|ABORTED|FAILED)"')
_STATES = {
    state: b'"task_state": "%b"}' % state.upper().encode()
    for state in ("completed", "failed", "skipped")
}


@dataclass
class Tally:
    """Tasks of a job's current attempt, and its attempts, up to a position in its log."""

    position: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    counted: Attempts = field(default_factory=Attempts)
    _before: Counter[str] = field(default_factory=Counter)

    @property
    def attempts(self) -> int:
        """The number of attempts so far."""
        return self.counted.number

    def feed(self, frames: bytes) -> None:
        """Count the tasks in the next frames, which must be whole."""
        self.position += len(frames)
        start = 0
        for command in _OF_ATTEMPTS.finditer(frames):
            self._count(frames[start : command.start()])
            start = command.start()
            number = self.counted.number
            if self.counted.feed(command[1].decode()):
                self._before, self.tasks = self.tasks, Counter()
            elif self.counted.number < number:
                self.tasks = self._before
        self._count(frames[start:])

    def _count(self, frames: bytes) -> None:
        if not self.counted.is_starting:
            for state, text in _STATES.items():
                self.tasks[state] += frames.count(text)


def count_on(tally: Tally, channel: Channel, budget: int) -> int:
    """Count further in a log, about ``budget`` bytes; returns how many bytes are left."""
    if tally.position < len(channel.log) and budget > 0:
        for piece, _ in channel.pieces(tally.position):
            tally.feed(piece)
            budget -= len(piece)
            if budget <= 0:
                break
    return budget
