"""The history file outlives the process, whatever ends it."""

import asyncio
import contextlib
import os
import re
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import websockets
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.history.database import VERSION
from tests.integration.status import get, printed
from tests.integration.support import (
    PATIENCE,
    WAYS,
    Broker,
    Monitor,
    connected_broker,
    free_ports,
    running_monitor,
)
from tests.integration.test_delivery import task
from tests.integration.test_running import made_monitor, outcome, run

FINISHED = '{"command": "FINISHED"}'
HISTORY = {"file": "history.db"}
"""The section of the configuration; the file is in the monitor's own folder."""


async def read(
    monitor: Monitor, channel_id: str, least: int, seconds: float = PATIENCE
) -> list[str]:
    """The texts that a client gets, until there are ``least`` and then none for 0.2 s."""
    texts: list[str] = []
    async with websockets.connect(monitor.url, max_size=None, proxy=None) as client:
        await client.send(channel_id)
        with contextlib.suppress(websockets.ConnectionClosed, TimeoutError):
            while True:
                patience = 0.2 if len(texts) >= least else seconds
                texts.append(str(await asyncio.wait_for(client.recv(), patience)))
    return texts


async def read_all(monitor: Monitor, channels: list[str], least: int) -> dict[str, list[str]]:
    """The same for several channels at once."""
    texts = await asyncio.gather(*(read(monitor, one, least) for one in channels))
    return dict(zip(channels, texts, strict=True))


async def read_until_killed(url: str, channel_id: str, texts: list[str]) -> None:
    """Add what a client gets to ``texts`` until its connection breaks."""
    with contextlib.suppress(websockets.ConnectionClosed):
        async with websockets.connect(url, max_size=None, proxy=None) as client:
            await client.send(channel_id)
            while True:
                texts.append(str(await client.recv()))


