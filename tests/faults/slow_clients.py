"""Clients that read a history slowly, not at all, or not to the end."""

import contextlib
import socket
import time

from tests.faults import measure
from tests.faults.clients import FINISHED, Browser, abort, browser, connected, followed
from tests.faults.measure import size
from tests.faults.service import Service, serving
from tests.faults.table import Run, case
from tests.integration.support import Broker, connected_broker
from tests.support.frames import CLOSE, frame


def long_text(number: int, length: int) -> bytes:
    """The text of a message about a task with a long id."""
    name = b"%d-" % number + b"x" * length
    return b'{"command": "TASK", "task_id": "%s", "task_state": "COMPLETED"}' % name


def send_long(broker: Broker, channel_id: str, numbers: range, length: int) -> None:
    """Send the tasks whose texts are ``long_text``."""
    for number in numbers:
        name = b"%d-" % number + b"x" * length
        broker.send(channel_id.encode(), b"TASK", name, b"COMPLETED")


def fill(run: Run, service: Service, channel_id: str, count: int, length: int) -> None:
    """Give a channel a history, and wait until it is complete."""
    with connected_broker(service) as broker:
        send_long(broker, channel_id, range(count), length)
    with browser(service.address, channel_id) as other:
        whole = other.read_texts(count, 60)
        run.require(whole, f"a client of {channel_id} got {len(other.texts)} of {count}")


@case("never-read", "clients that never read, on a long history")
def never_read(run: Run) -> None:
    """They cost little, do not disturb others, and are cut after stall_timeout."""
    count, stall = 30, run.pick(60, 6)
    with (
        serving(limits={"stall_timeout": stall}) as service,
        contextlib.ExitStack() as stack,
    ):
        fill(run, service, "long", 2000, 10_000)
        # The first ones reuse memory that the process has already, so they are not measured.
        add_deaf(service, stack, 2 * count)
        memory, kernel = service.resident(), measure.kernel(service.address[1])
        add_deaf(service, stack, count)
        memory = (service.resident() - memory) // count
        kernel = (measure.kernel(service.address[1]) - kernel) // count
        run.require(memory < 100 * 1024, f"{size(memory)} each in the process")
        run.require(kernel < 250 * 1024, f"{size(kernel)} each in the kernel")
        with browser(service.address, "long") as other:
            whole = other.read_texts(2000, 30)
            run.require(whole, f"a client beside them got {len(other.texts)} of 2000")
        service.settle(run, stall * 1.5 + 15, channels=1)
        service.check(run)
    run.amount = f"{3 * count} clients, 20 MB of history; the last {count} measured"
    run.service = f"{size(memory)} each in the process, {size(kernel)} each in the kernel; "
    run.service += f"cut after {stall} s without progress; a client beside them got all"


def add_deaf(service: Service, stack: contextlib.ExitStack, count: int) -> None:
    """Add clients that follow the long history and never read; wait until all has settled."""
    for _ in range(count):
        client = stack.enter_context(connected(service.address, "", 4096))
        client.sendall(followed("long"))
    time.sleep(1.5)


@case("slow-client", "a client so slow that its job ends long before it has read all")
def slow_client(run: Run) -> None:
    """It gets every byte, then 1000, and the connection ends cleanly."""
    count, speed = run.pick(1000, 60), 50_000
    with serving() as service:
        with connected_broker(service) as broker:
            send_long(broker, "slow", range(count // 2), 10_000)
            client = Browser(connected(service.address, "", 4096))
            client.socket.sendall(followed("slow"))
            read_slowly(client, speed, 2)
            send_long(broker, "slow", range(count // 2, count), 10_000)
            broker.send(b"slow", b"FINISHED")
        began = time.monotonic()
        read_slowly(client, speed, count * 10_000 / speed * 2)
        taken = time.monotonic() - began
        client.abort()
        texts = [*(long_text(number, 10_000) for number in range(count)), FINISHED]
        missing = len(texts) - len(client.texts)
        run.require(client.texts == texts, f"{missing} messages are missing")
        run.require(client.code == 1000, f"the close code was {client.code}")
        run.require(client.ended == "closed", f"the connection was {client.ended or 'left open'}")
        service.settle(run, channels=1)
        service.check(run)
    run.amount = f"{count * 10_000 / 1e6:.1f} MB at {speed // 1000} kB/s"
    run.lost = f"{missing} messages" if missing else "nothing"
    run.service = f"served it for {taken:.0f} s after FINISHED, then 1000 and FIN"


def read_slowly(client: Browser, speed: int, seconds: float) -> None:
    """Read at a speed (bytes per second), until the end or for a time."""
    began, taken = time.monotonic(), 0
    while not client.ended and (now := time.monotonic() - began) < seconds:
        due = int(now * speed) - taken
        if due < 2000:
            time.sleep((2000 - due) / speed)
            continue
        amount = min(due, 4096)
        taken += amount if client.read(0.5, amount) else 0


@case("mid-replay", "clients end in mid-replay: close frame, FIN, reset, half-close")
def mid_replay(run: Run) -> None:
    """No object of theirs is left, and another client gets everything."""
    count = run.pick(400, 100)
    with serving() as service:
        fill(run, service, "long", 500, 10_000)
        for number in range(count):
            client = connected(service.address, "", 4096 if number % 8 < 4 else 0)
            client.sendall(followed("long"))
            client.recv(50_000)
            end(client, number % 4)
        with browser(service.address, "long") as other:
            whole = other.read_texts(500, 30)
            run.require(whole, f"a client after them got {len(other.texts)} of 500")
        service.settle(run, channels=1)
        service.check(run)
    run.amount = f"{count} clients, 5 MB of history"
    run.service = "no object left of any; a client after them got all"


@case("half-close", "clients half-close: they send FIN after the id, and read on")
def half_close(run: Run) -> None:
    """Their connections end, and other clients are still served."""
    count = run.pick(500, 100)
    with serving() as service, connected_broker(service) as broker:
        with browser(service.address, "job") as whole:
            clients = [Browser(connected(service.address)) for _ in range(count)]
            for one in clients:
                one.socket.sendall(followed("job"))
                one.socket.shutdown(socket.SHUT_WR)
            for one in clients:
                one.read_to_end()
                one.socket.close()
            broker.send(b"job", b"FINISHED")
            whole.read_to_end()
        open_still = sum(not one.ended for one in clients)
        run.require(not open_still, f"{open_still} connections stayed open")
        run.require(whole.texts == [FINISHED], "a client beside them did not get all")
        service.settle(run, channels=1)
        service.check(run)
    run.amount = f"{count} clients"
    run.service = "ended their connections, no object left; a client beside them got all"


def end(client: socket.socket, how: int) -> None:
    """End a connection in one of several ways, by number."""
    if how == 0:
        client.sendall(frame(CLOSE, b"\x03\xe9"))
    elif how == 1:
        client.shutdown(socket.SHUT_WR)
        client.settimeout(0.5)
        with contextlib.suppress(OSError):
            while client.recv(65536):
                pass
    elif how == 2:
        abort(client)
    client.close()
