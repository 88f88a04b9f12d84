"""Changes of the owner, which are carried out one after another."""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.logger import Logger

from recodex_monitor.relay.connection import EngineAway, EngineError

_log = Logger()

Work = Callable[[], Coroutine[Any, Any, None]]
"""Something to do; a coroutine is made only when it begins, so that none is left over at a stop."""


class Tasks:
    """Does what it is given in that order, each when all before it is done.

    Attributes:
        is_working: whether something is being done.
        done: fires when nothing is being done any more.
    """

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self.is_working = False
        self.done: Deferred[None] = succeed(None)
        self._queue: deque[Work] = deque()
        self._current: Deferred[None] | None = None
        self._refused = ""

    def add(self, work: Work) -> None:
        """Do this after all that is being done."""
        self._queue.append(work)
        if not self.is_working:
            self.is_working = True
            self.done = ensureDeferred(self._work())

    def cancel(self) -> None:
        """Cancel the present change, and go on with the next one."""
        if self._current is not None:
            self._current.cancel()

    async def _work(self) -> None:
        try:
            while self._queue:
                self._current = ensureDeferred(self._guarded(self._queue.popleft()))
                await self._current
                self._current = None
        finally:
            self.is_working = False

    async def _guarded(self, work: Work) -> None:
        """Do something; what fails because of the engine is tried again later."""
        try:
            await work()
        except (EngineAway, CancelledError) as error:
            _log.debug("interrupted: {why}", why=error)
        except EngineError as error:
            # It is tried three times in a lease, which is too often to log each failure.
            if str(error) != self._refused:
                self._refused = str(error)
                _log.error("the engine refused: {why}", why=error)
        except Exception:
            _log.failure("a change of the owner failed")
        else:
            self._refused = ""