async def kill_once(monitor: Monitor, is_reached: Callable[[], bool]) -> None:
    """Kill the monitor as soon as a condition holds, or after 20 s."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while not is_reached():
                await asyncio.sleep(0.01)
    monitor.process.kill()


class Flood:
    """A broker that sends tasks to jobs in turn, as fast as they are read, until it is stopped."""

    def __init__(self, broker: Broker, jobs: list[str]) -> None:
        self.stopped = False
        self._broker = broker
        self._jobs = jobs
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        number = 0
        while not self.stopped:
            for job in self._jobs:
                self._broker.send(job.encode(), b"TASK", b"%d" % number, b"COMPLETED")
            number += 1

    def stop(self) -> None:
        """Stop it; a monitor must be running, to read what it is about to send."""
        self.stopped = True
        self._thread.join()


class KilledTests(SynchronousTestCase):
    """The process ends, killed or stopped."""

    def test_in_a_flood(self) -> None:
        """Whatever a client got before a kill, every client gets after it, from the beginning."""
        jobs = [f"job-{number}" for number in range(20)]
        seen: dict[str, list[str]] = {job: [] for job in jobs}

        async def kill_while_they_read(monitor: Monitor) -> None:
            reading = [read_until_killed(monitor.url, job, seen[job]) for job in jobs]
            killing = kill_once(monitor, lambda: min(map(len, seen.values())) > 500)
            await asyncio.gather(killing, *reading)

        with (
            running_monitor(history=HISTORY) as monitor,
            connected_broker(monitor) as broker,
        ):
            flood = Flood(broker, jobs)
            for _ in range(3):
                for job in jobs:
                    seen[job].clear()
                asyncio.run(kill_while_they_read(monitor))
                self.assertEqual(monitor.stop(), -signal.SIGKILL)
                monitor.start()
            flood.stop()
            after = asyncio.run(read_all(monitor, jobs, max(map(len, seen.values()))))
        for job in jobs:
            self.assertEqual(after[job][: len(seen[job])], seen[job])
            self.assertEqual(after[job][:100], [task(number) for number in range(100)])

    def test_all_ways(self) -> None:
        """However the monitor is run, running and ended jobs outlive a kill and a stop."""
        for way in WAYS:
            for number in (signal.SIGKILL, signal.SIGTERM):
                with running_monitor(way, history=HISTORY) as monitor:
                    with connected_broker(monitor) as broker:
                        broker.send(b"running", b"TASK", b"0", b"COMPLETED")
                        broker.send(b"ended", b"FINISHED")
                        asyncio.run(read(monitor, "ended", 1))
                    monitor.stop(number)
                    monitor.start()
                    with connected_broker(monitor) as broker:
                        broker.send(b"running", b"FINISHED")
                        texts = asyncio.run(read_all(monitor, ["running", "ended"], 99))
                expected = {"running": [task(0), FINISHED], "ended": [FINISHED]}
                self.assertEqual(texts, expected, (way, number))

    def test_sync(self) -> None:
        """Jobs outlive a kill also if every turn waits for the disk."""
        with running_monitor(history={"file": "history.db", "sync": True}) as monitor:
            with connected_broker(monitor) as broker:
                for number in range(50):
                    broker.send(b"job", b"TASK", b"%d" % number, b"COMPLETED")
                before = asyncio.run(read(monitor, "job", 50))
            monitor.stop(signal.SIGKILL)
            monitor.start()
            self.assertEqual(asyncio.run(read(monitor, "job", 50)), before)

    def test_retention_continues(self) -> None:
        """The retention of an ended channel continues while the monitor is down."""
        with running_monitor(history=HISTORY, channels={"retention": 5}) as monitor:
            with connected_broker(monitor) as broker:
                broker.send(b"job", b"STARTED")
                ended = time.monotonic()
                broker.send(b"job", b"FINISHED")
                self.assertEqual(len(asyncio.run(read(monitor, "job", 2))), 2)
            monitor.stop(signal.SIGKILL)
            monitor.start()
            last = ended
            # Once the channel is no longer kept, its end alone is remembered.
            while asyncio.run(read(monitor, "job", 2, 0.3)) != [FINISHED]:
                last = time.monotonic()
                self.assertLess(last, ended + PATIENCE, "the channel is still there")
            if last == ended:
                self.assertGreater(time.monotonic(), ended + 4.9, "the channel is gone too early")


class RememberedTests(SynchronousTestCase):
    """What became of a job is known when it is kept no longer."""

    def test_status(self) -> None:
        """The status of such a job says how it ended, after a kill and a stop as before them."""
        (port,) = free_ports(1)
        status, channels = ["127.0.0.1", port], {"retention": 1}
        with running_monitor(history=HISTORY, status_uri=status, channels=channels) as monitor:
            with connected_broker(monitor) as broker:
                broker.send(b"job", b"STARTED")
                broker.send(b"job", b"FAILED")
                broker.send(b"job", b"FINISHED")
                self.assertEqual(len(asyncio.run(read(monitor, "job", 3))), 3)
            before = self.remembered(port)
            expected = ("forgotten", "failed", "finished", 3, 1)
            keys = ("state", "outcome", "end", "messages", "followed")
            self.assertEqual(tuple(before[key] for key in keys), expected)
            # The tombstone is written within a second.
            time.sleep(2)
            for number in (signal.SIGKILL, signal.SIGTERM):
                monitor.stop(number)
                monitor.start()
                after = self.remembered(port)
                self.assertEqual(tuple(after[key] for key in keys), expected)
                for key in ("ended_at", "forgotten_at"):
                    self.assertApproximates(after[key], before[key], 1.5)
            self.assertIn("(failed) after 3 messages and 1 follower", printed(monitor, "job"))

    def remembered(self, port: int) -> dict[str, Any]:
        """What is told of the job once it is kept no longer."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            _, told = get(port, "/api/channels/job")
            if not told["known"]:
                break
            time.sleep(0.1)
        return dict(told)


