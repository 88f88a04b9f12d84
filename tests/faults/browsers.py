"""Faults on the clients' side."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

from tests.faults.clients import (
    Browser,
    abort,
    browser,
    connected,
    followed,
)
from tests.faults.crowd import Crowd, crowd
from tests.faults.measure import milliseconds, size
from tests.faults.probe import probing
from tests.faults.service import Service, serving, until
from tests.faults.slow_clients import end, send_long
from tests.faults.table import Run, Skipped, case
from tests.integration.support import Broker, connected_broker
from tests.support.frames import HANDSHAKE, PING, TEXT, frame


@case("slow-heads", "handshakes that come a byte a second, or not at all")
def slow_heads(run: Run) -> None:
    """They are cut at handshake_timeout; good handshakes are not disturbed."""
    count, timeout = run.pick(1000, 200), run.pick(10, 2)
    with (
        serving(limits={"handshake_timeout": timeout}) as service,
        crowd(service.address) as slow,
    ):
        with probing(service.address, "handshake") as times:
            began = time.monotonic()
            for _ in range(count // 20):
                slow.connect([b"", *[HANDSHAKE[:40]] * 19])
                slow.run_for(0.005)
            trickle(slow, timeout + 5)
            taken = time.monotonic() - began
        left = sum(not one.ended for one in slow.members)
        run.require(not left, f"{left} were not cut")
        run.require(not times.failures, f"{times.failures} handshakes beside them failed")
        run.require(times.worst <= run.within(0.05, 15), f"a handshake took {times.worst:.3f} s")
        service.settle(run)
        service.check(run)
    run.amount = f"{count} connections, {len(times.seconds)} good handshakes beside them"
    run.service = f"all cut after {taken:.1f} s (bound {timeout} s, seen to once a second); "
    run.service += f"the good ones took {milliseconds(times.worst)} at the worst"


def trickle(slow: Crowd, seconds: float) -> None:
    """Send another byte of each handshake every second until all are cut."""
    deadline = time.monotonic() + seconds
    place = 40
    while not slow.run_to_end(1):
        if time.monotonic() > deadline:
            return
        for client in slow.members:
            if not client.ended and place < len(HANDSHAKE) - 1:
                client.send(HANDSHAKE[place : place + 1])
        place += 1


@case("no-pongs", "clients that never answer pings, beside others that do")
def no_pongs(run: Run) -> None:
    """The former are cut within the bound, the latter stay."""
    count, each = run.pick(500, 100), run.pick(20, 2)
    bound = 2 * each + 5
    with (
        serving(limits={"ping_interval": each, "ping_timeout": each}) as service,
        crowd(service.address) as clients,
    ):
        clients.connect([followed("silence")] * 2 * count)
        for one in clients.members[:count]:
            one.answers_pings = False
        began = time.monotonic()
        clients.run(lambda: all(one.ended for one in clients.members[:count]), bound + 10)
        taken = time.monotonic() - began
        run.require(taken <= bound + run.within(0, 20), f"they went after {taken:.1f} s")
        clients.run_for(run.pick(5, 2))
        stayed = sum(not one.ended for one in clients.members[count:])
        run.require(stayed == count, f"{count - stayed} that answer were cut")
        service.check(run)
    run.amount = f"{count} clients and {count} that answer"
    run.service = f"cut the former after {taken:.1f} s (bound {bound} s), none of the others"


@case("ping-flood", "clients that ping as fast as they can and never read")
def ping_flood(run: Run) -> None:
    """Pongs do not pile up in memory, and other clients are served."""
    seconds = run.pick(8, 2)
    with serving() as service:
        memory = service.resident()
        with probing(service.address, "ping") as times, contextlib.ExitStack() as stack:
            flooding = [stack.enter_context(connected(service.address, "", 4096)) for _ in range(5)]
            sent, grown = flood_pings(service, flooding, seconds)
            for one in flooding:
                abort(one)
        grown -= memory
        run.require(grown < 8 * 2**20, f"memory grew by {size(grown)}")
        run.require(not times.failures, f"{times.failures} pings beside them failed")
        run.require(times.worst < run.within(0.1, 15), f"a ping beside took {times.worst:.3f} s")
        service.settle(run)
        service.check(run)
    run.amount = f"5 clients, {seconds} s, {size(sent)} of pings of 125 bytes taken"
    run.service = f"memory +{size(grown)}; a ping beside took {milliseconds(times.worst)} at worst"


def flood_pings(service: Service, flooding: list[socket.socket], seconds: float) -> tuple[int, int]:
    """Ping without reading; returns the bytes sent and the service's peak memory."""
    pings, sent, most = frame(PING, b"x" * 125) * 200, 0, 0
    for one in flooding:
        one.sendall(followed("flooding"))
        one.setblocking(False)
    deadline = time.monotonic() + seconds
    rests = dict.fromkeys(flooding, b"")
    while time.monotonic() < deadline:
        for one in flooding:
            data = rests[one] or pings
            with contextlib.suppress(BlockingIOError, ConnectionError):
                done = one.send(data)
                sent, rests[one] = sent + done, data[done:]
        most = max(most, service.resident())
        time.sleep(0.001)
    return sent, most


@contextlib.contextmanager
def unreachable(source: str, port: int) -> Iterator[None]:
    """Drop all packets between an address and the service during the block."""
    if os.geteuid() or not shutil.which("iptables"):
        raise Skipped("needs root and iptables")
    rules = (
        ["INPUT", "-p", "tcp", "-s", source, "--dport", str(port), "-j", "DROP"],
        ["INPUT", "-p", "tcp", "-d", source, "--sport", str(port), "-j", "DROP"],
    )
    with contextlib.ExitStack() as stack:
        for rule in rules:
            stack.callback(subprocess.run, ["iptables", "-w", "-D", *rule], check=True)
            subprocess.run(["iptables", "-w", "-I", *rule], check=True)
        yield


