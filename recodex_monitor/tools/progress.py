"""The progress of one job, according to its messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """The state of one job, as far as its messages show.

    The broker's messages may overtake a worker's, and a new worker's those of the one before:
    attempts are counted as ``channels.attempts`` says.

    Attributes:
        completed: tasks completed in this attempt.
        failed: tasks failed in this attempt.
        skipped: tasks skipped in this attempt.
        attempts: attempts so far, at least 1.
        state: `waiting` before the first message, then `downloaded`, `running`, `ended`,
            `restarting`, `failed` or `finished`.
        job_failed: whether the job as a whole failed, unless another attempt begins. Failed tasks
            alone do not fail a job.
        over: whether `FINISHED` came. Nothing changes after that.
    """

    completed: int = 0
    failed: int = 0
    skipped: int = 0
    attempts: int = 1
    state: str = "waiting"
    job_failed: bool = False
    over: bool = False
    _said: set[str] = field(default_factory=set)
    _unfinished: int = 0
    _before: tuple[int, int, int] = (0, 0, 0)

    @property
    def tasks(self) -> int:
        """Tasks that ended in this attempt, in whichever state."""
        return self.completed + self.failed + self.skipped

    def feed(self, message: Mapping[str, object]) -> None:
        """Apply the next message of the job; an unknown one changes nothing."""
        command = message.get("command")
        if self.over or not isinstance(command, str) or command not in _STATES:
            return
        state = _STATES[command]
        match command:
            case "DOWNLOADED" | "STARTED":
                self._begin(command)
            case "TASK" if self._is_starting:
                return
            case "TASK":
                self._count(message.get("task_state"))
            case "FAILED":
                self._give_up()
                self.job_failed, self._unfinished = True, 0
            case "ABORTED" if self._unfinished:
                self._unfinished -= 1
                return
            case "ABORTED" if not self.job_failed:
                self._next()
            case "FINISHED":
                self.over = True
        self.state = "failed" if self.job_failed else state

    def _begin(self, command: str) -> None:
        if command in self._said:
            self._unfinished += not self.job_failed
            self._next()
        self._said.add(command)
        self.job_failed = False

    def _give_up(self) -> None:
        # After ABORTED no attempt began: the one before was the last.
        if self.attempts > 1 and not self._said and not self.job_failed:
            self.attempts -= 1
            self.completed, self.failed, self.skipped = self._before
            self._said |= {"DOWNLOADED", "STARTED"}

    def _next(self) -> None:
        self._before = self.completed, self.failed, self.skipped
        self.completed = self.failed = self.skipped = 0
        self.attempts += 1
        self._said.clear()

    @property
    def _is_starting(self) -> bool:
        return self.attempts > 1 and "DOWNLOADED" in self._said and "STARTED" not in self._said

    def _count(self, task_state: object) -> None:
        match task_state:
            case "COMPLETED":
                self.completed += 1
            case "FAILED":
                self.failed += 1
            case "SKIPPED":
                self.skipped += 1

    def counts(self) -> str:
        """The numbers of tasks as a text, and of the attempt from the second on."""
        tasks = f"{self.completed} completed, {self.failed} failed, {self.skipped} skipped"
        return tasks if self.attempts == 1 else f"{tasks}, attempt {self.attempts}"
