"""The jobs of the demo: what the broker sends of them, and what students see."""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from recodex_monitor.follow import Message, follow_job
from recodex_monitor.tools import jobs, simulate
from recodex_monitor.tools.jobs import Frames
from recodex_monitor.tools.progress import Progress

OUTCOMES = tuple(jobs.OUTCOMES)
PACE = 0.6
"""Seconds between two messages of a job."""

_RETRY = 0.01


@dataclass
class Job:
    """One job of the demo: what the broker sends, and what a student sees.

    Attributes:
        got: the messages so far, as the broker's frames without the channel.
    """

    outcome: str
    messages: list[Frames]
    progress: Progress = field(default_factory=Progress)
    got: list[Frames] = field(default_factory=list)

    @property
    def channel(self) -> str:
        """The id of the job's channel."""
        return self.messages[0][0].decode()

    def feed(self, message: Message) -> None:
        """Take a received message."""
        self.progress.feed(message)
        words = [message.get(key) for key in ("command", "task_id", "task_state")]
        self.got.append([str(word).encode() for word in words if word is not None])

    @property
    def expected(self) -> list[Frames]:
        """The messages to expect; the monitor adds the end if the broker does not send it."""
        sent = [rest for _, *rest in self.messages]
        return sent if sent[-1] == [b"FINISHED"] else [*sent, [b"FINISHED"]]

    @property
    def lost(self) -> int | None:
        """How many messages are missing; None if one came twice or out of order."""
        expected = iter(self.expected)
        in_order = all(frames in expected for frames in self.got)
        return len(self.expected) - len(self.got) if in_order else None


Show = Callable[[Job], None]


def make_jobs(first: int, tasks: int) -> list[Job]:
    """A job of each outcome, the first one on the channel ``demo-FIRST``."""
    rng = random.Random()
    made = []
    for number, outcome in enumerate(OUTCOMES, first):
        channel = f"demo-{number}".encode()
        messages = jobs.make_job(rng, tasks, outcome)
        made.append(Job(outcome, [[channel, *rest] for _, *rest in messages]))
    return made


async def play_and_follow(
    made: list[Job], url: str, endpoint: str, show: Show, patience: float = 0.0
) -> None:
    """Send all jobs as the broker would, and follow each as a student would, to the end.

    Args:
        made: the jobs.
        url: the address for browsers.
        endpoint: the address for the broker.
        show: called after each message of a job.
        patience: seconds for which a student tries again after a lost connection.
    """
    async with asyncio.TaskGroup() as group:
        for job in made:
            group.create_task(_follow(job, url, show, patience))
        group.create_task(_play(made, endpoint))


async def _play(made: list[Job], endpoint: str) -> None:
    with simulate.broker_socket(endpoint, linger=5) as broker:
        for wait, frames in jobs.paced(jobs.interleave(job.messages for job in made), PACE):
            await asyncio.sleep(wait)
            while not simulate.offer(broker, frames):
                await asyncio.sleep(_RETRY)


async def _follow(job: Job, url: str, show: Show, patience: float) -> None:
    async for message in follow_job(url, job.channel, patience=patience):
        job.feed(message)
        show(job)


@contextmanager
def lines() -> Iterator[Show]:
    """Show jobs without a terminal: a line whenever the state of one changes.

    A line for each message would be too many with several jobs.
    """
    shown: dict[str, str] = {}

    def show(job: Job) -> None:
        if shown.get(job.channel) != job.progress.state:
            shown[job.channel] = job.progress.state
            print(f"{job.outcome}: {job.progress.state}, {job.progress.counts()}", flush=True)

    yield show


async def until_first(*steps: Coroutine[object, object, object]) -> None:
    """Wait until one of the steps ends, cancel the others, and raise what it raised."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


FOR_EVER = math.inf
"""The patience of a student who waits for another node."""
