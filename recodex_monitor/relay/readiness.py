"""Readiness: whether a balancer should send clients to this node while the engine is away.

Clients that are connected already are never closed for it: they wait.
"""

from recodex_monitor.relay.engine import Engine

UNREADY_AFTER = 15.0
"""Seconds of an outage after which a balancer should send no more clients here."""


class Readiness:
    """Says why clients cannot be served, or not well, as far as the engine is the cause."""

    def __init__(self, engine: Engine) -> None:
        """Speak for this engine."""
        self._engine = engine

    def unready(self) -> list[str]:
        """Why clients cannot be served; empty if they can."""
        if not self._engine.sessions:
            return ["the engine has not been reached yet"]
        return self._away if self._engine.away > UNREADY_AFTER else []

    def degraded(self) -> list[str]:
        """Why clients that can be served have to wait for messages; empty if they need not."""
        return [] if self.unready() or not self._engine.away else self._away

    @property
    def _away(self) -> list[str]:
        return [f"the engine has been away for {self._engine.away:.0f} s"]
