"""Judges what the followers of a trial have heard."""

from collections.abc import Iterator, Sequence
from statistics import median

from recodex_monitor.doctor.findings import Finding, fail, ok, warn
from recodex_monitor.doctor.following import Heard
from recodex_monitor.doctor.probing import ORIGIN, explain
from recodex_monitor.doctor.trial import FIRST, LAST, Trial
from recodex_monitor.doctor.ways import Way

PROMPT = 0.1
"""Seconds within which a message should come."""

BUFFERED = 1.0
"""Seconds after which a message has been kept back."""

TIMED_OUT = 504
"""The status of a proxy that waits no longer for the answer to a long poll."""

_NAMES = {"websocket": "WebSocket", "events": "event stream", "poll": "long poll"}

_UPGRADE = (
    "Let the proxy pass on the upgrade. nginx: `proxy_http_version 1.1; proxy_set_header Upgrade "
    "$http_upgrade; proxy_set_header Connection $recodex_connection;` as in the shipped sample."
)
_NO_BUFFER = (
    "Switch buffering off. nginx: `proxy_buffering off;`, and no proxy_ignore_headers for "
    "X-Accel-Buffering; Apache: `flushpackets=on`; also of whatever is before it, such as a CDN."
)
_IDLE = (
    "Let the proxy wait longer than 25 s: `proxy_read_timeout 75s;` of nginx, `timeout tunnel 1h` "
    "and `timeout server 75s` of HAProxy; or lower limits.ping_interval and limits.event_comment."
)
_ADDRESS = (
    "Let the proxy send X-Forwarded-For (nginx: `proxy_set_header X-Forwarded-For $remote_addr;`) "
    "and list its address in limits.trusted_proxies; else all students count as one address, which "
    "limits.max_connections_per_address bounds."
)


def job(trial: Trial) -> Finding:
    """Whether the monitor has taken the job."""
    problem = trial.problem
    if problem is None:
        return ok("job", f"the monitor took a job of the doctor's at {trial.endpoint}")
    return (fail if problem.is_wrong else warn)("job", str(problem), problem.remedy)


def direct(trial: Trial, way: Way) -> Finding:
    """Whether the monitor itself delivers, whatever is in front of it."""
    for one in trial.direct:
        why = _failure(one, trial)
        if why is not None:
            text = f"the {_NAMES[one.kind]} at the monitor's own listener, {way}: {why[0]}"
            return fail("monitor", text, why[1] or "See the monitor's log.")
    delays = [delay for one in trial.direct for delay in _delays(one, trial, FIRST)]
    if not delays:
        return ok("monitor", f"can be followed at {way} in all three ways")
    took = f"{median(delays) * 1000:.0f} ms, {max(delays) * 1000:.0f} ms at most"
    if median(delays) > PROMPT:
        return warn("monitor", f"delivers at {way}, but late: {took}", "Is the machine too busy?")
    return ok("monitor", f"delivers at {way} in all three ways: {took}")


def public(trial: Trial, way: Way) -> Iterator[Finding]:
    """What came by the public address, in each of the three ways."""
    heard = {one.kind: one for one in trial.public}
    http = heard["events"], heard["poll"]
    for kind, one in heard.items():
        why = _failure(one, trial)
        if why is None:
            yield ok(kind, _came(one, trial))
        elif _is_cut(one, trial) or (kind != "websocket" and _is_kept_back(one, trial)):
            continue  # reported below
        elif kind == "websocket" and _is_upgrade_lost(one, http):
            text = (
                f"the proxy does not pass on the upgrade to WebSocket (it answers {_answer(one)})"
            )
            yield fail(kind, text, _UPGRADE)
        else:
            seen, remedy = explain(one.refusal, way) if one.refusal else why
            yield fail(kind, seen, remedy)
    yield from _buffering(trial, heard)
    yield from _idle(trial, heard)


def _answer(one: Heard) -> str:
    return str(one.refusal.status) if one.refusal else one.error


def _is_upgrade_lost(one: Heard, others: Sequence[Heard]) -> bool:
    """Whether only WebSocket fails, before it is open, and not because of the page's origin."""
    if one.opened is not None or not (one.refusal or one.error):
        return False
    if one.refusal and ORIGIN in one.refusal.body:
        return False
    return any(other.refusal is None and not other.error for other in others)


def _failure(one: Heard, trial: Trial) -> tuple[str, str] | None:
    """Why a follower has not heard all, and what to do; None if it has."""
    if one.refusal is not None:
        text = " ".join(one.refusal.body.split())[:200]
        return f"is refused with {one.refusal.status}: {text}", ""
    if one.error:
        return one.error, ""
    if one.opened is None:
        return "nothing came, not even an answer", "Does a proxy or a firewall look into it?"
    missing = [name for name in trial.sent if name not in one.messages]
    if missing:
        return f"{', '.join(missing)} never came", ""
    return None