class FullDiskTests(SynchronousTestCase):
    """The file cannot be written for a while."""

    def wait_for(self, monitor: Monitor, text: str) -> None:
        """Wait until the log has a text."""
        deadline = time.monotonic() + PATIENCE
        while text not in monitor.logged() and time.monotonic() < deadline:
            time.sleep(0.05)
        monitor.require_logged(text)

    def test_full_disk(self) -> None:
        """Clients are served, ``/readyz`` says what is wrong, and later all is saved."""
        (port,) = free_ports(1)
        status = ["127.0.0.1", port]
        with (
            running_monitor(history=HISTORY, status_uri=status) as monitor,
            connected_broker(monitor) as broker,
        ):
            broker.send(b"job", b"TASK", b"0", b"COMPLETED")
            asyncio.run(read(monitor, "job", 1))
            size = (monitor.folder / "history.db-wal").stat().st_size
            size = max(size, monitor.log.stat().st_size) + 2000
            limits = resource.prlimit(monitor.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(monitor.process.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
            for number in range(1, 50):
                broker.send(b"job", b"TASK", b"%d" % number, b"COMPLETED")
            expected = [task(number) for number in range(50)]
            self.assertEqual(asyncio.run(read(monitor, "job", 50)), expected)
            self.wait_for(monitor, "cannot save the history")
            why = {"ready": False, "why": ["the history cannot be saved"]}
            self.assertEqual(get(port, "/readyz"), (503, why))
            resource.prlimit(monitor.process.pid, resource.RLIMIT_FSIZE, limits)
            self.wait_for(monitor, "the history is saved again")
            self.assertEqual(get(port, "/readyz")[0], 200)
            self.assertEqual(monitor.logged().count("history"), 2, monitor.logged())
            monitor.stop(signal.SIGKILL)
            monitor.start()
            self.assertEqual(asyncio.run(read(monitor, "job", 50)), expected)


class CannotStartTests(SynchronousTestCase):
    """The file cannot be used at all."""

    def assert_refused(self, monitor: Monitor, text: str) -> None:
        """The monitor does not start, ``check`` says why, and the file stays as it is."""
        file = monitor.folder / "history.db"
        before = file.read_bytes() if file.exists() else None
        code, errors = outcome(monitor)
        self.assertEqual(code, 1, errors)
        where = rf"cannot start: {re.escape(str(monitor.config))}:\d+: history.file: "
        self.assertRegex(errors, where + re.escape(text))
        self.assertNotIn("Traceback", errors)
        monitor.require_logged(text)
        checked = run("check", "-c", str(monitor.config))
        self.assertEqual(checked.returncode, 1)
        self.assertEqual(checked.stdout, "")
        self.assertIn(f"history.file: {text}", checked.stderr)
        self.assertEqual(len(checked.stderr.splitlines()), 1)
        self.assertEqual(file.read_bytes() if file.exists() else None, before)

    def configured(self, monitor: Monitor, file: Path) -> None:
        """Configure a monitor with this history file."""
        address, port = monitor.address
        broker = int(monitor.broker.rpartition(":")[2])
        monitor.configure(
            websocket_uri=[address, port],
            zeromq_uri=[address, broker],
            logger={"file": str(monitor.log)},
            history={"file": str(file)},
        )

    def test_all_ways(self) -> None:
        """However the monitor is run, a file that is no history is refused."""
        for way in WAYS:
            with made_monitor(way) as monitor:
                file = monitor.folder / "history.db"
                file.write_text("not a history, but something else\n" * 100)
                self.configured(monitor, file)
                self.assert_refused(monitor, f"{file} is not a history of the monitor")

    def test_kinds_of_files(self) -> None:
        """Newer versions, damaged files and missing folders each have an error of their own."""
        with made_monitor() as monitor:
            file = monitor.folder / "history.db"
            self.configured(monitor, file)
            monitor.start()
            with connected_broker(monitor) as broker:
                broker.send_all([(b"job", b"TASK", b"x" * 1000, b"COMPLETED")] * 50)
                asyncio.run(read(monitor, "job", 50))
            monitor.stop()
            for version in (VERSION + 1, VERSION):
                with closing(sqlite3.connect(file)) as db:
                    db.execute(f"PRAGMA user_version = {version}")
                if version != VERSION:
                    self.assert_refused(monitor, f"{file} is of a newer monitor")
            file.write_bytes(file.read_bytes()[:-5000])
            self.assert_refused(monitor, f"{file} is damaged")
            self.configured(monitor, monitor.folder / "missing" / "history.db")
            self.assert_refused(monitor, "cannot write ")

    def test_in_use(self) -> None:
        """Two monitors cannot use one file; ``check`` only mentions that one uses it."""
        with running_monitor(history=HISTORY) as first, made_monitor() as second:
            file = first.folder / "history.db"
            self.configured(second, file)
            code, errors = outcome(second)
            self.assertEqual(code, 1)
            self.assertIn(f"{file} is in use by another monitor", errors)
            checked = run("check", "-c", str(second.config))
            self.assertEqual(checked.returncode, 0)
            self.assertIn(f"file: {file}", checked.stdout)
            self.assertIn("is in use by another monitor", checked.stderr)
            self.assertEqual(len(checked.stderr.splitlines()), 1)
            first.stop(signal.SIGKILL)
            self.assertEqual(run("check", "-c", str(second.config)).stderr, "")
            second.start()
            second.stop()

    def test_check_makes_no_file(self) -> None:
        """``check`` leaves no file behind: one made by root could not be opened by the monitor."""
        with made_monitor() as monitor:
            self.configured(monitor, monitor.folder / "history.db")
            before = set(os.listdir(monitor.folder))
            self.assertEqual(run("check", "-c", str(monitor.config)).returncode, 0)
            self.assertEqual(set(os.listdir(monitor.folder)), before)
