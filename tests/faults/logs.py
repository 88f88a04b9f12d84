"""Faults of the disk and folder of the log."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.clients import FINISHED, browser
from tests.faults.service import Service, serving, until
from tests.faults.table import Run, Skipped, case
from tests.integration.support import connected_broker


@contextlib.contextmanager
def mounted(*options: str) -> Iterator[Path]:
    """A new file system in memory, mounted during the block."""
    if os.geteuid() or not shutil.which("mount"):
        raise Skipped("needs root to mount a file system")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def said(service: Service) -> list[str]:
    """The lines on standard error about the log."""
    return [line for line in service.errors().splitlines() if "cannot write the log" in line]


def require_unlogged(run: Run, service: Service, name: str) -> None:
    """Require that it still serves without its log, and has reported that once."""
    for _ in range(50):
        with browser(service.address, name) as client:
            run.require(client.status == 101, "a client was not served")
    with browser(service.address, name) as client, connected_broker(service) as broker:
        broker.send(name.encode(), b"FINISHED")
        client.read_to_end()
        run.require(client.texts == [FINISHED] and client.code == 1000, "a job did not arrive")
    run.require(service.alive, "it has ended")
    lines = service.errors().splitlines()
    run.require(len(said(service)) == 1, f"it said so {len(said(service))} times")
    run.require(len(lines) == 1, f"standard error has {len(lines)} lines: {lines[:5]}")


@case("disk-full", "the log's disk is full, and has room again later")
def disk_full(run: Run) -> None:
    """The service goes on and reports it once; the log goes on when there is room."""
    with mounted("-o", "size=64k") as folder:
        log = folder / "monitor.log"
        with serving(logger={"file": str(log), "max-size": 0}) as service:
            (folder / "ballast").write_bytes(bytes(48 * 1024))
            while log.stat().st_size < 4096 * 3 and not said(service):
                with browser(service.address, "filling" * 20):
                    pass
            require_unlogged(run, service, "full")
            (folder / "ballast").unlink()
            with browser(service.address, "room again"):
                pass
            back = until(lambda: "room again" in log.read_text(errors="replace"), 5)
            run.require(back, "the log did not go on when there was room again")
    run.amount = "a disk of 64 KB, 50 clients and a job while it is full"
    run.lost = "lines of the log"
    run.service = "served on, said so once on standard error; the log went on with room"


@case("log-gone", "the log's folder is removed while the log rotates")
def log_gone(run: Run) -> None:
    """The service goes on, reports it once, and logs again when the folder is back."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "log"
        folder.mkdir()
        log = folder / "monitor.log"
        with serving(logger={"file": str(log), "max-size": 4096}) as service:
            shutil.rmtree(folder)
            fill_log(service)
            require_unlogged(run, service, "gone")
            folder.mkdir()
            require_logged_again(run, service, log)
    run.amount = "100 clients and a job while it is away"
    run.lost = "lines of the log"
    run.service = "served on, said so once on standard error; logged again when it was back"


def fill_log(service: Service) -> None:
    """Make it log so much that it has to rotate, or fails to."""
    for _ in range(50):
        with browser(service.address, "filling" * 20):
            pass


def require_logged_again(run: Run, service: Service, log: Path) -> None:
    """Require that the log continues at its path."""

    def logged() -> bool:
        with browser(service.address, "logged again"):
            pass
        return log.exists() and "logged again" in log.read_text(errors="replace")

    run.require(until(logged, 5, pause=0.1), "the log did not go on")


@case("log-readonly", "the log's folder becomes read-only while the log rotates")
def log_read_only(run: Run) -> None:
    """The service goes on, reports it once, and logs again when the folder is writable."""
    with mounted() as folder:
        log = folder / "monitor.log"
        with serving(logger={"file": str(log), "max-size": 4096}) as service:
            # A bind mount, since the open log keeps the file system itself from becoming read-only.
            subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
            try:
                read_only = ["mount", "-o", "remount,bind,ro", str(folder)]
                subprocess.run(read_only, check=True)
                fill_log(service)
                require_unlogged(run, service, "readonly")
            finally:
                subprocess.run(["umount", "--lazy", str(folder)], check=True)
            require_logged_again(run, service, log)
    run.amount = "100 clients and a job meanwhile"
    run.lost = "lines of the log"
    run.service = "served on, said so once on standard error; logged again afterwards"


