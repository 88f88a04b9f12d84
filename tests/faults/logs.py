"""Faults of the log's disk and folder."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.clients import FINISHED, browser
from tests.faults.service import Service, serving, until
from tests.faults.table import Run, Skipped, case
from tests.integration.support import connected_broker


@contextlib.contextmanager
def mounted(*options: str) -> Iterator[Path]:
    """A file system of its own, in memory."""
    if os.geteuid() or not shutil.which("mount"):
        raise Skipped("needs root to mount a file system")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def said(service: Service) -> list[str]:
    """What it has said on standard error about its log."""
    return [line for line in service.errors().splitlines() if "cannot write the log" in line]


def require_unlogged(run: Run, service: Service, name: str) -> None:
    """Require that it serves on without its log, and has said so once, without a traceback."""
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
    """The service goes on and says so once; the log goes on too when there is room."""
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
    """The service goes on, says so once, and logs again when the folder is back."""
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
    """Let it log so much that it must rotate, or fail to."""
    for _ in range(50):
        with browser(service.address, "filling" * 20):
            pass


def require_logged_again(run: Run, service: Service, log: Path) -> None:
    """Require that the log goes on in its place."""

    def logged() -> bool:
        with browser(service.address, "logged again"):
            pass
        return log.exists() and "logged again" in log.read_text(errors="replace")

    run.require(until(logged, 5, pause=0.1), "the log did not go on")


@case("log-readonly", "the log's folder becomes read-only while the log rotates")
def log_read_only(run: Run) -> None:
    """The service goes on, says so once, and logs again when the folder can be written."""
    with mounted() as folder:
        log = folder / "monitor.log"
        with serving(logger={"file": str(log), "max-size": 4096}) as service:
            # The file that is open already keeps the file system itself from being read-only.
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
