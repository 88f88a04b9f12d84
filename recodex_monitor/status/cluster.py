"""Describes a cluster: causes of missing progress, and metrics.

``told`` is what ``relay.report`` makes, or None where there is no cluster.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from recodex_monitor.status.diagnosis import Broker, span
from recodex_monitor.status.hint import Hint

Told = Mapping[str, Any]

BEHIND = 5.0
"""Seconds for which channels may be unread before that is called a cause."""

SETTLING = 10.0
"""Seconds that a broker has to connect to a new owner before its absence is a cause."""


def hints(told: Told | None) -> Iterator[Hint]:
    """What is wrong with the cluster, as this node sees it."""
    if told is None:
        return
    engine, owner = told["engine"], _owner(told)
    if not engine["up"]:
        yield _away(engine)
    elif told["owner"] is None:
        text = "no node owns, so nobody listens for the broker."
        remedy = "A node with owner: auto takes over within seconds; if none does, see their logs."
        yield Hint("no-owner", text, remedy)
    elif owner is not None and _lacks_broker(owner):
        text = f"no broker is connected to {owner['name']}, which owns{_at(owner)}."
        remedy = "Direct the broker to the node whose /ownerz says 200."
        yield Hint("broker-elsewhere", text, remedy)
    if told["behind"] >= BEHIND:
        text = f"this node has not read {told['unread']} channels from the engine for"
        yield Hint("node-behind", f"{text} {span(told['behind'])}: their clients wait.")


def _away(engine: Told) -> Hint:
    """That the engine is away, and why, if the last attempt to reach it gave a reason."""
    away, why = span(engine["away"]), engine["why"].rstrip(".")
    text = f"the engine at {engine['address']} has been away for {away}."
    remedy = "Check that it runs, and check the network to it."
    if why:
        text = f"the engine has been away for {away}: {why}."
        remedy = "Correct that; `recodex-monitor check --connect` says when it works."
    text += " The owner keeps what the broker says; clients get it when the engine is back."
    return Hint("engine-away", text, remedy)


def _owner(told: Told) -> Told | None:
    owned: Iterator[Told] = (one for one in told["nodes"] if one["name"] == told["owner"])
    return next(owned, None)


def _lacks_broker(owner: Told) -> bool:
    return owner["role"] == "owner" and not owner["broker"] and owner["for"] >= SETTLING


def _at(node: Told) -> str:
    return f" (its status: http://{node['status']})" if node["status"] else ""


def broker(told: Told | None, own: Broker) -> Broker:
    """The broker, as far as this node can tell: only the owner knows more of it."""
    if told is None or told["owner"] == told["node"]:
        return own
    return Broker(where=own.where, peers=1, seen=1, messages=1, last_ago=own.last_ago)


GAUGES = {
    "cluster_owner": ("Whether this node owns.", lambda told: told["owner"] == told["node"]),
    "cluster_nodes": ("Nodes, as this one sees them.", lambda told: len(told["nodes"])),
    "cluster_engine_up": ("Whether the engine is reached.", lambda told: told["engine"]["up"]),
    "cluster_engine_memory_bytes": ("Memory of the engine.", lambda told: told["engine"]["memory"]),
    "cluster_engine_replicas": ("Replicas of the engine.", lambda told: told["engine"]["replicas"]),
    "cluster_pending_messages": (
        "Messages of the broker that the engine has not acknowledged.",
        lambda told: told["pending"],
    ),
    "cluster_unread_channels": (
        "Followed channels that are not read from the engine yet.",
        lambda told: told["unread"],
    ),
}
"""By name: what it is, and how it is read."""

COUNTERS = {
    "takeovers": "How often this node became the owner.",
    "sessions": "Sessions with the engine that this node began.",
    "pushes": "Calls by which messages were pushed to the engine.",
    "pushed": "Messages that were pushed to the engine.",
    "conflicts": "Channels of which the engine had other messages than the owner.",
    "late": "Messages that an earlier owner handed over.",
    "gaps": "How often a channel was read again because a message was missing.",
    "replaced": "Channels whose messages were replaced by others.",
}
"""By the key in ``counts``: what it is; the name is the key after ``cluster_``."""
