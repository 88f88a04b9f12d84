"""CPU time and memory of a process and its children, from Linux's /proc."""

import time
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    for task in (PROC / str(pid) / "task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process tree's living threads, in seconds.

    The scheduler's own account is in nanoseconds; /proc/PID/stat counts hundredths of a second.
    """
    nanoseconds = 0
    for process in tree(pid):
        for task in (PROC / str(process) / "task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process tree, in bytes.

    Pages that several processes share are counted once, with a part for each process (Pss).
    """
    return sum(_pss(process) for process in tree(pid))


def _pss(pid: int) -> int:
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no Pss of process {pid}")


def settle(pid: int, timeout: float = 20.0) -> None:
    """Wait until a process tree is idle: under 1 % busy in two successive periods of 40 ms.

    Raises:
        TimeoutError: it is still busy after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    calm, before = 0, cpu_seconds(pid)
    while calm < 2:
        if time.monotonic() > end:
            raise TimeoutError(f"process {pid} is not idle after {timeout:.0f} s")
        time.sleep(0.04)
        after = cpu_seconds(pid)
        calm = calm + 1 if after - before < 0.0004 else 0
        before = after
