"""Following a job from a program, with a real monitor."""

import asyncio
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.follow import Message, Refused, follow_job
from tests.integration.browser import BEGIN, END, JOB, TASKS, say
from tests.integration.relays import original_monitor
from tests.integration.support import connected_broker, running_monitor
from tests.integration.test_browser_tokens import guarded_monitor, token

LIMIT = 60
"""Seconds that a test may take."""


async def followed(url: str, channel: str) -> list[Message]:
    """All messages of a job."""
    async with asyncio.timeout(LIMIT):
        return [message async for message in follow_job(url, channel)]


class FollowTests(SynchronousTestCase):
    """``follow_job``."""

    def test_whole_job(self) -> None:
        """Every message comes, with its id, and then the end."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            say(broker, JOB, *BEGIN, *TASKS, *END)
            found = asyncio.run(followed(monitor.url, JOB))
        commands = [message["command"] for message in found]
        self.assertEqual(commands, [*BEGIN, "TASK", "TASK", "TASK", *END])
        self.assertEqual(found[2]["task_id"], "a")
        self.assertTrue(found[0]["id"].endswith(":1"))

    def test_restart(self) -> None:
        """It resumes after a restart: nothing is missing, and nothing comes twice."""

        async def follow() -> list[str]:
            found = []
            async with asyncio.timeout(LIMIT):
                async for message in follow_job(monitor.url, JOB):
                    found.append(message["command"])
                    if message["command"] == "STARTED":
                        await asyncio.to_thread(restart)
            return found

        def restart() -> None:
            monitor.stop()
            say(broker, JOB, *END)
            monitor.start()

        with tempfile.TemporaryDirectory() as folder:
            history = {"file": str(Path(folder) / "history.db")}
            with running_monitor(history=history) as monitor, connected_broker(monitor) as broker:
                say(broker, JOB, *BEGIN)
                self.assertEqual(asyncio.run(follow()), [*BEGIN, *END])

    def test_refused(self) -> None:
        """A channel id that the monitor refuses is an error, which tells the code."""
        with running_monitor() as monitor:
            refused = self.assertRaises(Refused, asyncio.run, followed(monitor.url, "x" * 600))
        self.assertEqual(refused.code, 1009)

    def test_tokens(self) -> None:
        """For an expired token it gets another, once; a wrong one is refused."""

        async def follow(*tokens: str) -> int:
            given = iter(tokens)
            async with asyncio.timeout(LIMIT):
                found = follow_job(monitor.url, JOB, token=lambda: next(given))
                return len([message async for message in found])

        with guarded_monitor() as monitor, connected_broker(monitor) as broker:
            say(broker, JOB, *BEGIN, *END)
            self.assertEqual(asyncio.run(follow(token(JOB, -60), token(JOB))), 5)
            late = [token(JOB, -60)] * 2
            self.assertRaises(Refused, asyncio.run, follow(*late))
            refused = self.assertRaises(Refused, asyncio.run, follow(token("other")))
        self.assertEqual(refused.code, 1008)

    def test_original_monitor(self) -> None:
        """With a monitor without ids the messages are as they came."""
        with original_monitor() as original:
            original.history = [f'{{"command": "{one}"}}' for one in (*BEGIN, "FINISHED")]
            found = asyncio.run(followed(original.url, JOB))
        self.assertEqual(found, [{"command": one} for one in (*BEGIN, "FINISHED")])

    def test_nobody(self) -> None:
        """If nobody answers at the beginning, that is an error at once."""
        self.assertRaises(OSError, asyncio.run, followed("ws://127.0.0.1:1/", JOB))
