"""How long the service takes to answer, measured by a process of its own.

``python -m tests.faults.probe HOST PORT handshake|ping INTERVAL`` measures until its standard
input ends, then prints the times in seconds as JSON.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.faults.clients import Address, abort
from tests.integration.support import ROOT
from tests.support.frames import HANDSHAKE, PING, TEXT, frame


@dataclass
class Times:
    """Round trips in seconds, and the number of requests without an answer."""

    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def worst(self) -> float:
        """The longest; infinite if nothing was answered."""
        return max(self.seconds, default=float("inf"))


@contextlib.contextmanager
def probing(address: Address, kind: str, interval: float = 0.02) -> Iterator[Times]:
    """Measure while the block runs; the times can be read afterwards.

    Args:
        address: the service's public port.
        kind: "handshake", each on its own connection, or "ping".
        interval: seconds from an answer to the next request.
    """
    times = Times()
    arguments = [*map(str, address), kind, str(interval)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.probe", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield times
        printed, _ = process.communicate(timeout=30)
        times.seconds, times.failures = json.loads(printed)
    finally:
        process.kill()
        process.wait()


def handshake(address: Address) -> float:
    """The seconds that a handshake takes, including the TCP connect."""
    began = time.perf_counter()
    with socket.socket() as client:
        client.settimeout(10)
        client.connect(address)
        client.sendall(HANDSHAKE + frame(TEXT, b"probe"))
        answer = client.recv(4096)
        taken = time.perf_counter() - began
        abort(client)
    if b" 101 " not in answer:
        raise OSError(f"not served: {answer[:40]!r}")
    return taken


def ping(client: socket.socket) -> float:
    """The seconds from a ping to its pong."""
    began = time.perf_counter()
    client.sendall(frame(PING, b"?"))
    while not client.recv(4096).endswith(b"?"):
        pass
    return time.perf_counter() - began


def main() -> None:
    """Measure until standard input ends."""
    address = (sys.argv[1], int(sys.argv[2]))
    # Measure the service, not how long this process waits for a processor.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    times = Times()
    client = socket.create_connection(address, 10)
    client.settimeout(10)
    client.sendall(HANDSHAKE + frame(TEXT, b"probe"))
    client.recv(4096)
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], float(sys.argv[4]))[0]:
        try:
            taken = handshake(address) if sys.argv[3] == "handshake" else ping(client)
            times.seconds.append(taken)
        except OSError:
            times.failures += 1
    print(json.dumps([times.seconds, times.failures]))


if __name__ == "__main__":
    main()
