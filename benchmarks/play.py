"""Puts one contestant under load: commands to the load generator, and what they cost."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator

from . import measure
from .contestants import Contestant, ContestantFailed, running
from .native import build
from .page import page_open

WARM_CHANNEL = 2_000_000
SENTINEL_CHANNEL = 2_000_001

Answer = dict[str, float]


class Spent:
    """What a contestant spent while a block ran: CPU seconds and bytes of memory."""

    cpu = 0.0
    memory = 0


class Play:
    """A running contestant and the load generator that talks to it.

    Attributes:
        port: where the contestant's clients connect.
    """

    def __init__(self, pid: int, load: subprocess.Popen[str], port: int) -> None:
        self.port = port
        self._pid = pid
        self._load = load

    def open(
        self,
        clients: int,
        channels: int = 1,
        first: int = 0,
        *,
        subscribe: bool = True,
        servers: int = 0,
    ) -> Answer:
        """Open clients, spread evenly over `channels` channels, from number `first` on.

        At most 100 handshakes run at a time. Without `subscribe` the clients do not send their
        channel ids yet. Of a load generator with several servers, the first `servers` get them.
        """
        return self._ask(
            f"open count={clients} channels={channels} first={first} window=100"
            f" subscribe={subscribe:d} servers={servers}"
        )

    def subscribe(self, expect: int, window: int) -> Answer:
        """Let the clients send the ids that they held back, and wait for all messages.

        Args:
            expect: messages that each client is to get.
            window: how many clients may wait for their messages at a time.
        """
        return self._ask(f"subscribe expect={expect} window={window}")

    def publish(
        self,
        channels: int,
        messages: int,
        *,
        first: int = 0,
        rate: int = 0,
        finish: bool = False,
        probe: int = 0,
    ) -> Answer:
        """Publish messages to the channels in turn, and wait until the clients have them.

        Args:
            channels: how many channels to publish to, from number `first` on.
            messages: messages for each channel.
            first: the number of the first channel.
            rate: messages per second on all channels together; 0 for as fast as possible.
            finish: send FINISHED to each channel, and wait until its clients are closed.
            probe: milliseconds between the handshakes of additional clients; 0 for none.
        """
        return self._ask(
            f"publish first={first} channels={channels} messages={messages} rate={rate}"
            f" finish={finish:d} probe={probe}"
        )

    def close(self) -> None:
        """Drop all clients."""
        self._ask("close")

    @contextlib.contextmanager
    def spending(self) -> Iterator[Spent]:
        """Measure what the contestant spends from the idle before the block to the idle after."""
        spent = Spent()
        measure.settle(self._pid)
        cpu, memory = measure.cpu_seconds(self._pid), measure.memory_bytes(self._pid)
        yield spent
        measure.settle(self._pid)
        spent.cpu = measure.cpu_seconds(self._pid) - cpu
        spent.memory = measure.memory_bytes(self._pid) - memory

    def warm_up(self) -> None:
        """Use every path once, so that no scenario pays for what happens only the first time."""
        self.open(50, first=WARM_CHANNEL)
        self.publish(1, 20, first=WARM_CHANNEL)
        self.publish(1, 1, first=WARM_CHANNEL, finish=True)
        self.close()

    def _ask(self, command: str) -> Answer:
        assert self._load.stdin is not None
        assert self._load.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._load.stdin.write(command + "\n")
            self._load.stdin.flush()
        line = self._load.stdout.readline()
        if not line:
            errors = self._load.stderr.read() if self._load.stderr else ""
            raise ContestantFailed(f"{command}: {errors.strip()}")
        answer: Answer = json.loads(line)
        wrong = {key: answer[key] for key in ("failed", "lost", "surplus") if answer[key]}
        if wrong:
            raise ContestantFailed(f"{command}: {wrong}")
        return answer


@contextlib.contextmanager
def loading(options: list[str], pid: int, port: int) -> Iterator[Play]:
    """Start a load generator, warmed up, for a contestant that runs; stop it at the end.

    Args:
        options: of the load generator.
        pid: of the contestant.
        port: where its clients connect.
    """
    load = subprocess.Popen(
        [str(build("load")), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        play = Play(pid, load, port)
        play.warm_up()
        yield play
    except (OSError, TimeoutError) as error:
        raise ContestantFailed(str(error)) from error
    finally:
        load.kill()
        load.communicate()
        # Its clients vanish at once; give the contestant a moment to notice.
        time.sleep(0.05)


@contextlib.contextmanager
def playing(contestant: Contestant) -> Iterator[Play]:
    """Start a contestant and its load generator, warmed up; stop both at the end."""
    with (
        running(contestant) as (pid, ports),
        loading(contestant.load_options(ports), pid, ports.websocket) as play,
        page_open(ports.status) if contestant.is_watched else contextlib.nullcontext(),
    ):
        yield play
