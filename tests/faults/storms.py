"""Thousands of clients at once."""

import contextlib
import resource
import time

from tests.faults.clients import abort, browser, connected, followed, task
from tests.faults.crowd import Crowd, crowd
from tests.faults.measure import milliseconds, percentile, size
from tests.faults.probe import probing
from tests.faults.sender import sending
from tests.faults.service import Service, serving, until
from tests.faults.table import Run, Skipped, case
from tests.integration.support import connected_broker
from tests.support.frames import PING, frame

CHANNELS = 50
MESSAGES = 20


def open_channels(service: Service) -> None:
    """Give the storm's channels some history."""
    with connected_broker(service) as broker:
        for channel in range(CHANNELS):
            for number in range(MESSAGES):
                broker.send(b"storm-%d" % channel, b"TASK", b"%d" % number, b"COMPLETED")
    with browser(service.address, f"storm-{CHANNELS - 1}") as client:
        assert client.read_texts(MESSAGES)


def storm(run: Run, service: Service, count: int, source: str = "127.0.0.2") -> list[float]:
    """Connect clients at once, disconnect them at once; returns how long each waited."""
    with crowd(service.address) as clients:
        joined = clients.connect(
            (followed(f"storm-{number % CHANNELS}") for number in range(count)), source
        )
        clients.run(lambda: all(len(one.texts) == MESSAGES for one in joined), 60)
        whole = sum(one.texts == [*map(task, range(MESSAGES))] for one in joined)
        run.require(whole == count, f"{count - whole} of {count} were not served")
        return [one.opened - one.began for one in joined]


@case("storm", "clients connect at once and leave at once, round after round")
def storms(run: Run) -> None:
    """All are served in time; memory, channels and descriptors return to what they were."""
    count, rounds = run.pick(5000, 500), run.pick(10, 3)
    taken: list[float] = []
    memory: list[int] = []
    with serving(channels={"idle_timeout": 86400}) as service:
        open_channels(service)
        before = service.descriptors()
        for number in range(rounds):
            taken += storm(run, service, count, f"127.0.1.{number + 1}")
            gone = until(lambda: service.descriptors() <= before, 20)
            run.require(gone, f"{service.descriptors() - before} descriptors stay open")
            service.settle(run, channels=CHANNELS)
            memory.append(service.resident())
        service.check(run)
    p99, growth = percentile(taken, 0.99), memory[-1] / memory[0] - 1
    run.require(p99 < run.within(2, 30), f"p99 of being served was {p99:.2f} s")
    run.require(growth < run.within(0.1, 0.25), f"memory grew by {growth:.0%}")
    run.amount = f"{count} clients, {rounds} times; each on one of {CHANNELS} channels"
    run.service = f"p99 {milliseconds(p99)}, at most {milliseconds(max(taken))}; memory "
    run.service += f"{size(memory[0])} after the first, {size(memory[-1])} after the last round; "
    run.service += "no object and no descriptor left"


@case("lag", "thousands of connections with traffic: pings measure how long the loop is held up")
def lag(run: Run) -> None:
    """Neither garbage collection nor anything else holds up the loop for long."""
    count, seconds = run.pick(10_000, 1500), run.pick(45, 5)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < count + 500:
        raise Skipped(f"needs {count + 500} file descriptors")
    with serving() as service, crowd(service.address) as clients:
        time.sleep(0.5)
        service.told()  # the collection at the end of its start disturbs no client
        join_in_parts(run, clients, count)
        with (
            sending(service.broker, 1000, 1000, 0.002, "lag"),
            probing(service.address, "ping", 0.002) as times,
        ):
            churn(service, clients, seconds)
        told = service.told()
        service.check(run)
    longest, collections = told["longest"], told["pauses"]
    assert isinstance(longest, float)
    run.require(longest <= run.within(0.01, 15), f"a collection took {longest * 1000:.1f} ms")
    run.require(times.worst <= run.within(0.01, 15), f"a ping took {times.worst * 1000:.1f} ms")
    run.require(not times.failures, f"{times.failures} pings were not answered")
    run.amount = f"{count} connections, {seconds} s, 500 messages and 50 new clients a second, "
    run.amount += f"{len(times.seconds)} pings"
    run.service = f"{collections} collections, {milliseconds(longest)} at most; pings at most "
    run.service += (
        f"{milliseconds(times.worst)}, p99 {milliseconds(percentile(times.seconds, 0.99))}"
    )


def join_in_parts(run: Run, clients: Crowd, count: int) -> None:
    """Connect clients in parts that fit into the listen queue."""
    for number in range(0, count, 1000):
        part = range(min(1000, count - number))
        joined = clients.connect((followed(f"lag-{one}") for one in part), "127.0.2.1")
        clients.run_handshakes(joined, 30)
    served = sum(one.status == 101 for one in clients.members)
    run.require(served == count, f"{count - served} of {count} were not served")


def churn(service: Service, clients: Crowd, seconds: float) -> None:
    """Connect and disconnect clients while the others follow."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            one = connected(service.address)
            one.sendall(followed("churn") + frame(PING, b"!"))
            abort(one)
        clients.run_for(0.02)
