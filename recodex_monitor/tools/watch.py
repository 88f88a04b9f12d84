"""`recodex-monitor watch`: follow one job in the terminal."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from recodex_monitor.follow import Refused, follow_job
from recodex_monitor.tools import terminal
from recodex_monitor.tools.progress import Progress
from recodex_monitor.tools.terminal import printable

Message = Mapping[str, object]
Show = Callable[[Progress, Message], None]


def describe(message: Message, progress: Progress) -> str:
    """A message, and the progress after it, as one printable line."""
    words = [str(message.get(key, "")) for key in ("command", "task_id", "task_state")]
    line = printable(" ".join(word for word in words if word))
    return f"{line} ({progress.counts()})" if message.get("command") == "TASK" else line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor watch`."""
    parser.description = (
        "Follow a job until it ends. A terminal shows a live bar; otherwise each message is a line."
    )
    parser.epilog = (
        "Exit codes: 0 the job finished, 1 it failed, 2 wrong usage, or the connection failed or "
        "ended before the job did, 130 interrupted by Ctrl-C."
    )
    parser.add_argument("channel", metavar="CHANNEL", help="the id of the job's channel")
    parser.add_argument(
        "--url",
        type=_address,
        default="ws://127.0.0.1:4567/",
        help="the monitor's address for browsers (default: %(default)s)",
    )
    parser.add_argument("--token", help="a follower's token, where the monitor asks for one")


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0:
            return url
    except ValueError:
        pass  # reported below
    raise argparse.ArgumentTypeError(
        f"{url!r} is not a monitor's address for browsers; write ws://HOST:PORT/ or wss://HOST/ws"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `recodex-monitor watch` and return its exit code."""
    if terminal.tools_missing("watch"):
        return 1
    progress = Progress()
    try:
        problem = _follow_shown(arguments, progress)
    except KeyboardInterrupt:
        return 130
    if problem:
        print(f"recodex-monitor watch: {printable(problem)}", file=sys.stderr)
        return 2
    print(f"{progress.state}: {progress.counts()}")
    return 1 if progress.job_failed else 0


def _follow_shown(arguments: argparse.Namespace, progress: Progress) -> str:
    """Follow a job and show it; returns what went wrong, or an empty text."""
    from websockets.exceptions import ConnectionClosed, WebSocketException

    url, channel = arguments.url, arguments.channel
    print(f"following {printable(channel)}", flush=True)
    try:
        with _bar() if terminal.on_terminal() else _lines() as show:
            follow(url, channel, progress, show, arguments.token)
    except BrokenPipeError:
        return "nobody reads the output any more"
    except ConnectionClosed as error:
        return f"the connection ended before the job did: {error}"
    except (OSError, ValueError, WebSocketException, Refused) as error:
        return f"cannot follow the job at {url}: {error}"
    return ""


def follow(
    url: str, channel: str, progress: Progress, show: Show, token: str | None = None
) -> None:
    """Feed the messages of a channel to a progress until the job is over, and show each.

    Raises:
        websockets.exceptions.ConnectionClosed: the connection ended before the job did.
        websockets.exceptions.WebSocketException, OSError, ValueError, Refused: the connection
            could not be made, the server is not a monitor, or refuses.
    """
    asyncio.run(_follow(url, channel, progress, show, token))


async def _follow(
    url: str, channel: str, progress: Progress, show: Show, token: str | None
) -> None:
    async for message in follow_job(url, channel, token=token, patience=0):
        progress.feed(message)
        show(progress, message)


@contextmanager
def _lines() -> Iterator[Show]:
    yield lambda progress, message: print(describe(message, progress), flush=True)


@contextmanager
def _bar() -> Iterator[Show]:
    with terminal.make_bars() as bars:
        bar = terminal.add_bar(bars, "job", None)
        yield lambda progress, message: terminal.update_bar(
            bars, bar, progress, str(message.get("task_id", ""))
        )
