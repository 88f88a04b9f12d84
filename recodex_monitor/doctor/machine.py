"""This machine: the history file and its disk, the log's disk, open files, the clock."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from recodex_monitor.doctor.context import Context
from recodex_monitor.doctor.findings import Finding, fail, ok, warn
from recodex_monitor.doctor.ports import PROC, Process
from recodex_monitor.doctor.state import history as told
from recodex_monitor.settings.schema import DEFAULT_LOG, STDERR
from recodex_monitor.system.descriptors import TO_START

LITTLE, VERY_LITTLE = 2**30, 100 * 2**20
"""Free bytes of a disk: soon too few; too few."""


def history(context: Context) -> Iterator[Finding]:
    """Whether the history file is there, and can grow."""
    file = context.settings.history.file
    if file is None:
        text = "history.file is not set: a restart of the monitor loses what running jobs have said"
        yield warn("history", text, "Set history: {file: /var/lib/recodex-monitor/history.db}.")
        return
    yield from told(context)
    try:
        size = os.stat(file).st_size
        yield _disk("history", f"{file} has {size / 2**20:.1f} MB", str(Path(file).parent))
    except OSError as error:
        text = f"{file}: {error.strerror}"
        remedy = "Does the folder exist, and does it belong to the monitor's user?"
        yield fail(
            "history", text, remedy if isinstance(error, FileNotFoundError) else "Run as root."
        )


def log(context: Context) -> Iterator[Finding]:
    """Whether the log can grow."""
    file = context.settings.logger.file or (DEFAULT_LOG if context.file else STDERR)
    if file == STDERR:
        return
    try:
        os.stat(file)
        yield _disk("log", f"{file}", str(Path(file).parent))
    except OSError as error:
        if not isinstance(error, PermissionError):
            remedy = (
                "Was it rotated away? Reload the monitor. If its folder is missing, make that: "
            )
            remedy += "meanwhile the log goes to standard error, as to the journal."
            yield warn("log", f"{file}: {error.strerror}", remedy)


def _disk(check: str, about: str, folder: str) -> Finding:
    disk = os.statvfs(folder)
    free, inodes = disk.f_bavail * disk.f_frsize, disk.f_favail
    text = f"{about}; {free / 2**30:.1f} GB are free on its disk"
    remedy = f"Make room on the disk of {folder}."
    if free < VERY_LITTLE or (disk.f_files and inodes < 100):
        return fail(check, text if free < VERY_LITTLE else f"{about}; no inodes are left", remedy)
    return warn(check, text, remedy) if free < LITTLE else ok(check, text)


def open_files(context: Context, running: Process | None) -> Iterator[Finding]:
    """Whether the monitor may open as many files as it may have connections."""
    if running is None:
        return
    folder = PROC / str(running.pid)
    try:
        limit = _limit((folder / "limits").read_text())
    except OSError:
        yield warn("open-files", "only root can see the monitor's limit", "Run this as root.")
        return
    most = context.settings.limits.max_connections
    used = _used(context, folder)
    text = f"the monitor may open {limit} files, and has opened {used if used is not None else '?'}"
    remedy = (
        f"Set LimitNOFILE={most * 2} by `systemctl edit recodex-monitor`, `ulimit -n` elsewhere,"
    )
    remedy += " or lower limits.max_connections."
    if limit < most + TO_START or (used or 0) > limit * 0.8:
        yield fail("open-files", f"{text}, but max_connections is {most}", remedy)
    else:
        yield ok("open-files", f"{text}; max_connections is {most}")


def _limit(text: str) -> int:
    """The soft limit of open files, from a file ``limits`` of ``/proc``."""
    found = re.search(r"^Max open files\s+(\d+)", text, re.M)
    return int(found[1]) if found else 2**31


def _used(context: Context, folder: Path) -> int | None:
    try:
        return len(os.listdir(folder / "fd"))
    except OSError:
        return context.told.get("open_files") if context.told is not None else None


def synchronized() -> Iterator[Finding]:
    """Whether this machine's clock is synchronized; nothing if that cannot be found out."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.stdout.strip() == "no":
        text = "this machine's clock is not synchronized"
        yield warn("clock", text, "`timedatectl set-ntp true`, or install chrony.")
