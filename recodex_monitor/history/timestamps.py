"""Moments that another process can compare, also after the wall clock was set."""

import os
import time
from contextlib import suppress


def moment() -> str:
    """Now, as a text: seconds of the wall clock, seconds since the boot, and the boot's id."""
    awake = time.clock_gettime(time.CLOCK_BOOTTIME)
    return f"{time.time():.3f} {awake:.3f} {_BOOT}"


def age(then: str, now: str) -> float:
    """The seconds from one moment to another, never less than 0.

    Within one boot the wall clock does not count, so that it may be set.

    Raises:
        ValueError: one of them is not as ``moment`` makes it.
    """
    (wall, awake, boot), (wall_now, awake_now, boot_now) = then.split(" "), now.split(" ")
    if boot and boot == boot_now:
        return max(0.0, float(awake_now) - float(awake))
    return max(0.0, float(wall_now) - float(wall))


def note_boot(lock: int, now: str) -> None:
    """Write the boot's id to a file, the lock beside a history, and wait for the disk.

    Args:
        lock: a descriptor of the file.
        now: a moment.
    """
    # If the disk has no room for this, saving the history fails as well, and reports it.
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, _boot_of(now), 0)
        os.fsync(lock)


def was_other_boot(lock: int, now: str) -> bool:
    """Whether the boot that was noted is known, and another than that of the moment ``now``."""
    return os.pread(lock, 100, 0) not in (b"", _boot_of(now))


def _boot_of(now: str) -> bytes:
    return now.rpartition(" ")[2].encode()


def _boot() -> str:
    """The id of this boot; empty where the system gives none."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


_BOOT = _boot()
