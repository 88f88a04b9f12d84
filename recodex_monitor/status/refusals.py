"""Refused clients for administrators: why, what to do about it, and the origins of their pages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from recodex_monitor.status.hint import Hint

if TYPE_CHECKING:
    # The commands use the hints, and need no server for that.
    from recodex_monitor.clients.connections import Connections

CROWDED = "too many connections from one address"
"""The reason for which the clients behind a proxy are refused if the monitor does not know it."""

ORIGIN = "origin not allowed"
"""The reason for which pages of other origins are refused."""

NOTHING: Mapping[str, str] = MappingProxyType({})
_ORIGINS = 3
_REFUSED = "clients were refused in the last 15 minutes"

_FULL = (
    "Raise the limit, and the open files of the process with it, unless somebody opens connections"
    " without need."
)
_REMEDIES = {
    ORIGIN: "If students use that address, add it to allowed_origins; else another site tries to"
    " follow jobs.",
    "too many connections": _FULL.replace("the limit", "max_connections"),
    "no room": _FULL.replace("the limit", "max_connections or max_channels"),
    "engine away": "Look whether the engine of the cluster runs, and at the network to it. Clients"
    " come back by themselves.",
    "the monitor stops": "They come back by themselves.",
    "not a handshake": "Let the proxy pass Upgrade and Connection on; `recodex-monitor doctor"
    " --public` tries it.",
    "ZeroMQ on the public port": "Set the port of zeromq_uri in the broker's configuration.",
    "bad PROXY header": "Let the proxy send the PROXY protocol, or unset websocket_proxy_protocol.",
    "internal error": "Report it as a bug, with what the log says.",
    "token: missing": "The web application must give its pages tokens; until it does, set"
    " access.required to false.",
    "token: channel": "The claim `channels` of the tokens must have the job's id, or the beginning"
    " of it with `*`.",
    "token: expired": "Pages must get a new token when they connect again; and the clocks of this"
    " machine and the API must agree.",
}
_TOKEN = "Compare access.key_file and the clock with those of the API, which makes the tokens."
_OTHERS = "Most such requests are of programs that look for holes; the log has the last of each."


def describe(
    connections: "Connections", moment: Callable[[float], float | None]
) -> dict[str, list[dict[str, Any]]]:
    """The refused clients by reason, each with the last one, and the last refused origins.

    Args:
        connections: know them.
        moment: makes wall clock time of the clock's.
    """
    refused, origins = connections.refused, connections.refused_origins
    return {
        "refused": [
            {"reason": reason, "count": count, "last": refused.details[reason]}
            for reason, count in refused.counts.items()
        ],
        "refused_origins": [
            {"origin": one.origin, "count": one.count, "last": moment(one.at)} for one in origins
        ],
    }


def hints(
    refused: Mapping[str, int],
    details: Mapping[str, str] = NOTHING,
    origins: Sequence[tuple[str, int]] = (),
) -> Iterator[Hint]:
    """Why clients are refused: a hint for each reason that has a remedy, one for all others.

    Args:
        refused: clients that were refused in the last 15 minutes, by reason.
        details: what the last one of each reason was refused for.
        origins: of the pages that were refused last, with their counts.
    """
    if refused.get(CROWDED) and CROWDED in details:
        yield Hint("proxy", details[CROWDED].removeprefix(f"{CROWDED}: "))
    others = []
    for reason, count in refused.items():
        of_token = _TOKEN if reason.startswith("token: ") else None
        remedy = _REMEDIES.get(reason, of_token)
        if count and (remedy or reason == CROWDED):
            pages = origins if reason == ORIGIN else ()
            yield Hint("refused", _text([(reason, count)], details, pages), remedy or "")
        elif count:
            others.append((reason, count))
    if others:
        yield Hint("refused", _text(others, details), _OTHERS)


def _text(
    refused: list[tuple[str, int]],
    details: Mapping[str, str],
    origins: Sequence[tuple[str, int]] = (),
) -> str:
    counted = ", ".join(f"{count} x {reason}" for reason, count in refused)
    if origins:
        last = ", ".join(f"{count} x {origin}" for origin, count in origins[:_ORIGINS])
        return f"{_REFUSED}: {counted}. The last origins: {last}."
    told = (details.get(reason, "") for reason, _ in refused if reason != CROWDED)
    last = "; ".join(detail.rstrip(".") for detail in told if ": " in detail)
    text = f"{_REFUSED}: {counted}."
    return f"{text} The last: {last}." if last else text
