"""The soak: storms, fuzzing and broker faults on one service, for minutes."""

import time
from collections.abc import Callable

from tests.faults.broker import kill_one, play_cut_once, require_serving
from tests.faults.fuzz import checking_tokens, fuzz
from tests.faults.measure import percentile, size
from tests.faults.peers import throw_garbage
from tests.faults.service import Service, until
from tests.faults.storms import CHANNELS, open_channels, storm
from tests.faults.table import Case, Run

Round = Callable[[Run, Service, int], None]


class Soak:
    """Rounds of the same faults on the same service; each fault has a line in the table."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.inputs = self.resets = self.lost = self.killed = self.garbage = 0

    def storm(self, run: Run, service: Service, number: int) -> None:
        """Connect 2000 clients at once, and disconnect them at once."""
        self.taken += storm(run, service, 2000, f"127.0.5.{number % 200 + 1}")
        run.amount = f"2000 clients, {len(self.taken) // 2000} times"
        run.service = f"all served, p99 {percentile(self.taken, 0.99):.2f} s"

    def fuzz(self, run: Run, service: Service, number: int) -> None:
        """Fuzz with a new seed."""
        self.inputs += fuzz(run, service, 3000, 1000 + number).total()
        run.amount = f"{self.inputs} inputs, a new seed for every 3000"
        run.service = "answered each by the code that fits"

    def kill(self, run: Run, service: Service, number: int) -> None:
        """Kill a broker; another one plays its job again."""
        self.killed += kill_one(run, service, f"soak{number}-0")
        run.amount = f"{number + 1} brokers killed after {self.killed} tasks in all"
        run.service = "the first attempt without a hole, then the whole second one, 1000"

    def cut(self, run: Run, service: Service, number: int) -> None:
        """Reset the broker's connection in mid-job."""
        self.lost += play_cut_once(run, service, 4, 2000, f"cut{number}")
        self.resets += 4
        run.amount, run.lost = f"{self.resets} resets", f"{self.lost} messages on the way"
        run.service = "in order, nothing twice, to the end and 1000"

    def garble(self, run: Run, service: Service, number: int) -> None:
        """Send garbage to the broker's port."""
        throw_garbage(service, 300, 1000 + number)
        self.garbage += 300
        run.amount, run.service = f"{self.garbage} connections", "cut them"


def soak(seconds: float) -> list[tuple[Case, Run]]:
    """Play rounds for a time; returns the lines of the table."""
    rounds = Soak()
    parts: dict[str, tuple[Round, str]] = {
        "soak-storm": (rounds.storm, "clients connect at once and leave at once"),
        "soak-fuzz": (rounds.fuzz, "hostile handshakes and frames, a client beside them"),
        "soak-killed": (rounds.kill, "the broker is killed in mid-job, another one goes on"),
        "soak-cut": (rounds.cut, "the broker's TCP connection is reset while it sends"),
        "soak-garbage": (rounds.garble, "garbage on the broker's port"),
    }
    lines = [(Case(name, done, _nothing), Run(long=True)) for name, (_, done) in parts.items()]
    whole = (Case("soak", "all of these in turn on one service", _nothing), Run(long=True))
    with checking_tokens(channels={"idle_timeout": 86400, "retention": 5}) as service:
        _play(service, lines, [play for play, _ in parts.values()], whole[1], seconds)
    return [*lines, whole]


def _nothing(_: Run) -> None:
    """Do nothing: the lines of a soak are played together."""


def _play(
    service: Service, lines: list[tuple[Case, Run]], plays: list[Round], whole: Run, seconds: float
) -> None:
    began, number = time.monotonic(), 0
    memory: list[int] = []
    open_channels(service)
    before = service.descriptors()
    while number < 2 or time.monotonic() - began < seconds:
        for (_, run), play in zip(lines, plays, strict=True):
            play(run, service, number)
        number += 1
        gone = until(lambda: service.descriptors() <= before, 20)
        whole.require(gone, f"round {number}: descriptors stay open")
        service.settle(whole, seconds=20, channels=CHANNELS)
        memory.append(service.resident())
    require_serving(whole, service)
    growth = memory[-1] / memory[0] - 1
    whole.require(growth < 0.1, f"memory grew by {growth:.0%}")
    whole.amount = f"{number} rounds in {(time.monotonic() - began) / 60:.1f} minutes"
    whole.lost = "see above"
    whole.service = f"memory {size(memory[0])} after the first, {size(memory[-1])} after the last "
    whole.service += "round; no object, channel or descriptor left; no traceback"
