"""Faults on the broker's side."""

import contextlib
import random
import time
from collections.abc import Iterator

from tests.faults import measure
from tests.faults.cable import Cable
from tests.faults.clients import (
    FINISHED,
    Browser,
    browser,
    command,
    followed,
    task,
)
from tests.faults.crowd import crowd
from tests.faults.probe import probing
from tests.faults.sender import sending
from tests.faults.service import Service, serving
from tests.faults.table import Run, case
from tests.integration.support import Broker, connected_broker


def job(messages: int) -> list[bytes]:
    """The texts of a whole job as ``sending`` plays it."""
    return [*map(task, range(messages)), FINISHED]


def require_whole(run: Run, client: Browser, texts: list[bytes], seconds: float = 30) -> int:
    """Require that a client gets all texts in order, then 1000; returns how many it missed."""
    client.read_close(seconds)
    got = len(client.texts)
    run.require(client.texts == texts, f"a client got {got} of {len(texts)}, or others")
    run.require(client.code == 1000, f"a client was closed with {client.code}")
    return max(0, len(texts) - got)


def require_serving(run: Run, service: Service) -> None:
    """Require that a new job reaches its client, and that no error was logged."""
    name = f"after-{time.monotonic_ns()}"
    with browser(service.address, name) as client, connected_broker(service) as broker:
        broker.send(name.encode(), b"FINISHED")
        require_whole(run, client, [FINISHED])
    service.check(run)


@case("killed", "the broker is killed in mid-job (SIGKILL); another one plays the job again")
def killed(run: Run) -> None:
    """Clients get what the first broker sent, then everything from the second."""
    rounds, sent = run.pick(20, 4), 0
    with serving() as service:
        for number in range(rounds):
            sent += kill_one(run, service, f"killed{number}-0")
        require_serving(run, service)
    run.amount = f"{rounds} brokers, 10 clients each, {sent} tasks before the kills"
    run.lost = "nothing that had left the killed broker" if run.ok else "see problems"
    run.service = "the first attempt without a hole, then ABORTED and the whole second one, 1000"


def kill_one(run: Run, service: Service, name: str) -> int:
    """Kill a broker in mid-job and play the job again; returns the first one's tasks."""
    with crowd(service.address) as clients:
        clients.connect([followed(name)] * 10)
        with sending(service.broker, 1, 100_000, 0.0005, name.rpartition("-")[0]) as killed_one:
            clients.run(lambda: all(len(one.texts) > 100 for one in clients.members), 20)
            killed_one.kill()
            killed_one.wait()
            clients.run_for(0.1)
        with connected_broker(service) as broker:
            broker.send(name.encode(), b"ABORTED")
            for number in range(50):
                broker.send(name.encode(), b"TASK", b"%d" % number, b"COMPLETED")
            broker.send(name.encode(), b"FINISHED")
            clients.run_to_close(20)
        first = max(0, len(clients.members[0].texts) - 52)
        texts = [*map(task, range(first)), command("ABORTED"), *job(50)]
        same = all(one.texts == texts for one in clients.members)
        run.require(same and first > 100, f"{name}: holes, or not the same for all; {first} first")
        run.require(all(one.code == 1000 for one in clients.members), f"{name}: not closed")
    return first


@case("cut", "the broker's TCP connection is reset again and again while it sends")
def cut(run: Run) -> None:
    """Messages stay in order, none comes twice, and none after the last cut is lost."""
    cuts, messages = run.pick(20, 5), run.pick(20_000, 5_000)
    with serving() as service:
        lost = play_cut_once(run, service, cuts, messages, "cut")
        require_serving(run, service)
    run.amount = f"{cuts} resets in {messages} messages"
    run.lost = f"{lost} messages, on the way at the moment of a reset" if lost else "nothing"
    run.service = "in order, nothing twice, to the end and 1000"


def play_cut_once(run: Run, service: Service, cuts: int, messages: int, name: str) -> int:
    """Play a job and cut its connection `cuts` times; returns how many tasks were lost."""
    host, _, port = service.broker.removeprefix("tcp://").rpartition(":")
    cable = Cable((host, int(port)))
    try:
        lost = messages - play_cut(run, service, cable, cuts, messages, name)
    finally:
        cable.close()
    run.require(lost <= cuts * 500, f"{lost} messages were lost")
    return lost


def play_cut(run: Run, service: Service, cable: Cable, cuts: int, messages: int, name: str) -> int:
    """Play a job through the cable; returns how many tasks the client got."""
    with (
        browser(service.address, f"{name}-0") as client,
        # Slow enough that FINISHED is not yet in transit at the last cut: what is in transit is
        # lost, and the job would not end.
        sending(cable.address, 1, messages, 0.0005, name),
    ):
        for number in range(1, cuts + 1):
            due = number * messages // (cuts + 2)
            client.read_texts(due, 20)
            cable.cut()
        client.read_close(60)
    places = {task(number): number for number in range(messages)}
    order = [places[text] for text in client.texts if text != FINISHED]
    run.require(order == sorted(set(order)), "messages came twice or out of order")
    run.require(client.code == 1000, f"the job did not end: {client.code}")
    return len(order)


