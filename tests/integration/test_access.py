"""Followers with tokens, over real sockets."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import jwt
import websockets
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.support import PATIENCE, Monitor, connected_broker, running_monitor

DOCS = Path(__file__).parent.parent.parent / "docs"
OLD, NEW = (letter * 40 for letter in "ab")


def token(key: str, seconds: float = 600) -> str:
    """A token for the channel ``job`` that is valid for so long, in whole seconds."""
    return jwt.encode({"channels": ["job"], "exp": int(time.time() + seconds)}, key, "HS256")


async def followed(url: str) -> tuple[list[str], int, str]:
    """The commands that a follower of ``job`` gets, its close code and the reason."""
    commands: list[str] = []
    async with websockets.connect(url, proxy=None) as client:
        try:
            await client.send("job")
            while True:
                commands.append(
                    json.loads(await asyncio.wait_for(client.recv(), PATIENCE))["command"]
                )
        except websockets.ConnectionClosed as closed:
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
            return commands, code, reason


def status(monitor: Monitor, path: str) -> int:
    """The status of an answer over plain HTTP."""
    host, port = monitor.address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


class AccessTests(SynchronousTestCase):
    """A monitor that requires tokens."""

    def reload(self, monitor: Monitor) -> None:
        """Send SIGHUP, and wait until the log says that it was done."""
        before = monitor.logged().count("no setting has changed")
        os.kill(monitor.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while monitor.logged().count("no setting has changed") == before:
            self.assertLess(time.monotonic(), deadline, monitor.logged())
            time.sleep(0.02)

    def test_keys(self) -> None:
        """A key is replaced by SIGHUP; what is followed ends with its token; the log has none."""
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("first", "second")]
            for file in files:
                file.write_text(OLD)
                file.chmod(0o600)
            access = {"key_file": [str(file) for file in files], "required": True}
            with running_monitor(access=access) as monitor, connected_broker(monitor) as broker:
                broker.send(b"job", b"STARTED")
                tokens = {key: token(key) for key in (OLD, NEW)}
                paths = [f"/channels/job?token={tokens[key]}" for key in (OLD, NEW)]
                self.assertEqual([status(monitor, path) for path in paths], [200, 401])
                files[1].write_text(NEW)
                self.reload(monitor)
                self.assertEqual([status(monitor, path) for path in paths], [200, 200])
                files[0].write_text(NEW)
                self.reload(monitor)
                self.assertEqual([status(monitor, path) for path in paths], [401, 200])

                short = token(NEW, 5)
                got = asyncio.run(followed(f"{monitor.url}?after=&token={short}"))
                self.assertEqual(got, (["SUBSCRIBED", "STARTED"], 1008, "token: expired"))
                got = asyncio.run(followed(monitor.url))
                self.assertEqual(got, ([], 1008, "token: missing"))
                for text in (*tokens.values(), short):
                    self.assertNotIn(text.split(".")[2], monitor.logged())

    def test_documented(self) -> None:
        """The documentation's Python makes a token that is taken, also from ``watch``."""
        pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
        (code,) = re.findall(r"```python\n(import jwt.*?)```", pages, re.DOTALL)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "key"
            file.write_text(OLD + "\n")
            made: dict[str, str] = {}
            exec(code.replace("/etc/recodex/api/monitor-tokens.key", str(file)), made)
            access = {"key_file": str(file), "required": True}
            with running_monitor(access=access) as monitor, connected_broker(monitor) as broker:
                broker.send(b"student_1", b"STARTED")
                broker.send(b"student_1", b"FINISHED")
                command = [sys.executable, "-m", "recodex_monitor", "watch", "student_1"]
                command += ["--url", monitor.url]
                run = subprocess.run([*command, "--token", made["token"]], timeout=60, check=False)
                self.assertEqual(run.returncode, 0)
                run = subprocess.run(command, timeout=60, check=False, capture_output=True)
                self.assertEqual(run.returncode, 2)
                self.assertIn(b"token: missing", run.stderr)

    def test_bad_key(self) -> None:
        """With a key that cannot be used no monitor starts, and one that runs keeps the old key."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "key"
            file.write_text(OLD)
            with running_monitor(access={"key_file": str(file)}) as monitor:
                file.write_text("short")
                os.kill(monitor.process.pid, signal.SIGHUP)
                deadline = time.monotonic() + PATIENCE
                while "keeping the old settings: " not in monitor.logged():
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.02)
                self.assertIn("access.key_file", monitor.logged())
                self.assertEqual(status(monitor, f"/channels/job?token={token(OLD)}"), 200)
                monitor.stop()
                self.assertRaises(AssertionError, monitor.start)
