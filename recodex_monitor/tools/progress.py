"""What a student sees of one job, and how text from outside is made fit to print."""

from collections.abc import Mapping
from dataclasses import dataclass

_STATES = {
    "DOWNLOADED": "downloaded",
    "STARTED": "running",
    "TASK": "running",
    "ENDED": "ended",
    "UPLOADED": "ended",
    "FINISHED": "finished",
    "FAILED": "failed",
    "ABORTED": "restarting",
}


@dataclass
class Progress:
    """The state of one job as far as its messages tell.

    Attributes:
        completed: tasks completed in this attempt.
        failed: tasks failed in this attempt.
        skipped: tasks skipped in this attempt.
        attempts: attempts so far, at least 1; each `ABORTED` begins another one.
        state: `waiting` before the first message, then `downloaded`, `running`, `ended`,
            `restarting`, `failed` or `finished`.
        job_failed: whether the job as a whole failed. Failed tasks alone do not make it so.
        over: whether `FINISHED` came. Nothing changes after that.
    """

    completed: int = 0
    failed: int = 0
    skipped: int = 0
    attempts: int = 1
    state: str = "waiting"
    job_failed: bool = False
    over: bool = False

    @property
    def tasks(self) -> int:
        """Tasks that ended in this attempt, however they did."""
        return self.completed + self.failed + self.skipped

    def feed(self, message: Mapping[str, object]) -> None:
        """Take the next message of the job; what it does not know changes nothing."""
        command = message.get("command")
        if self.over or not isinstance(command, str) or command not in _STATES:
            return
        self.state = _STATES[command]
        match command:
            case "TASK":
                self._count(message.get("task_state"))
            case "FAILED":
                self.job_failed = True
            case "ABORTED":
                self._restart()
            case "FINISHED":
                self._finish()

    def _count(self, task_state: object) -> None:
        match task_state:
            case "COMPLETED":
                self.completed += 1
            case "FAILED":
                self.failed += 1
            case "SKIPPED":
                self.skipped += 1

    def _restart(self) -> None:
        self.completed = self.failed = self.skipped = 0
        self.attempts += 1
        self.job_failed = False

    def _finish(self) -> None:
        self.over = True
        if self.job_failed:
            self.state = "failed"

    def counts(self) -> str:
        """The numbers of tasks and, from the second one on, of attempts, in words."""
        tasks = f"{self.completed} completed, {self.failed} failed, {self.skipped} skipped"
        return tasks if self.attempts == 1 else f"{tasks}, attempt {self.attempts}"


def printable(text: str) -> str:
    r"""Escape what a terminal would obey or could not show, as `\x1b` or `\u202e`."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
