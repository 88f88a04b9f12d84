"""The broker's connections to the monitor, as ZeroMQ reports them."""

from collections import Counter
from collections.abc import Callable

from twisted.logger import Logger

_log = Logger()

NO_CURVE = "it does not use CURVE, which zeromq.curve_key asks for"
HUNG_UP = "it hung up: it does not use CURVE, which zeromq.curve_key asks for, or is no broker"
CURVE = "it uses CURVE, which needs zeromq.curve_key"
SERVER_KEY = "it has another public key than that of zeromq.curve_key"
NO_ZEROMQ = "it spoke no ZeroMQ, or none that a broker speaks"
"""Why a handshake failed, besides the reasons for which ``zap`` refuses a peer."""


class Peers:
    """Who is connected at the broker's port.

    Attributes:
        connected: how many brokers are connected now, after their handshake.
        since: seconds at which the first of these connected; None while nobody is connected.
        count: how many have connected so far.
        failures: failed handshakes: the peer spoke no ZeroMQ, a wrong one, or was refused.
        causes: the failed handshakes by cause.
        refused: the address that was last refused by its network or key; None before the first.
        gone_at: seconds at which the last disconnect was; None before the first.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin without connections.

        Args:
            now: the time in seconds.
        """
        self.count = self.failures = 0
        self.causes: Counter[str] = Counter()
        self.refused: str | None = None
        self.since: float | None = None
        self.gone_at: float | None = None
        self._now = now
        # File descriptors; that of a connection whose handshake succeeds is not reported with it.
        self._accepted: dict[int, None] = {}
        self._brokers: set[int] = set()
        self._newest = -1
        self._has_failed = False
        self._refusal: str | None = None

    @property
    def connected(self) -> int:
        """See the class."""
        return len(self._brokers)

    def accept(self, descriptor: int) -> None:
        """Note a connection that is about to do its handshake."""
        self._brokers.discard(descriptor)
        self._accepted[descriptor] = None

    def handshake_succeeded(self) -> None:
        """Count a broker whose handshake has succeeded.

        A handshake takes little time, so it is assumed to be that of the newest connection.
        """
        if self._accepted:
            self._newest = self._accepted.popitem()[0]
            self._brokers.add(self._newest)
        self.count += 1
        if self.since is None:
            self.since = self._now()
        _log.info(
            "a broker has connected; {count} connected now",
            event="broker_connected",
            count=self.connected,
        )

    def discount(self) -> None:
        """Stop counting the newest connection: it is the doctor, not a broker."""
        if self._newest in self._brokers:
            self._brokers.discard(self._newest)
            self.count -= 1
            self.since = self.since if self._brokers else None
            _log.info("what has connected is recodex-monitor doctor, not a broker")

    def refuse(self, cause: str, host: str) -> None:
        """Note the reason for the next failed handshake: we refused this host."""
        self._refusal, self.refused = cause, host

    def handshake_failed(self, cause: str | None = None) -> None:
        """Count a failed handshake; the log has the first, the second, the fourth of each cause.

        Args:
            cause: one of the texts above; None for that of the refusal.
        """
        # ZeroMQ may report one connection twice, but refuses it once.
        cause = cause or self._refusal or NO_ZEROMQ
        self.failures += 1
        self.causes[cause] += 1
        self._has_failed = True
        count = self.causes[cause]
        if count.bit_count() == 1:
            text = (
                "a handshake failed at the broker's port: {cause}; {count} failed like this so far"
            )
            _log.warn(text, event="broker_refused", cause=cause, count=count)

    def disconnect(self, descriptor: int) -> None:
        """Count the end of a connection; if its handshake failed, that was reported just before."""
        has_failed, self._has_failed = self._has_failed, False
        if descriptor in self._accepted:
            del self._accepted[descriptor]
        elif descriptor in self._brokers:
            self._brokers.discard(descriptor)
            if has_failed and self._accepted:
                # The failed connection was counted as the broker; the broker is another one.
                self._brokers.add(self._accepted.popitem()[0])
                return
            self.gone_at = self._now()
            self.since = self.since if self.connected else None
            _log.info(
                "a broker has gone; {count} connected now",
                event="broker_gone",
                count=self.connected,
            )
