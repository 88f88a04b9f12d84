"""Peers on the broker's port that are not the broker."""

import contextlib
import random
import struct
import time
from collections.abc import Iterator

import zmq

from tests.faults import measure
from tests.faults.broker import require_serving, undisturbed
from tests.faults.clients import abort, connected
from tests.faults.service import Service, serving, until
from tests.faults.table import Run, case

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\0" + bytes(31)
"""The greeting of a ZeroMQ 4 peer."""

READY = b"\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER\x08Identity\x00\x00\x00\x00"
"""The READY command of a ROUTER peer, which follows the greeting."""


@contextlib.contextmanager
def peer(service: Service, kind: int, identity: bytes = b"") -> "Iterator[zmq.Socket[bytes]]":
    """A ZeroMQ peer that is connected, or tries to connect."""
    with zmq.Context() as context, context.socket(kind) as made:
        made.set(zmq.LINGER, 0)
        if identity:
            made.set(zmq.IDENTITY, identity)
        made.connect(service.broker)
        yield made


@case("identity", "peers that call themselves recodex-monitor connect and send")
def identity(run: Run) -> None:
    """A broker that sends at the same time is not disturbed."""
    peers = run.pick(200, 30)
    with serving() as service:
        with undisturbed(run, service, run.pick(5000, 1000)):
            for number in range(peers):
                kind = zmq.DEALER if number % 2 else zmq.ROUTER
                with peer(service, kind, b"recodex-monitor") as twin:
                    with contextlib.suppress(zmq.ZMQError):
                        twin.send_multipart([b"recodex-monitor", b"x", b"STARTED"], zmq.NOBLOCK)
                    time.sleep(0.005)
        require_serving(run, service)
    run.amount = f"{peers} peers, DEALER and ROUTER, one after another"
    run.service = "the broker's job beside them whole and in order"


@case("kinds", "peers of kinds that do not fit connect: REQ, PULL, PUSH, SUB, PUB, PAIR, REP")
def kinds(run: Run) -> None:
    """A broker that sends at the same time is not disturbed."""
    rounds = run.pick(20, 4)
    wrong = (zmq.REQ, zmq.PULL, zmq.PUSH, zmq.SUB, zmq.PUB, zmq.PAIR, zmq.REP)
    with serving() as service:
        before = service.descriptors()
        with undisturbed(run, service, run.pick(5000, 1000)):
            for _ in range(rounds):
                with contextlib.ExitStack() as stack:
                    made = [stack.enter_context(peer(service, kind)) for kind in wrong]
                    made[0].send(b"a question")
                    time.sleep(0.05)
        gone = until(lambda: service.descriptors() <= before, 5)
        run.require(gone, f"descriptors were left open: {service.descriptors() - before}")
        require_serving(run, service)
    run.amount = f"{rounds} times seven peers at once"
    run.service = "REQ's message dropped and counted, the others refused; the job beside whole"


def garbage(chance: random.Random) -> bytes:
    """Bytes that are not valid ZeroMQ traffic, though they may begin like it."""
    noise = chance.randbytes(chance.choice((1, 10, 64, 1000, 20_000)))
    ready = bytearray(READY)
    ready[chance.randrange(len(ready))] = chance.randrange(256)
    return chance.choice(
        (
            noise,
            b"GET / HTTP/1.1\r\nHost: monitor\r\n\r\n",
            GREETING + noise,
            GREETING + bytes(ready) + noise,
            GREETING + READY + b"\x02" + struct.pack("!Q", 2**62) + noise,
            GREETING + READY + b"\x01\xff" * 1000 + noise,
            GREETING + READY + b"\x00\x03abc" * 100,
            b"\xff" + bytes(8) + b"\x7f\x01" + noise,
            b"\x01\x00" + noise,
        )
    )


def throw_garbage(service: Service, count: int, seed: int) -> None:
    """Open connections to the broker's port that send garbage and end."""
    chance = random.Random(seed)
    host, _, port = service.broker.removeprefix("tcp://").rpartition(":")
    for _ in range(count):
        made = connected((host, int(port)), f"127.0.0.{chance.randrange(2, 250)}")
        with contextlib.suppress(OSError):
            made.sendall(garbage(chance))
        if chance.random() < 0.5:
            abort(made)
        made.close()


@case("garbage", "connections to the broker's port send garbage, or begin right and go wrong")
def raw_garbage(run: Run) -> None:
    """A broker that sends at the same time is not disturbed."""
    count = run.pick(5000, 500)
    with serving() as service:
        before, memory = service.descriptors(), service.resident()
        with undisturbed(run, service, run.pick(10_000, 1000)):
            throw_garbage(service, count, 1)
        gone = until(lambda: service.descriptors() <= before, 10)
        run.require(gone, f"descriptors were left open: {service.descriptors() - before}")
        grown = service.resident() - memory
        run.require(grown < 32 * 2**20, f"memory grew by {measure.size(grown)}")
        require_serving(run, service)
    run.amount = f"{count} connections"
    run.service = f"cut them, memory +{measure.size(grown)}; the job beside whole"


@case("half-broker", "connections to the broker's port that send nothing, or half a greeting")
def half_open(run: Run) -> None:
    """A broker can connect; peers that send nothing more are disconnected."""
    count = run.pick(1000, 200)
    with serving() as service, contextlib.ExitStack() as stack:
        before = service.descriptors()
        host, _, port = service.broker.removeprefix("tcp://").rpartition(":")
        for number in range(count):
            made = stack.enter_context(connected((host, int(port))))
            made.sendall((GREETING + READY)[: number % (len(GREETING) + 20)])
        require_serving(run, service)
        cut_off = "closed after 30 s by ZeroMQ"
        if run.long:
            gone = until(lambda: service.descriptors() <= before, 45)
            run.require(gone, f"descriptors stay open: {service.descriptors() - before}")
        else:
            cut_off = "not waited for"
    run.amount = f"{count} connections"
    run.service = f"a broker that connects after them served at once; they are {cut_off}"
