"""Stopping: clients get what is due, and a code that asks them to come back."""

import contextlib
import signal
import time

from tests.faults.broker import job
from tests.faults.clients import Browser, browser, connected, followed, task
from tests.faults.crowd import Crowd, crowd
from tests.faults.sender import sending
from tests.faults.service import Service, serving, until
from tests.faults.slow_clients import send_long
from tests.faults.table import Run, case
from tests.integration.support import Broker, connected_broker

BOUND = 10
"""Seconds within which a service has to end after SIGTERM."""


def require_ended(run: Run, service: Service, began: float) -> float:
    """Require that it ended in time and without an error; returns the seconds it took."""
    until(lambda: not service.alive, BOUND + 10)
    taken = time.monotonic() - began
    run.require(service.process.poll() == 0, f"the exit code was {service.process.poll()}")
    run.require(taken <= BOUND + run.within(0, 20), f"it took {taken:.1f} s to end")
    run.require("Traceback" not in service.logged() + service.errors(), service.logged()[-2000:])
    return taken


def told_to_return(run: Run, clients: Crowd) -> None:
    """Require that all were closed with 1012."""
    codes = [one.code for one in clients.members]
    others = sorted({code for code in codes if code != 1012})
    run.require(not others, f"{len(codes) - codes.count(1012)} got {others} instead of 1012")


@case("stop", "SIGTERM while clients follow busy jobs, with messages not read yet")
def stop(run: Run) -> None:
    """Every client gets all that the broker had sent, then 1012."""
    count, jobs, messages, unread = run.pick(1000, 200), 100, 20, 5
    with (
        serving() as service,
        crowd(service.address) as clients,
        connected_broker(service) as broker,
    ):
        clients.connect(followed(f"stop-{number % jobs}") for number in range(count))
        send_round(broker, jobs, range(messages))
        clients.run(lambda: all(len(one.texts) == messages for one in clients.members), 30)
        service.process.send_signal(signal.SIGSTOP)
        send_round(broker, jobs, range(messages, messages + unread))
        time.sleep(0.5)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.send_signal(signal.SIGCONT)
        clients.run_to_end(BOUND + 5)
        taken = require_ended(run, service, began)
        due = [*map(task, range(messages + unread))]
        missed = sum(len(due) - len(one.texts) for one in clients.members)
        whole = all(one.texts == due for one in clients.members)
        run.require(whole, f"{missed} messages were not delivered")
        told_to_return(run, clients)
    run.amount = f"{count} clients, {jobs} jobs, {jobs * unread} messages not read yet"
    run.lost = f"{missed} deliveries" if missed else "nothing"
    run.service = f"all delivered, 1012 to everybody, ended with 0 after {taken:.1f} s"


def send_round(broker: Broker, jobs: int, numbers: range) -> None:
    """Send tasks with these numbers to every job."""
    for number in numbers:
        for channel in range(jobs):
            broker.send(b"stop-%d" % channel, b"TASK", b"%d" % number, b"COMPLETED")


@case("stop-load", "SIGTERM under full load")
def stop_under_load(run: Run) -> None:
    """Clients get the beginning of their job without a gap, then 1012."""
    count = run.pick(1000, 200)
    with (
        serving() as service,
        crowd(service.address) as clients,
        sending(service.broker, 50, 100_000, 0.0, "load"),
    ):
        clients.connect(followed(f"load-{number % 50}") for number in range(count))
        clients.run(lambda: all(one.texts for one in clients.members), 60)
        clients.run_for(run.pick(3, 1))
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        clients.run_to_end(BOUND + 10)
        taken = require_ended(run, service, began)
        got = [one.texts for one in clients.members]
        whole = all(texts == [*map(task, range(len(texts)))] for texts in got)
        run.require(whole, "messages are missing in between")
        for channel in range(50):
            same = len({len(texts) for texts in got[channel::50]}) == 1
            run.require(same, f"clients of load-{channel} did not get the same")
        told_to_return(run, clients)
    run.amount = f"{count} clients, 50 jobs at full speed, {sum(map(len, got))} deliveries"
    run.lost = "what the broker sent later" if whole else "messages are missing in between"
    run.service = f"the same to all clients of a job, 1012, ended with 0 after {taken:.1f} s"


@case("stop-deaf", "SIGTERM while some clients read slowly and others not at all")
def stop_deaf(run: Run) -> None:
    """It ends in time; clients that read get everything and 1012."""
    with (
        serving() as service,
        contextlib.ExitStack() as stack,
        connected_broker(service) as broker,
    ):
        send_long(broker, "deaf", range(500), 10_000)
        quick = stack.enter_context(browser(service.address, "deaf"))
        run.require(quick.read_texts(500), "it was not served")
        for _ in range(20):
            one = stack.enter_context(connected(service.address, "", 4096))
            one.sendall(followed("deaf"))
        slow = Browser(stack.enter_context(connected(service.address, "", 4096)))
        slow.send(followed("deaf"))
        silent = [stack.enter_context(connected(service.address)) for _ in range(20)]
        time.sleep(0.5)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        slow.read_to_end(BOUND)
        quick.read_to_end(BOUND)
        taken = require_ended(run, service, began)
        for name, client in (("late", slow), ("quick", quick)):
            got = (len(client.texts), client.code)
            run.require(got == (500, 1012), f"the {name} client got {got} instead of 500, 1012")
    run.amount = f"20 that never read 5 MB, {len(silent)} without a handshake, 2 that read"
    run.lost = "to those that never read: what they had not taken"
    run.service = f"1012 to those that read, ended with 0 after {taken:.1f} s (bound {BOUND} s)"


@case("restart", "SIGKILL in mid-job; the service starts again, clients and broker return")
def restart(run: Run) -> None:
    """What the broker sends meanwhile and later arrives; nothing has to be cleaned up."""
    rounds = run.pick(10, 2)
    with serving() as service:
        for number in range(rounds):
            name = f"restart-{number}"
            with connected_broker(service) as broker:
                broker.send(name.encode(), b"STARTED")
                service.process.kill()
                service.process.wait()
                time.sleep(0.3)
                service.start()
                with browser(service.address, name) as client:
                    for one in range(50):
                        broker.send(name.encode(), b"TASK", b"%d" % one, b"COMPLETED")
                    broker.send(name.encode(), b"FINISHED")
                    client.read_close()
                run.require(client.texts[-51:] == job(50), f"{name}: the end did not arrive")
        service.check(run)
    run.amount = f"{rounds} times"
    run.lost = "the history of before, where the service keeps none on disk"
    run.service = "listened again at once; all that was sent afterwards arrived, then 1000"