@case("two", "two brokers send at once")
def two(run: Run) -> None:
    """Each job is whole."""
    jobs, messages = run.pick(50, 10), run.pick(1000, 200)
    with serving() as service, crowd(service.address) as clients:
        for name in ("one", "two"):
            clients.connect(followed(f"{name}-{number}") for number in range(jobs))
        with (
            sending(service.broker, jobs, messages, 0.0, "one"),
            sending(service.broker, jobs, messages, 0.0, "two"),
        ):
            clients.run_to_close(60)
        whole = [one for one in clients.members if one.texts == job(messages)]
        run.require(len(whole) == 2 * jobs, f"{2 * jobs - len(whole)} jobs are not whole")
        require_serving(run, service)
    run.amount = f"2 brokers, {jobs} jobs each of {messages} tasks, a client for each"
    run.service = "every job whole and closed with 1000"


@contextlib.contextmanager
def undisturbed(run: Run, service: Service, messages: int = 20_000) -> Iterator[None]:
    """A broker and a client that run during the block; the client must miss nothing."""
    name = f"beside{time.monotonic_ns()}"
    with (
        browser(service.address, f"{name}-0") as client,
        sending(service.broker, 1, messages, 0.0005, name) as broker,
    ):
        assert broker.stdout is not None
        broker.stdout.readline()
        yield
        require_whole(run, client, job(messages), 90)


@case("flood", "messages at full speed while browsers connect")
def flood(run: Run) -> None:
    """No message is lost, and no handshake takes long."""
    jobs, messages = 20, run.pick(10_000, 2_000)
    with serving() as service, crowd(service.address) as clients:
        clients.connect(followed(f"flood-{number}") for number in range(jobs))
        clients.run_handshakes(clients.members, 10)
        with (
            probing(service.address, "handshake") as times,
            sending(service.broker, jobs, messages, 0.0, "flood"),
        ):
            clients.run(lambda: all(one.texts for one in clients.members), 20)
            began = time.monotonic()
            clients.run_to_close(120)
            taken = time.monotonic() - began
        missed = sum(len(job(messages)) - len(one.texts) for one in clients.members)
        whole = all(one.texts == job(messages) for one in clients.members)
        run.require(whole, f"{missed} messages are missing, or others came")
        run.require(not times.failures, f"{times.failures} handshakes failed")
        bound = run.within(0.05, 15)
        run.require(times.worst <= bound, f"a handshake took {times.worst:.3f} s")
        require_serving(run, service)
    run.amount = f"{jobs * messages} messages in {jobs} jobs at {jobs * messages / taken:.0f} a "
    run.amount += f"second, a client for each job, {len(times.seconds)} handshakes meanwhile"
    run.lost = f"{missed} messages" if missed else "nothing"
    run.service = f"handshakes took {measure.milliseconds(times.worst)} at the worst, "
    run.service += f"{measure.milliseconds(measure.percentile(times.seconds, 0.99))} at p99"


@case("long-job", "a job sends more messages than a channel may have")
def long_job(run: Run) -> None:
    """Tasks beyond the bound are lost, the end is not; the log says so once."""
    most = run.pick(100_000, 5_000)
    messages = most * 3 // 2
    with (
        serving(limits={"max_channel_messages": most}) as service,
        browser(service.address, "long-0") as client,
        sending(service.broker, 1, messages, 0.0, "long"),
    ):
        client.read_close(60)
        numbers = client.texts[:-1]
        right = numbers == [*map(task, range(len(numbers)))] and client.texts[-1:] == [FINISHED]
        run.require(right, "what came has holes, or no end")
        run.require(abs(len(numbers) - most) <= 1, f"{len(numbers)} tasks came of at most {most}")
        run.require(client.code == 1000, f"the close code was {client.code}")
        told = [line for line in service.logged().splitlines() if "max_channel_messages" in line]
        run.require(1 <= len(told) <= 2, f"{len(told)} warnings in the log: {told[:3]}")
        require_serving(run, service)
    run.amount = f"{messages} tasks, max_channel_messages {most}"
    run.lost = f"{messages - len(numbers)} tasks beyond the bound, as configured"
    run.service = "FINISHED and 1000 all the same; said so in the log once"


def send_random(broker: Broker, chance: random.Random, count: int) -> None:
    """Send messages of random frames, many of them almost valid."""
    words = (b"TASK", b"FINISHED", b"FAILED", b"ABORTED", b"job", b"", b"0", b"exit", b"\xff\xfe")
    for _ in range(count):
        frames = [
            chance.choice(words) if chance.random() < 0.7 else chance.randbytes(chance.randrange(9))
            for _ in range(chance.randrange(7))
        ]
        broker.send(*frames, chance.choice(words))


@case("random", "the broker sends messages of random frames")
def random_frames(run: Run) -> None:
    """A job that runs at the same time stays whole."""
    count = run.pick(100_000, 10_000)
    with serving() as service:
        with undisturbed(run, service, run.pick(10_000, 1000)), connected_broker(service) as broker:
            send_random(broker, random.Random(2), count)
        require_serving(run, service)
        reasons = service.logged().count("dropped ")
        run.require(reasons < 50, f"{reasons} lines about dropped messages in the log")
    run.amount = f"{count} messages of 1 to 7 frames"
    run.service = f"invalid ones dropped and counted ({reasons} lines in the log); the job whole"
