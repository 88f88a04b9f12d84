"""The monitor under test: the real program, in its own process."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import measure
from tests.faults.counted import FILE_VARIABLE
from tests.faults.table import Run
from tests.integration.support import ROOT, Monitor

_BAD = re.compile(r"Traceback|Unhandled|\[ERROR\]|\[CRITICAL\]")


class Service(Monitor):
    """A monitor that reports its objects on request, and whose whole output is kept."""

    def __init__(
        self,
        folder: str,
        logger: dict[str, object] | None = None,
        environment: dict[str, str] | None = None,
        **settings: object,
    ) -> None:
        # The log must not rotate: a traceback among 100,000 lines has to be found.
        self._logger = {"max-size": 2**30, **(logger or {})}
        self._environment = environment or {}
        self._counts = Path(folder) / "counts"
        self._errors = Path(folder) / "stderr"
        super().__init__(folder, "command", **settings)
        self.log = Path(str(self._logger.get("file", self.log)))

    def configure(self, **settings: object) -> None:
        """Write the configuration file."""
        logger = settings["logger"]
        assert isinstance(logger, dict)
        super().configure(**{**settings, "logger": {**logger, **self._logger}})

    def launch(self, errors: int | None = None) -> "subprocess.Popen[str]":
        """Start it, without waiting for the result; standard error is a file unless given."""
        self.log.unlink(missing_ok=True)
        with self._errors.open("w") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.counted", "-c", str(self.config)],
                cwd=self.folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    FILE_VARIABLE: str(self._counts),
                    **self._environment,
                },
                stdout=file,
                stderr=file if errors is None else errors,
                text=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def errors(self) -> str:
        """What it has written to standard error."""
        return self._errors.read_text()

    def told(self) -> dict[str, object]:
        """What the process reports about itself: its objects by class and its longest pause."""
        self._counts.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        assert until(self._counts.exists, 30), "the service does not answer SIGUSR1"
        told: dict[str, object] = json.loads(self._counts.read_text())
        return told

    def objects(self) -> dict[str, int]:
        """Objects of the monitor's own classes, by class."""
        found = self.told()["objects"]
        assert isinstance(found, dict)
        return found

    def resident(self) -> int:
        """Its resident memory, in bytes."""
        return measure.resident(self.pid)

    def descriptors(self) -> int:
        """Open file descriptors."""
        return measure.descriptors(self.pid)

    def limit_descriptors(self, count: int) -> None:
        """Allow it only descriptors whose number is below ``count``."""
        hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (min(count, hard), hard))

    def check(self, run: Run) -> None:
        """Require that it still runs and has neither logged an error nor a traceback."""
        run.require(self.alive, f"the service ended with {self.process.returncode}")
        for name, text in (("log", self.logged()), ("standard error", self.errors())):
            found = [line for line in text.splitlines() if _BAD.search(line)]
            run.require(
                not found, f"{len(found)} errors in the {name}: {found[:3]}\n{text[-3000:]}"
            )

    def start(self) -> None:
        """Start it and wait until it listens."""
        super().start()
        self._fresh = self.objects()

    def left(self) -> dict[str, int]:
        """Objects of the monitor's own classes in excess of those after the start."""
        now = self.objects()
        more = {name: count - self._fresh.get(name, 0) for name, count in now.items()}
        return {name: count for name, count in more.items() if count > 0}

    def settle(self, run: Run, seconds: float = 10, channels: int = 0) -> None:
        """Require that all objects of connections are freed in time; `channels` may stay."""

        def settled() -> bool:
            left = self.left()
            return left.pop("Channel", 0) <= channels and not left

        if not until(settled, seconds, pause=0.25):
            run.require(False, f"objects were left behind: {self.left()}")


@contextmanager
def serving(
    logger: dict[str, object] | None = None,
    environment: dict[str, str] | None = None,
    **settings: object,
) -> Iterator[Service]:
    """A service that runs during the block; the settings are those of the configuration file."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(folder, logger, environment, **settings)
        try:
            service.start()
            yield service
        finally:
            if hasattr(service, "process"):
                service.process.send_signal(signal.SIGCONT)
                service.process.kill()
                service.process.wait()


def until(holds: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
    """Wait until a condition holds; returns whether it does."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
