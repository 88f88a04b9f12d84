"""Faults of the system that the service runs on."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults import measure
from tests.faults.broker import require_serving
from tests.faults.clients import (
    FINISHED,
    Browser,
    browser,
    command,
    followed,
    task,
)
from tests.faults.crowd import Crowd, crowd
from tests.faults.measure import milliseconds, size
from tests.faults.probe import probing
from tests.faults.service import serving
from tests.faults.table import Run, Skipped, case
from tests.integration.support import Broker, connected_broker
from tests.support.frames import HANDSHAKE

CLOCK = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long *shift;
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_SHIFT"), O_RDONLY);
    shift = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    close(file);
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += *shift;
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}
"""
"""The C library's wall clock for one process, shifted by the seconds in a file."""


def require_live(run: Run, broker: Broker, client: Browser, number: int) -> None:
    """Require that a client of job ``live`` gets the next task and has missed none."""
    broker.send(b"live", b"TASK", b"%d" % number, b"COMPLETED")
    client.read_until(lambda: len(client.texts) > number, 5)
    whole = client.texts == [*map(task, range(number + 1))]
    run.require(whole, f"a client got {len(client.texts)} of {number + 1} messages")


@case("descriptors", "no file descriptors are left")
def descriptors(run: Run) -> None:
    """Clients are still served, new ones once descriptors are free; no busy loop."""
    waiting, seconds = run.pick(500, 100), run.pick(10, 3)
    with (
        serving() as service,
        connected_broker(service) as broker,
        browser(service.address, "live") as client,
        crowd(service.address) as crowded,
    ):
        require_live(run, broker, client, 0)
        highest = max(int(one) for one in os.listdir(f"/proc/{service.pid}/fd"))
        service.limit_descriptors(highest + 11)
        crowded.connect([followed("live")] * waiting)
        spent = measure.processor(service.pid)
        for number in range(1, seconds + 1):
            require_live(run, broker, client, number)
            crowded.run_for(1)
        spent = (measure.processor(service.pid) - spent) / seconds
        served = sum(one.status == 101 for one in crowded.members)
        lines = len(service.logged().splitlines())
        run.require(spent < run.within(0.1, 0.5), f"it took {spent:.0%} of a processor")
        run.require(lines < 5 * waiting, f"{lines} lines in the log")
        service.limit_descriptors(10_000)
        for number in range(seconds + 1, seconds + 4):
            require_live(run, broker, client, number)
        require_serving(run, service)
    run.amount = f"{waiting} clients for 10 descriptors, for {seconds} s"
    run.service = f"{served} of them served, those before undisturbed, {spent:.1%} of a processor, "
    run.service += f"{lines} lines in the log; served everybody when there were descriptors again"


@case("no-room-broker", "clients want all file descriptors, then a broker connects")
def no_room_for_broker(run: Run) -> None:
    """The last descriptors are reserved for the broker: it connects; no busy loop."""
    descriptors, waiting, seconds = 300, 500, run.pick(10, 3)
    with serving() as service, browser(service.address, "live") as client:
        service.limit_descriptors(descriptors)
        with crowd(service.address) as crowded:
            crowded.connect([followed("live")] * waiting)
            crowded.run_for(1)
            with connected_broker(service) as broker:
                spent = measure.processor(service.pid)
                for number in range(seconds):
                    require_live(run, broker, client, number)
                    crowded.run_for(1)
                spent = (measure.processor(service.pid) - spent) / seconds
            served = sum(one.status == 101 for one in crowded.members)
            run.require(spent < run.within(0.1, 0.3), f"it took {spent:.0%} of a processor")
        service.limit_descriptors(10_000)
        require_serving(run, service)
    run.amount = f"{waiting} clients for {descriptors} descriptors, for {seconds} s"
    run.service = f"{served} of them served, the others closed at once; the broker let in, "
    run.service += f"{spent:.1%} of a processor"


@contextlib.contextmanager
def shifted_clock() -> Iterator[tuple[dict[str, str], Path]]:
    """The environment and the file by which the wall clock of one process can be shifted."""
    compiler = shutil.which("cc")
    if not compiler:
        raise Skipped("needs a C compiler")
    with tempfile.TemporaryDirectory() as folder:
        source, library, shift = (Path(folder) / name for name in ("clock.c", "clock.so", "shift"))
        source.write_text(CLOCK)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        shift.write_bytes(bytes(8))
        yield {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}, shift


def set_clock(shift: Path, seconds: int) -> None:
    """Shift the clock by so many seconds from the real time."""
    with shift.open("r+b") as file:
        file.write(seconds.to_bytes(8, "little", signed=True))


@case("clock", "the clock is set forward and back by an hour")
def clock(run: Run) -> None:
    """No client, channel or timeout is affected."""
    rounds = run.pick(6, 2)
    settings = {"retention": 600, "failed_grace": 300, "idle_timeout": 1800}
    with (
        shifted_clock() as (environment, shift),
        serving(environment=environment, channels=settings) as service,
        connected_broker(service) as broker,
        crowd(service.address) as clients,
        browser(service.address, "live") as live,
    ):
        broker.send(b"over", b"FINISHED")
        broker.send(b"failing", b"FAILED")
        clients.connect([followed("failing")] * 50)
        for number in range(rounds):
            set_clock(shift, (3600, -3600, 0)[number % 3])
            clients.run_for(2.5)
            require_live(run, broker, live, number)
        cut = sum(bool(one.ended) for one in clients.members)
        run.require(not cut, f"{cut} clients were cut")
        texts = {tuple(one.texts) for one in clients.members}
        run.require(texts == {(command("FAILED"),)}, f"a channel ended early: {texts}")
        with browser(service.address, "over") as late:
            late.read_close(5)
            run.require(late.texts == [FINISHED], "a channel was forgotten early")
        hours = {line[12:14] for line in service.logged().splitlines()}
        run.require(len(hours) > 1, "the clock was not set")
        require_serving(run, service)
    run.amount = f"{rounds} times, 51 clients, a channel that ended and one that fails"
    run.service = "no client cut, no channel ended or forgotten early, no message late"


