"""Answers for balancers and other nodes: whether this node can be used."""

from collections.abc import Callable
from typing import NamedTuple

from recodex_monitor.status.resources import Answer, Page, as_json, constant

Unready = Callable[[], list[str]]
"""Says why the monitor cannot serve students; empty if it can."""

PROBES = (b"healthz", b"readyz", b"ownerz")
"""The paths; they need neither a token nor a known host name, since no answer names a job."""


class Probes(NamedTuple):
    """Where the answers come from.

    Attributes:
        unready: says why the monitor is not ready.
        owns: whether the broker should talk to this node.
        degraded: says why clients that it serves have to wait for messages, though not for long.
    """

    unready: Unready
    owns: Callable[[], bool]
    degraded: Unready = list

    def pages(self) -> dict[bytes, Page]:
        """The pages, by their paths."""
        answers = constant(as_json({"healthy": True})), Page(self._readyz), Page(self._ownerz)
        return dict(zip(PROBES, answers, strict=True))

    def _readyz(self, _: object) -> Answer:
        why = self.unready()
        told = {"ready": not why, "why": why}
        degraded = self.degraded()
        return as_json(told | ({"degraded": degraded} if degraded else {}), 503 if why else 200)

    def _ownerz(self, _: object) -> Answer:
        owns = self.owns()
        return as_json({"owner": owns}, 200 if owns else 503)
