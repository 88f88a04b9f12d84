"""systemd's units of the monitor."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from recodex_monitor.doctor.findings import Finding, fail, ok, warn
from recodex_monitor.settings.endpoints import Endpoint, SocketFile

SERVICE, SOCKET = "recodex-monitor.service", "recodex-monitor.socket"
_BOOTED = Path("/run/systemd/system")
_SHOWN = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "MainPID", "User"),
    *("NeedDaemonReload", "Listen", "Result"),
)

Unit = Mapping[str, str]


def show(unit: str) -> Unit:
    """What systemd tells of a unit; empty where it does not run."""
    if not _BOOTED.exists():
        return {}
    command = ["systemctl", "show", unit, *(f"--property={name}" for name in _SHOWN)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    found: dict[str, str] = {}
    for name, _, value in pairs:
        # A socket unit has a line for each address.
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def is_loaded(unit: Unit) -> bool:
    """Whether there is such a unit, and it is not masked."""
    return unit.get("LoadState") == "loaded"


def service(unit: Unit) -> Iterator[Finding]:
    """Whether the service runs, and will after the next boot."""
    if not is_loaded(unit):
        return
    state = f"{SERVICE} is {unit['ActiveState']} ({unit['SubState']})"
    if unit["ActiveState"] != "active":
        why = (
            f", result {unit['Result']}" if unit.get("Result") not in ("", None, "success") else ""
        )
        remedy = "`journalctl -u recodex-monitor -n 50` says why; then `systemctl start "
        yield fail("unit", f"{state}{why}", f"{remedy}recodex-monitor.socket recodex-monitor`.")
        return
    if unit.get("NeedDaemonReload") == "yes":
        yield warn("unit", f"{SERVICE} was changed after it was read", "`systemctl daemon-reload`")
    if unit.get("UnitFileState") in ("disabled", "masked"):
        text = f"{state}, but will not be started at the next boot"
        yield warn("unit", text, "`systemctl enable recodex-monitor.service`")
        return
    restarts = int(unit.get("NRestarts") or 0)
    if restarts:
        text = f"{state}; it was restarted {restarts} times since it had failed"
        yield warn("unit", text, "`journalctl -u recodex-monitor` says why.")
    else:
        yield ok("unit", f"{state}, as {unit.get('User') or 'root'}")


def socket(unit: Unit, websocket_uri: Endpoint) -> Iterator[Finding]:
    """Whether systemd keeps the port open on which the monitor listens."""
    if not is_loaded(unit):
        return
    if unit["ActiveState"] != "active":
        text = f"{SOCKET} is {unit['ActiveState']}: a restart of the monitor refuses clients"
        yield warn("socket", text, f"`systemctl enable --now {SOCKET}`")
        return
    listened = re.findall(r"^(\S+) \(Stream\)", unit.get("Listen", ""), re.M)
    if any(_is_same(one, websocket_uri) for one in listened):
        yield ok("socket", f"{SOCKET} keeps {', '.join(listened)} open")
        return
    text = f"{SOCKET} listens on {', '.join(listened)}, but websocket_uri is {websocket_uri}"
    remedy = f"Set ListenStream= by `systemctl edit {SOCKET}` to websocket_uri, then `systemctl "
    yield fail("socket", text, f"{remedy}restart {SOCKET}`.")


def _is_same(listened: str, endpoint: Endpoint) -> bool:
    if isinstance(endpoint, SocketFile):
        return listened == endpoint.path
    host, _, port = listened.rpartition(":")
    anywhere = ("*", "0.0.0.0", "::")
    host = host.strip("[]")
    is_local = endpoint.host == "localhost" and host.startswith(("127.", "::1"))
    is_covered = host in (endpoint.host, *anywhere) or endpoint.host in anywhere or is_local
    return is_covered and int(port or 0) == endpoint.port