def _came(one: Heard, trial: Trial) -> str:
    delays = _delays(one, trial, (*FIRST, *LAST))
    if not delays:
        return f"the {_NAMES[one.kind]} is open; no job was played"
    return f"{len(delays)} messages by {_NAMES[one.kind]}, {median(delays) * 1000:.0f} ms each"


def _delays(one: Heard, trial: Trial, names: Sequence[str]) -> list[float]:
    # A WebSocket that opens late gets at once what was sent before.
    begun = one.opened or 0.0 if one.kind == "websocket" else 0.0
    return [
        one.messages[name] - max(trial.sent[name], begun)
        for name in names
        if name in one.messages and name in trial.sent
    ]


def _is_kept_back(one: Heard, trial: Trial) -> bool:
    """Whether something on the way has collected what should come at once."""
    if not trial.sent or one.refusal or (one.kind == "websocket" and one.opened is None):
        return False
    delays = _delays(one, trial, FIRST)
    return (not one.error and len(delays) < len(FIRST)) or median(delays or [0.0]) > BUFFERED


def _buffering(trial: Trial, heard: dict[str, Heard]) -> Iterator[Finding]:
    """Whether messages come when they are sent; nothing where no job was played."""
    if not trial.sent:
        return
    kept = [one for one in heard.values() if _is_kept_back(one, trial)]
    for one in kept:
        found = _delays(one, trial, FIRST)
        late = f"came {median(found):.1f} s late" if found else "did not come while the job ran"
        text = f"what was sent by {_NAMES[one.kind]} {late}: the proxy keeps it back"
        yield fail("buffering", text, _NO_BUFFER)
    rest = {kind: _delays(one, trial, FIRST) for kind, one in heard.items() if one not in kept}
    delays = {kind: median(found) for kind, found in rest.items() if found}
    if kept or not delays:
        return
    kind, most = max(delays.items(), key=lambda item: item[1])
    text = f"messages come within {most * 1000:.0f} ms, by {_NAMES[kind]}"
    remedy = "Is the machine busy? Else something on the way collects messages."
    yield ok("buffering", text) if most <= PROMPT else warn("buffering", text, remedy)


def _is_cut(one: Heard, trial: Trial) -> bool:
    """Whether the connection ended in the silence."""
    if not trial.silence or one.ended is None or one.is_over:
        return False
    if one.refusal is not None and one.refusal.status != TIMED_OUT:
        return False
    begun = trial.sent.get(FIRST[-1], 0.0)
    return one.last is not None and max(begun, one.last) < one.ended < trial.resumed


def _idle(trial: Trial, heard: dict[str, Heard]) -> Iterator[Finding]:
    """Whether silent connections are kept; nothing where that was not tried."""
    if trial.silence <= 0.5:
        return
    cut = [one for one in heard.values() if _is_cut(one, trial)]
    for one in cut:
        assert one.ended is not None
        lasted = one.ended - (one.last or one.ended)
        text = f"the {_NAMES[one.kind]} was cut off after {lasted:.0f} s of silence"
        yield fail("idle", f"{text} ({one.error})" if one.error else text, _IDLE)
    lasting = [one for one in heard.values() if one.opened is not None and one not in cut]
    kept = [_NAMES[one.kind] for one in lasting if one.is_over or not (trial.sent or one.error)]
    if kept and not cut:
        yield ok("idle", f"{', '.join(kept)}: kept over {trial.silence:.0f} s of silence")


def client_address(trial: Trial) -> Iterator[Finding]:
    """Whether the monitor knows the clients behind the proxy by their own addresses."""
    open_ones = [one for one in trial.public if one.opened and one.address]
    if not open_ones:
        return
    if trial.readers is None:
        text = "which address the monitor sees is not known without its status page"
        yield warn("client-address", text)
        return
    kinds = {one.kind for one in open_ones}
    seen = {address for kind, address in trial.readers if kind in kinds}
    own = {one.address for one in open_ones}
    others = seen - {one.address for one in trial.direct}
    if seen & own:
        yield ok(
            "client-address", f"the monitor knows this client as {', '.join(sorted(seen & own))}"
        )
    elif not trial.readers:
        yield warn("client-address", "the monitor knew no follower of the job")
    else:
        known = ", ".join(sorted(others or seen)) or "nothing"
        text = f"the monitor takes this client, {', '.join(sorted(own))}, for {known}"
        yield warn("client-address", text, f"If that is the proxy: {_ADDRESS}")
