"""Print the messages of a job as they come: ``follow.py ws://127.0.0.1:4567/ CHANNEL``."""

import asyncio
import sys

from recodex_monitor.follow import follow_job


async def main(url: str, channel: str) -> None:
    """Follow the job to its end."""
    async for message in follow_job(url, channel):
        print(message["command"], message.get("task_id", ""), flush=True)


asyncio.run(main(*sys.argv[1:]))
