"""A seeded fuzzer of the WebSocket port.

``play(address, made(seed, number))`` repeats one input.
"""

import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.clients import FINISHED, Address, Browser, browser, connected, task
from tests.faults.fuzz_inputs import Input, made
from tests.faults.fuzz_jobs import SECRET
from tests.faults.measure import milliseconds, size
from tests.faults.probe import probing
from tests.faults.service import Service, serving
from tests.faults.table import Run, case
from tests.integration.support import connected_broker


def play(address: Address, one: Input, source: str = "") -> str:
    """Send an input; returns what is wrong with the answer, empty if nothing."""
    client = Browser(connected(address, source))
    try:
        if one.split:
            client.send(one.data[: one.split])
            client.read(0.001)
        client.send(one.data[one.split :])
        if 0 in one.statuses:
            _half_close(client.socket)
        client.read_to_end(5)
    finally:
        client.abort()
    if client.status not in one.statuses or client.code not in one.codes:
        return f"{one.kind}: answered by {client.status} and {client.code}"
    return "" if client.ended else f"{one.kind}: the connection was left open"


@contextmanager
def checking_tokens(**settings: dict[str, object]) -> Iterator[Service]:
    """A service that has a key for tokens, and requires none."""
    with tempfile.NamedTemporaryFile() as key:
        key.write(SECRET)
        key.flush()
        with serving(None, None, access={"key_file": key.name}, **settings) as service:
            yield service


def _half_close(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_WR)
    except OSError:
        return  # it has ended already


def fuzz(run: Run, service: Service, count: int, seed: int) -> Counter[str]:
    """Play inputs of a seed while a client follows a job; returns how many of each kind."""
    kinds: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    late = 0.0
    name = f"beside-{seed}"
    with browser(service.address, name) as beside, connected_broker(service) as broker:
        for number in range(count):
            one = made(seed, number)
            kinds[one.kind] += 1
            if problem := play(service.address, one, f"127.0.4.{number % 200 + 1}"):
                wrong[f"{problem} (first: seed {seed}, input {number})"[:200]] += 1
            if number % 200 == 0:
                began, due = time.monotonic(), len(beside.texts) + 1
                broker.send(name.encode(), b"TASK", b"%d" % (due - 1), b"COMPLETED")
                beside.read_texts(due)
                late = max(late, time.monotonic() - began)
        broker.send(name.encode(), b"FINISHED")
        beside.read_close()
        whole = beside.texts == [*map(task, range((count + 199) // 200)), FINISHED]
    run.require(whole, "the client beside them has missed messages")
    run.require(late < run.within(0.25, 15), f"the client beside them waited {late:.2f} s")
    for problem, often in list(wrong.items())[:20]:
        run.require(False, f"{often} times {problem}")
    return kinds


@case("fuzz", "hostile handshakes and frames from a seeded fuzzer, a client beside them")
def fuzzing(run: Run) -> None:
    """No traceback, the right codes, no object left, no other client disturbed."""
    count = run.pick(100_000, 3000)
    with checking_tokens() as service:
        fuzz(run, service, 300, 1)
        service.settle(run, channels=2)
        memory, before = service.resident(), service.descriptors()
        with probing(service.address, "ping") as times:
            kinds = fuzz(run, service, count, 2)
        service.settle(run, channels=2)
        grown = service.resident() - memory
        run.require(service.descriptors() <= before, "descriptors were left open")
        run.require(grown < 8 * 2**20, f"memory grew by {size(grown)}")
        run.require(not times.failures, f"{times.failures} pings beside them failed")
        run.require(times.worst < run.within(0.1, 15), f"a ping beside took {times.worst:.3f} s")
        service.check(run)
    run.amount = f"{count} inputs: {kinds['shuffled']} shuffled, the others wrong in one of "
    run.amount += f"{len(kinds) - 1} ways"
    run.service = "answered each by the code that fits; no traceback, no object left, memory "
    run.service += f"+{size(grown)}; a ping beside took {milliseconds(times.worst)} at the worst"
