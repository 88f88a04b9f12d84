"""Brokers in their own processes, which can be killed.

``python -m tests.faults.sender ADDRESS JOBS MESSAGES PAUSE NAME`` plays jobs named
``NAME-0``, ``NAME-1`` ...: numbered tasks in turn, then FINISHED, unless it is killed.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.integration.support import ROOT, Broker


@contextlib.contextmanager
def sending(
    address: str, jobs: int, messages: int, pause: float = 0.0, name: str = "job"
) -> Iterator["subprocess.Popen[str]"]:
    """A broker that sends during the block, and is killed at its end if it is not done.

    Args:
        address: the service's ZeroMQ address.
        jobs: how many jobs it plays at a time.
        messages: tasks of each job.
        pause: seconds between two messages.
        name: the prefix of the jobs' ids.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.sender", address]
        + [str(one) for one in (jobs, messages, pause, name)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Play the jobs; prints from time to time how many tasks of each were sent."""
    address, jobs, messages, pause, name = sys.argv[1:]
    broker = Broker(address)
    for number in range(int(messages)):
        for job in range(int(jobs)):
            frames = (b"TASK", b"%d" % number, b"COMPLETED")
            broker.send(f"{name}-{job}".encode(), *frames)
            if float(pause):
                time.sleep(float(pause))
        if number % 100 == 0:
            print(number, flush=True)
    for job in range(int(jobs)):
        broker.send(f"{name}-{job}".encode(), b"FINISHED")
    broker.close()


if __name__ == "__main__":
    main()