@case("suspend", "SIGSTOP while pings, handshakes, ids and the rest of a job are under way")
def suspend(run: Run) -> None:
    """The pause makes no client count as dead and no job as over."""
    seconds, each = run.pick(30, 6), run.pick(5, 4)
    limits = dict.fromkeys(
        ("ping_interval", "ping_timeout", "subscribe_timeout", "handshake_timeout"), each
    )
    channels = {"failed_grace": each, "idle_timeout": run.pick(20, 10)}
    with (
        serving(limits=limits, channels=channels) as service,
        connected_broker(service) as broker,
        crowd(service.address) as pinged,
        crowd(service.address) as late,
    ):
        begin_before_pause(pinged, late, broker, each)
        service.process.send_signal(signal.SIGSTOP)
        go_on_in_pause(late, broker)
        pinged.run_for(seconds)
        service.process.send_signal(signal.SIGCONT)
        for some in (pinged, late):
            some.run_to_end(15)
        rest = [*map(task, range(100)), FINISHED]
        require_all(run, "were pinged", pinged.members, [command("STARTED"), *rest])
        again = [command("FAILED"), command("ABORTED"), *rest]
        require_all(run, "were in the handshake", late.members[:100], again)
        require_all(run, "had no id", late.members[100:], again)
        require_serving(run, service)
    run.amount = f"{seconds} s; 100 clients each that were pinged, in the handshake, without an id;"
    run.amount += f" a job that goes on after FAILED (times of {each} s)"
    run.service = "every client got the whole job and 1000"


def require_all(run: Run, which: str, clients: list[Browser], texts: list[bytes]) -> None:
    """Require that each client got these messages, then 1000."""
    good = sum(one.texts == texts and one.code == 1000 for one in clients)
    ends = {(len(one.texts), one.code, one.ended) for one in clients}
    run.require(good == 100, f"of those that {which}, {100 - good} did not get all: {ends}")


def begin_before_pause(pinged: Crowd, late: Crowd, broker: Broker, each: float) -> None:
    """Bring clients into every state: pinged, in the handshake, without an id; fail a job."""
    broker.send(b"pinged", b"STARTED")
    pinged.connect([followed("pinged")] * 100)
    pinged.run(lambda: all(one.texts for one in pinged.members), 10)
    time.sleep(each + 1.5)  # they are pinged, and do not answer yet
    late.connect([HANDSHAKE[:100]] * 100)
    late.connect([HANDSHAKE] * 100)
    broker.send(b"job", b"FAILED")
    late.run_handshakes(late.members[100:])
    time.sleep(0.2)


def go_on_in_pause(late: Crowd, broker: Broker) -> None:
    """Let the clients and the job go on."""
    rest = followed("job")
    for one in late.members[:100]:
        one.send(rest[100:])
    for one in late.members[100:]:
        one.send(rest[len(HANDSHAKE) :])
    broker.send(b"job", b"ABORTED")
    for channel_id in (b"job", b"pinged"):
        for number in range(100):
            broker.send(channel_id, b"TASK", b"%d" % number, b"COMPLETED")
        broker.send(channel_id, b"FINISHED")


@case("channels", "a very great number of channels")
def channels(run: Run) -> None:
    """Memory is bounded, a followed job loses nothing, and the service stays quick."""
    count = run.pick(100_000, 20_000)
    most = count // 2
    with (
        serving(limits={"max_channels": most}) as service,
        connected_broker(service) as broker,
        browser(service.address, "live") as client,
    ):
        require_live(run, broker, client, 0)
        memory = service.resident()
        with probing(service.address, "handshake") as times:
            for number in range(count):
                broker.send(b"student_%036d" % number, b"STARTED")
        require_live(run, broker, client, 1)
        grown = service.resident() - memory
        kept = service.objects().get("Channel", 0)
        run.require(kept <= most + 5, f"{kept} channels are kept of at most {most}")
        run.require(grown < 2048 * most + 2**24, f"memory grew by {size(grown)}")
        run.require(times.worst <= run.within(0.05, 15), f"a handshake took {times.worst:.3f} s")
        require_serving(run, service)
    run.amount = f"{count} channels with a message each, max_channels {most}"
    run.lost = f"{count + 1 - kept} silent channels that nobody followed, as configured"
    run.service = f"kept {kept}, memory +{size(grown)} ({grown / kept:.0f} bytes a channel); "
    run.service += f"a handshake meanwhile took {milliseconds(times.worst)} at the worst"


@case("anonymous", "clients that follow ids of no job, and leave")
def anonymous(run: Run) -> None:
    """No channel is left, and memory does not grow."""
    count = run.pick(100_000, 5000)
    with serving(limits={"max_channel_id": 512}) as service, crowd(service.address) as clients:
        for number in range(0, count, 500):
            if number == 500 * (count // 1000):
                memory = service.resident()
            ids = (f"{number + one}-{'x' * 480}" for one in range(500))
            joined = clients.connect(map(followed, ids), f"127.0.3.{number // 500 % 200 + 1}")
            clients.run_handshakes(joined, 20)
            clients.leave()
        service.settle(run)
        grown = service.resident() - memory
        run.require(grown < 4 * 2**20, f"memory grew by {size(grown)} in the second half")
        require_serving(run, service)
    run.amount = f"{count} clients, ids of 500 bytes"
    run.service = f"no channel left, memory +{size(grown)} in the second half"
