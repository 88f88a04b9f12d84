"""What a process and its connections cost, measured from outside."""

import os
import re
import subprocess
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_HELD = re.compile(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),o(\d+),bl(\d+)")


def resident(pid: int) -> int:
    """Resident memory of the process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found, "the process has gone"
    return int(found[1]) * 1024


def descriptors(pid: int) -> int:
    """Open file descriptors of the process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def processor(pid: int) -> float:
    """Processor time that the process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def kernel(port: int) -> int:
    """Bytes that the kernel buffers for the connections of a local port, on that port's side."""
    listed = subprocess.run(
        ["ss", "-tmnH", "state", "connected", f"sport = :{port}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return sum(sum(map(int, held)) for held in _HELD.findall(listed.stdout))


def percentile(values: list[float], part: float) -> float:
    """The value below which a part (0 to 1) of the values lies; 0 without values."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))] if ranked else 0.0


def milliseconds(seconds: float) -> str:
    """A time as text for the table."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def size(count: float) -> str:
    """A number of bytes as text for the table."""
    return f"{count / 1024:.0f} KB" if abs(count) < 2**20 else f"{count / 2**20:.1f} MB"
