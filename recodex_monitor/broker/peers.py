"""The broker's connections to the monitor, as ZeroMQ tells of them."""

from collections.abc import Callable

from twisted.logger import Logger

_log = Logger()


class Peers:
    """Who is connected at the broker's port.

    Attributes:
        connected: how many there are.
        since: when there was at least one again; None where nobody is.
        count: how many there were so far.
        failures: handshakes that failed: who connected did not speak ZeroMQ, or no good one.
        gone_at: seconds at which the last one went; None where none has.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Nobody was there yet.

        Args:
            now: the time in seconds.
        """
        self.connected = self.count = self.failures = self._failing = self._open = 0
        self.since: float | None = None
        self.gone_at: float | None = None
        self._now = now

    def accepted(self) -> None:
        """Somebody has connected, and is about to do his handshake."""
        self._open += 1

    def came(self) -> None:
        """One has done its handshake."""
        self.connected += 1
        self.count += 1
        if self.since is None:
            self.since = self._now()
        _log.info("a broker has connected; there are {count} now", count=self.connected)

    def went(self) -> None:
        """A connection has ended; if its handshake had failed, that was told just before."""
        self._open -= 1
        if self._failing:
            self._failing -= 1
        elif self.connected:
            self.connected -= 1
            self.gone_at = self._now()
            self.since = self.since if self.connected else None
            _log.info("a broker has gone; there are {count} now", count=self.connected)

    def failed(self) -> None:
        """A handshake has failed; the log tells of the first, the second, the fourth and so on."""
        self.failures += 1
        # ZeroMQ may tell it twice of one connection.
        self._failing = min(self._failing + 1, max(0, self._open - self.connected))
        if self.failures.bit_count() == 1:
            text = "a handshake failed at the broker's port, the {count}. since the start"
            _log.warn(text, count=self.failures)