@case("vanish", "clients vanish: their packets are dropped, on idle and on busy channels")
def vanish(run: Run) -> None:
    """They are cut within the bound."""
    count, each, source = run.pick(200, 60), run.pick(20, 2), "127.0.0.77"
    bound = 2 * each + 5
    with (
        serving(limits={"ping_interval": each, "ping_timeout": each}) as service,
        crowd(service.address) as clients,
        connected_broker(service) as broker,
    ):
        for name in ("idle", "busy", "stuck"):
            clients.connect([followed(name)] * (count // 3), source)
        clients.run_handshakes(clients.members, 10)
        clients.run_for(0.3)
        with unreachable(source, service.address[1]):
            taken = gone_after(run, service, broker, bound)
        service.check(run)
    run.amount = f"{count} clients"
    run.service = f"gone after {taken:.1f} s (bound {bound} s), no object left"


def gone_after(run: Run, service: Service, broker: Broker, bound: float) -> float:
    """Send until the clients are cut; returns how long that took."""
    began = time.monotonic()
    send_long(broker, "stuck", range(1), 200_000)

    def gone() -> bool:
        send_long(broker, "busy", range(1), 10)
        return "EagerServer" not in service.left()

    run.require(until(gone, bound + 60, pause=0.5), "they never went")
    taken = time.monotonic() - began
    run.require(taken <= bound + run.within(0.5, 30), f"they went after {taken:.1f} s")
    return taken


@case("objects", "connections end in every way there is; then the service's objects are counted")
def objects(run: Run) -> None:
    """No way to end leaves an object of the service's own classes behind."""
    count = run.pick(300, 40)
    limits = {"handshake_timeout": 2, "subscribe_timeout": 2, "ping_interval": 2, "ping_timeout": 2}
    with serving(limits=limits, channels={"retention": 1}) as service:
        descriptors = service.descriptors()
        clients = [one for way in FIRST for one in begun(service, way, count)]
        with connected_broker(service) as broker:
            broker.send(b"over", b"FINISHED")
            time.sleep(0.5)
        for number, client in enumerate(clients):
            end(client.socket, number % 5)
        service.settle(run, 30)
        gone = until(lambda: service.descriptors() <= descriptors, 10)
        run.require(gone, f"{service.descriptors() - descriptors} descriptors were left open")
        service.check(run)
    run.amount = f"{len(clients)} connections, {len(FIRST)} ways to begin times 5 to end"
    run.service = "no object of its own classes more than before, counted after a collection"


FIRST = (
    b"",
    HANDSHAKE[:100],
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    HANDSHAKE,
    followed("over"),
    followed("anonymous"),
    HANDSHAKE + frame(TEXT, b""),
    HANDSHAKE + frame(2, b"binary"),
    HANDSHAKE + frame(TEXT, b"\xff"),
    HANDSHAKE + frame(TEXT, b"x" * 5000),
    HANDSHAKE + frame(3, b"reserved"),
    HANDSHAKE + b"\x01\x85abcd\0\0",
    followed("talks") + frame(TEXT, b"more") * 200,
)
"""The first bytes of the connections."""


def begun(service: Service, first: bytes, count: int) -> list[Browser]:
    """Connected clients that have sent these first bytes."""
    clients = [Browser(connected(service.address)) for _ in range(count)]
    for client in clients:
        with contextlib.suppress(OSError):
            client.socket.sendall(first)
    return clients


@case("full", "more clients than max_connections, and than one address may have behind a proxy")
def full(run: Run) -> None:
    """Clients beyond a limit get 503 with Retry-After; the others stay; room comes back."""
    # At most 200 are refused, so that all together are fewer than 2 * most: beyond that, a
    # connection is closed without an answer.
    most, each = run.pick(1000, 300), 10
    limits = {"max_connections": most, "max_connections_per_address": each}
    with serving(limits=limits) as service, crowd(service.address) as clients:
        addresses = [b"10.0.0.%d" % (number // 20) for number in range(200)]
        joined = clients.connect([from_proxy(one) for one in addresses])
        clients.run_handshakes(joined, 10)
        served = [sum(one.status == 101 for one in joined[n : n + 20]) for n in range(0, 200, 20)]
        run.require(served == [each] * 10, f"{served} were served of each address, not {each}")
        clients.connect([followed("full")] * most)
        clients.run_handshakes(clients.members, 10)
        good = [one for one in clients.members if one.status == 101]
        refused = [one for one in clients.members if one.status == 503]
        run.require(len(good) == most, f"{len(good)} were served, not {most}")
        told = sum("retry-after:" in one.head().lower() for one in refused)
        run.require(told == len(refused) == 200, f"{told} of {len(refused)} got 503, Retry-After")
        run.require(not any(one.ended for one in good), "some that were there were cut")
        clients.leave(good)
        served_again = until(lambda: serves(service), 5)
        run.require(served_again, "there was no room after others had left")
        service.check(run)
    run.amount = f"{200 + most} clients, 200 of them of 10 addresses; max_connections {most}, "
    run.amount += f"max_connections_per_address {each}"
    run.service = "503 with Retry-After beyond the limit; room again when others had left"


def from_proxy(address: bytes) -> bytes:
    """A client's first bytes through a proxy, which appends the address to a forged one."""
    forwarded = b"X-Forwarded-For: 192.0.2.1, " + address + b"\r\nHost:"
    return HANDSHAKE.replace(b"Host:", forwarded) + frame(TEXT, b"full")


def serves(service: Service) -> bool:
    """Whether a new client is served."""
    with browser(service.address, "full") as client:
        return client.status == 101
