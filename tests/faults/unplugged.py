"""Brokers whose machine or cable fails: no packet comes any more, and none says so."""

import contextlib
import time

import zmq

from tests.faults.browsers import unreachable
from tests.faults.clients import browser, command, connected, task
from tests.faults.peers import GREETING, READY
from tests.faults.service import Service, serving, until
from tests.faults.table import Run, case
from tests.integration.support import connected_broker

SOURCE = "127.0.0.78"
"""Where the broker is that will be cut off."""

OLD_GREETING = GREETING.replace(b"\x7f\x03\x01", b"\x7f\x03\x00")
"""The greeting of a peer that speaks ZMTP 3.0, which has no pings."""


@case("unplugged", "the broker's cable is cut: its packets are dropped in both directions")
def unplugged(run: Run) -> None:
    """It counts as gone within the bound; peers that answer no pings do not."""
    timeout = run.pick(60, 4)
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(
            serving(zeromq={"peer_timeout": timeout}, limits={"ping_interval": 300})
        )
        host, _, port = service.broker.removeprefix("tcp://").rpartition(":")
        for greeting in (GREETING, OLD_GREETING):
            mute = stack.enter_context(connected((host, int(port))))
            mute.sendall(greeting + READY)
        client = stack.enter_context(browser(service.address, "job"))
        context = stack.enter_context(zmq.Context())
        broker = stack.enter_context(context.socket(zmq.ROUTER))
        broker.set(zmq.LINGER, 0)
        broker.connect(f"tcp://{SOURCE}:0;{host}:{port}")
        run.require(until(lambda: "; 3 connected" in service.logged(), 10), "not all connected")
        broker.send_multipart([b"recodex-monitor", b"job", b"STARTED"])
        run.require(client.read_texts(1), "the job has not begun")
        with unreachable(SOURCE, int(port)):
            taken = gone_after(run, service, timeout)
        with connected_broker(service) as other:
            for frames in ((b"TASK", b"0", b"COMPLETED"), (b"FINISHED",)):
                other.send(b"job", *frames)
            client.read_to_end()
        expected = [command("STARTED"), task(0), command("FINISHED")]
        run.require(client.texts == expected and client.code == 1000, f"got {client.texts}")
        service.check(run)
    run.amount = f"one broker of three peers, peer_timeout {timeout}"
    run.service = (
        f"gone after {taken:.1f} s, those that answer no pings stayed; the rest of the job"
    )
    run.service += " came by another broker"


def gone_after(run: Run, service: Service, timeout: float) -> float:
    """Wait until a broker counts as gone, and only one; returns how long that took."""
    began = time.monotonic()
    bound = timeout + run.within(5, 30)
    run.require(until(lambda: "a broker has gone" in service.logged(), bound), "never noticed")
    taken = time.monotonic() - began
    time.sleep(timeout / 2)
    run.require(service.logged().count("a broker has gone") == 1, "others were cut off, too")
    return taken


@case("takeover", "a broker with an identity hangs, and a second one comes with the same")
def takeover(run: Run) -> None:
    """The second one's messages arrive, and what the first had sent."""
    with (
        serving() as service,
        browser(service.address, "job") as client,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as hung,
        context.socket(zmq.DEALER) as second,
    ):
        for broker, texts in ((hung, [b"STARTED"]), (second, [b"ENDED", b"FINISHED"])):
            broker.set(zmq.LINGER, 0)
            broker.set(zmq.IDENTITY, b"broker")
            broker.connect(service.broker)
            for text in texts:
                broker.send_multipart([b"job", text])
            run.require(client.read_texts(1), f"{texts} did not arrive")
        client.read_to_end()
        expected = [command(name) for name in ("STARTED", "ENDED", "FINISHED")]
        run.require(client.texts == expected, f"the client got {client.texts}")
        service.check(run)
    run.amount = "2 brokers of one identity"
    run.service = "the second one took over at once"
