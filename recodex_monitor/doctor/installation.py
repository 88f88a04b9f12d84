"""The settings, as the user that the monitor runs as can use them."""

import os
import pwd
import subprocess
from collections.abc import Iterator

from recodex_monitor import checks
from recodex_monitor.doctor.context import Context
from recodex_monitor.doctor.findings import Finding, fail, ok, warn
from recodex_monitor.doctor.ports import Process
from recodex_monitor.doctor.units import Unit, is_loaded
from recodex_monitor.settings import environment, places, secrets
from recodex_monitor.tools.command import own_command

_MAY_RUN = " is in use"
"""What is normal where a monitor runs."""

_REMEDY = "Correct it, run `recodex-monitor check`, and restart the monitor."


def user_of(unit: Unit, running: Process | None) -> str | None:
    """The user that the monitor runs as; None where that is not known."""
    if is_loaded(unit):
        return unit.get("User") or "root"
    if running is not None:
        try:
            return pwd.getpwuid(os.stat(f"/proc/{running.pid}").st_uid).pw_name
        except (OSError, KeyError):
            pass
    return None


def settings(context: Context, user: str | None) -> Iterator[Finding]:
    """Whether a monitor of that user could start with the settings."""
    for text in context.problems:
        if "ermission" in text and os.geteuid() != 0:
            yield warn("settings", text, "Run this as root, who may read the settings.")
        else:
            yield fail("settings", text, _REMEDY)
    if context.problems:
        yield warn("settings", "what follows is about the defaults, since the file cannot be used")
        return
    me = _me()
    if user not in (None, me) and os.geteuid() == 0:
        assert user is not None
        is_usable, texts = _as_user(context.file, user)
    else:
        is_usable, texts = _as_myself(context)
    for text in texts:
        if is_usable and _MAY_RUN not in text:
            yield warn("settings", text)
        elif not is_usable:
            yield fail("settings", text, _remedy(text, user or me))
    if is_usable:
        where = context.file or "the defaults"
        yield ok("settings", f"{where} can be used by {user or me}")
    if user not in (None, me) and os.geteuid() != 0:
        text = f"files were checked as {me}, but the monitor runs as {user}"
        yield warn("settings", text, "Run this as root.")


def _me() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in many containers
        return f"user {os.geteuid()}"


def _remedy(text: str, user: str) -> str:
    if "ermission" not in text:
        return _REMEDY
    return f"Let the monitor's user have it, as by `chown {user} FILE`, and restart the monitor."


def _as_user(file: str | None, user: str) -> tuple[bool, list[str]]:
    """Check in a process of that user; returns whether all is well, and what was found."""
    command = [*own_command(), "check", "--user", user, *(["-c", file] if file else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return False, ["`recodex-monitor check` did not end within a minute"]
    return done.returncode == 0, done.stderr.splitlines()


def _as_myself(context: Context) -> tuple[bool, list[str]]:
    found = list(checks.find(context.settings))
    mistakes = [text for text, is_mistake in found if is_mistake]
    if mistakes:
        return False, places.located(mistakes, context.file)
    notes = [text for text, is_mistake in found if not is_mistake]
    notes += secrets.exposed(context.file, context.settings)
    return True, [*notes, *environment.unknown()]
