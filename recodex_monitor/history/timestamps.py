"""Moments that another process can compare, also after the wall clock was set."""

import os
import time
from contextlib import suppress


def note_boot(lock: int, now: str) -> None:
    """Note in the lock's file that what is written from now on is so in this run of the machine."""
    # Where there is no room for it, there is none for a history.
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, _boot_of(now), 0)
        os.fsync(lock)


def moment() -> str:
    """Now, as a text of which another process can tell how long ago that was."""
    awake = time.clock_gettime(time.CLOCK_BOOTTIME)
    return f"{time.time():.3f} {awake:.3f} {_BOOT}"


def age(then: str, now: str) -> float:
    """The seconds from one moment to another, never less than 0.

    Within one run of the machine its wall clock is not asked, so that it may be set.
    """
    (wall, awake, boot), (wall_now, awake_now, boot_now) = then.split(" "), now.split(" ")
    if boot and boot == boot_now:
        return max(0.0, float(awake_now) - float(awake))
    return max(0.0, float(wall_now) - float(wall))


def _boot() -> str:
    """What names this run of the machine; empty where it has no name."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


_BOOT = _boot()


def was_other_boot(lock: int, now: str) -> bool:
    """Whether what was written last was so in another run of the machine, as far as is known."""
    return os.pread(lock, 100, 0) not in (b"", _boot_of(now))


def _boot_of(now: str) -> bytes:
    return now.rpartition(" ")[2].encode()
