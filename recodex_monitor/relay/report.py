"""The report: the state of a node and of the cluster, for administrators and other nodes.

All values are plain, as JSON has them; lengths of time are seconds.
"""

from typing import TYPE_CHECKING, Any

from recodex_monitor.relay.parts import Role

if TYPE_CHECKING:
    from recodex_monitor.relay.relay import Relay


def node(relay: "Relay") -> dict[str, Any]:
    """This node, as the others and the status show it."""
    ownership = relay.ownership
    return {
        "name": relay.name,
        "role": relay.role.value,
        "for": round(relay.seconds() - ownership.since, 1) if ownership is not None else 0,
        "version": relay.about.version,
        "status": _reached(relay),
        "followers": _followers(relay),
        "pending": relay.publisher.intake.count,
        "unread": relay.follower.unread,
        "broker": relay.owns and relay.hears_broker(),
    }


def _followers(relay: "Relay") -> int:
    channels = relay.hub.channels.values()
    return sum(len(one.subscriptions) for one in channels if not one.is_trial)


def _reached(relay: "Relay") -> str:
    """The address of this node's status page as other machines see it; empty without one."""
    host, port = relay.about.status
    session = relay.engine.session
    if port and host in ("*", "0.0.0.0", "::"):
        host = session.local if session is not None else ""
    return f"{f'[{host}]' if ':' in host else host}:{port}" if port and host else ""


def cluster(relay: "Relay") -> dict[str, Any]:
    """The cluster, as this node sees it."""
    own = node(relay)
    nodes = {**relay.nodes.told, relay.name: own}
    return {
        "node": relay.name,
        "role": own["role"],
        "owner": _owner(relay, nodes),
        "pending": own["pending"],
        "unread": own["unread"],
        "behind": round(relay.behind, 1),
        "engine": _engine(relay),
        "nodes": [nodes[name] for name in sorted(nodes)],
        "counts": counts(relay),
    }


def _owner(relay: "Relay", nodes: dict[str, dict[str, Any]]) -> str | None:
    """The name of the node that owns, as far as it is known; None if none does.

    A node that was cut off from the engine may have reported a moment ago that it owns, and the one
    that has the lease now may not have reported yet.
    """
    if relay.owns:
        return relay.name
    holder = relay.ownership.holder if relay.ownership is not None else ""
    if holder and relay.engine.session is not None:
        return holder
    owners = [name for name, one in nodes.items() if one.get("role") == Role.OWNER.value]
    return owners[0] if owners else holder or None


def _engine(relay: "Relay") -> dict[str, Any]:
    engine = relay.engine
    facts = engine.known
    return {
        "address": str(engine.session.address) if engine.session else relay.about.engine,
        "up": engine.session is not None,
        "away": round(engine.away, 1),
        "why": relay.endpoint.why,
        "version": facts.name,
        "role": facts.role,
        "memory": facts.memory,
        "replicas": facts.replicas,
    }


def counts(relay: "Relay") -> dict[str, int]:
    """What has happened since the start."""
    return {
        "takeovers": relay.ownership.changes if relay.ownership is not None else 0,
        "sessions": relay.engine.sessions,
        "pushes": relay.publisher.pushes,
        "pushed": relay.publisher.pushed,
        "conflicts": relay.publisher.conflicts,
        "late": relay.late.count,
        "gaps": relay.follower.gaps,
        "replaced": relay.mirror.replaced,
    }
