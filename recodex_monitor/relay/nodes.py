"""The nodes of a cluster: what each reports to the others, through the engine."""

import json
from collections.abc import Callable
from typing import Any

from recodex_monitor.relay.engine import Commands
from recodex_monitor.relay.layout import Keys

KEPT = 10_000
"""Milliseconds after which a node that reports nothing counts as gone."""


class Nodes:
    """Reports on this node, and keeps what the others report.

    Attributes:
        told: the last report of each node, this one too, by name; see ``report.node``.
    """

    def __init__(
        self, engine: Commands, keys: Keys, name: str, state: Callable[[], dict[str, Any]]
    ) -> None:
        """Know no nodes yet.

        Args:
            engine: passes the reports on.
            keys: have the names.
            name: of this node.
            state: of this node, as JSON has it.
        """
        self.told: dict[str, dict[str, Any]] = {}
        self._engine = engine
        self._keys = keys
        self._name = name
        self._state = state

    async def beat(self) -> None:
        """Report on this node, and read the reports of the others.

        Raises:
            EngineAway: the engine is away.
        """
        call, keys = self._engine.call, self._keys
        await call("SADD", keys.names, self._name)
        await call("SET", keys.nodes + self._name, json.dumps(self._state()), "PX", KEPT)
        names = [name.decode(errors="replace") for name in await call("SMEMBERS", keys.names)]
        told = await call("MGET", *(keys.nodes + name for name in names))
        self.told = {name: json.loads(text) for name, text in zip(names, told, strict=True) if text}
        gone = [name for name, text in zip(names, told, strict=True) if not text]
        if gone:
            await call("SREM", keys.names, *gone)
