"""Attempts: what the messages of a job say of them, where two senders speak in any order.

A worker that gives an attempt up sends ABORTED, and so does the broker for a worker that died; the
job then begins again, with DOWNLOADED and STARTED, on the same channel. The broker alone says
FAILED for a job that it gives up. Its messages may overtake those of a worker, and a new worker's
may overtake those of the one before. So neither ABORTED nor a task after FAILED means that the job
goes on, and ABORTED may be that of the attempt before.
"""

BEGINNING = frozenset(("DOWNLOADED", "STARTED"))
"""The commands with which an attempt begins."""

OUTCOME = BEGINNING | {"FAILED"}
"""The commands that decide how a job went."""

_FAILED = b'{"command": "FAILED"'
_BEGINNING = tuple(b'{"command": "%b"' % command.encode() for command in BEGINNING)


def has_failed(log: bytes | bytearray) -> bool:
    """Whether FAILED is in a log, and no attempt began after it.

    Quotes are escaped in JSON, so none of these texts can be within a task's id.
    """
    failed = log.rfind(_FAILED)
    return failed >= 0 and all(log.find(text, failed) < 0 for text in _BEGINNING)


class Attempts:
    """Which attempt a job is in; ``tools.progress`` counts like this too.

    So does ``progress.js``, but to it a job that is given up is in the attempt that did not begin.

    Attributes:
        number: of the attempt, from 1.
    """

    def __init__(self) -> None:
        """Begin with the first attempt."""
        self.number = 1
        self._said: set[str] = set()
        self._unfinished = 0  # attempts that another has followed before their ABORTED came

    def feed(self, command: str) -> bool:
        """Apply the job's next message; returns whether it begins another attempt."""
        before = self.number
        if command == "FAILED":
            if self.number > 1 and not self._said:
                self._give_up()
            self._said.add(command)
            self._unfinished = 0
        elif command in BEGINNING:
            if command in self._said:
                self._unfinished += "FAILED" not in self._said
                self._next()
            self._said.add(command)
            self._said.discard("FAILED")
        elif command == "ABORTED" and self._unfinished:
            self._unfinished -= 1
        elif command == "ABORTED" and "FAILED" not in self._said:
            self._next()
        return self.number > before

    def _next(self) -> None:
        self.number += 1
        self._said.clear()

    def _give_up(self) -> None:
        # After ABORTED no attempt began: the one before was the last.
        self.number -= 1
        self._said.update(BEGINNING)

    @property
    def is_starting(self) -> bool:
        """Whether tasks that end now are those of an attempt before this one."""
        return self.number > 1 and "DOWNLOADED" in self._said and "STARTED" not in self._said
