"""Runs a monitor that reports its living objects when it gets SIGUSR1.

It is the same command with the same arguments, plus a signal handler that writes a file and a
timer for Python's garbage collections.
"""

import gc
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from recodex_monitor.channels.counters import Cut
from recodex_monitor.channels.tombstones import Tombstone
from recodex_monitor.cli import main

FILE_VARIABLE = "RECODEX_MONITOR_COUNTS"
"""The environment variable that names the file."""


class Pauses:
    """How long collections took, in seconds of this thread's processor time.

    Wall time would include the time that other processes take.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.count = 0
        self._since = 0.0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        """Called by the garbage collector before and after each collection."""
        if phase == "start":
            self._since = time.thread_time()
        else:
            self.longest = max(self.longest, time.thread_time() - self._since)
            self.count += 1


RECORDS = (Cut, Tombstone)
"""Bounded records of what is gone; they are no leak."""


def objects() -> Counter[str]:
    """The number of living objects of the monitor's own classes, by class."""
    gc.collect()
    kinds = (type(one) for one in gc.get_objects() if not isinstance(one, RECORDS))
    # __module__ is a property in some classes of others, hence the str().
    return Counter(one.__name__ for one in kinds if "recodex_monitor" in str(one.__module__))


def run() -> int:
    """Run the monitor; returns its exit code."""
    pauses = Pauses()
    file = Path(os.environ[FILE_VARIABLE])

    def dump(*_: object) -> None:
        told = {"pauses": pauses.count, "longest": pauses.longest}
        gc.callbacks.remove(pauses)
        text = json.dumps({**told, "objects": objects()})
        gc.callbacks.append(pauses)
        pauses.longest = 0.0
        half = file.with_suffix(".half")
        half.write_text(text)
        half.rename(file)

    gc.callbacks.append(pauses)
    signal.signal(signal.SIGUSR1, dump)
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