class Piped(Service):
    """A service whose standard error is a pipe, read only when ``logged`` is called."""

    def launch(self, errors: int | None = None) -> "subprocess.Popen[str]":
        """Start it, without waiting for the result."""
        self._text = ""
        self.reading, writing = os.pipe()
        os.set_blocking(self.reading, False)
        started = super().launch(writing if errors is None else errors)
        os.close(writing)
        return started

    def logged(self) -> str:
        """The log so far."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.reading, 65536):
                self._text += piece.decode()
        return self._text


@case("log-stalled", "the log is a pipe that nobody reads, and later somebody does")
def log_stalled(run: Run) -> None:
    """The service goes on, drops and counts lines, says so once it is read, and stops in time."""
    rows = {"loop": "", "stop": ""}
    with serving_piped() as service:
        worst = 0.0
        for number in range(run.pick(2000, 300)):
            started = time.monotonic()
            with browser(service.address, f"{number:04}-{'unread' * 70}") as client:
                run.require(client.status == 101, "a client was not served")
            worst = max(worst, time.monotonic() - started)
        run.require(worst < run.within(0.5, 15), f"a handshake took {worst:.1f} s")
        rows["loop"] = f"a handshake took {worst * 1000:.0f} ms at the worst"
        said = until(lambda: "lines of the log: nothing took them" in service.logged(), 5)
        run.require(said, "it did not say how many lines were dropped")
        run.require(service.logged().count("nothing took them") == 1, "it said so more than once")
        with browser(service.address, "read again"):
            pass
        run.require(until(lambda: "read again" in service.logged(), 5), "the log did not go on")
        for number in range(run.pick(2000, 300)):
            with browser(service.address, f"{number:04}-{'unread' * 70}"):
                pass
        started = time.monotonic()
        code = service.stop()
        took = time.monotonic() - started
        run.require(code == 0, f"it ended with {code}")
        run.require(took < run.within(5, 30), f"the stop took {took:.1f} s")
        rows["stop"] = f"stopped after {took:.1f} s"
    run.amount = f"{run.pick(2000, 300)} clients while nobody reads, twice; a stop meanwhile"
    run.lost = "lines of the log, counted"
    run.service = f"{rows['loop']}; said once how many lines were dropped; {rows['stop']} with 0"


@contextlib.contextmanager
def serving_piped() -> Iterator[Piped]:
    """A service that logs to a pipe, with a buffer that takes what comes while the pipe is read."""
    with tempfile.TemporaryDirectory() as folder:
        service = Piped(folder, {"file": "-", "buffer": 65536})
        try:
            service.start()
            yield service
        finally:
            service.process.kill()
            service.process.wait()
            os.close(service.reading)


@contextlib.contextmanager
def disk() -> Iterator[Path]:
    """A new disk in a file, mounted during the block."""
    if os.geteuid() or not all(map(shutil.which, ("mkfs.ext4", "mount", "fsfreeze"))):
        raise Skipped("needs root, mkfs.ext4 and fsfreeze for a disk that hangs")
    with tempfile.TemporaryDirectory() as above:
        image, folder = Path(above) / "image", Path(above) / "disk"
        image.write_bytes(b"")
        os.truncate(image, 2**24)
        folder.mkdir()
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        mount = ["mount", "-o", "loop", str(image), str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            raise Skipped("needs a loop device for a disk that hangs")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """Whatever writes to this disk, or opens a file for it, hangs during the block."""
    subprocess.run(["fsfreeze", "--freeze", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(folder)], check=True)


@case("log-frozen", "the log's disk hangs, and SIGHUP makes the log open it, or another one")
def log_frozen(run: Run) -> None:
    """The service goes on, refuses the other file, and logs everything when the disk answers."""
    with disk() as folder:
        log, other = folder / "monitor.log", folder / "other.log"
        with serving(logger={"file": str(log)}) as service:
            with frozen(folder):
                worst = 0.0
                for name in (log, log, other):
                    settings = service.config.read_text().replace(str(log), str(name))
                    service.config.write_text(settings)
                    service.process.send_signal(signal.SIGHUP)
                    worst = max(worst, *(followed_whole(run, service) for _ in range(10)))
            run.require(worst < run.within(1, 15), f"a job took {worst:.1f} s")
            refused = f"cannot write {other}: its disk does not answer"
            run.require(until(lambda: refused in service.logged(), 10), "the log says nothing")
            names = service.logged().count("keeping the old settings")
            run.require(names == 1, f"it kept the old settings {names} times")
            service.process.send_signal(signal.SIGHUP)
            run.require(until(other.exists, 10), "it does not use the other file")
    run.amount = "30 jobs and three reloads while it hangs"
    run.service = f"a job took {worst * 1000:.0f} ms at the worst; the log was whole afterwards"


def followed_whole(run: Run, service: Service) -> float:
    """Follow a job of one message to its end; returns the seconds that it took."""
    started, name = time.monotonic(), f"frozen{time.monotonic_ns()}"
    with browser(service.address, name) as client, connected_broker(service) as broker:
        broker.send(name.encode(), b"FINISHED")
        client.read_to_end()
        run.require(client.texts == [FINISHED] and client.code == 1000, "a job did not arrive")
    return time.monotonic() - started
