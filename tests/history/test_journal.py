"""What is published is saved, whatever happens, and comes back as it was."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import CHUNK_SIZE, Channel, End
from recodex_monitor.channels.hub import Bounds, Hub
from recodex_monitor.channels.message import FAILED, Message
from recodex_monitor.history import compaction, journal, syncing
from recodex_monitor.history.journal import CATCH_UP, Journal
from recodex_monitor.timing.retry import RETRY
from tests.channels.test_hub import Reader
from tests.support.clients import message

RETENTION, GRACE, IDLE = 30, 10, 60

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""A folder on no disk, for what writes very often."""

State = dict[str, tuple[str, bytes, int, End | None]]
"""Of each channel by its id: its epoch, log, number of messages, and end."""


def folder(case: SynchronousTestCase) -> Path:
    """A folder for one monitor, in a folder for others, which are there while the test runs."""
    place = tempfile.TemporaryDirectory(dir=MEMORY)
    case.addCleanup(place.cleanup)
    made = Path(place.name) / "first"
    made.mkdir()
    return made


def state(channels: Any) -> State:
    """What is in channels that have messages."""
    kept = [channel for channel in channels if channel.log]
    return {one.id: (one.epoch, bytes(one.log), one.count, one.end) for one in kept}


class Monitor:
    """A hub and its journal; time passes as the test lets it, and threads do their work at once."""

    def __init__(self, folder: Path, clock: Clock, **bounds: Any) -> None:
        self.folder = folder
        self.clock = clock
        self.wall = 0.0
        self.boot = "boot"
        self.journal = Journal(
            str(folder / "history.db"),
            clock,
            lambda work, then: then(work()),
            now=lambda: f"{self.wall + clock.seconds()} {clock.seconds()} {self.boot}",
        )
        times = {"retention": RETENTION, "failed_grace": GRACE, "idle_timeout": IDLE}
        self.hub = Hub(clock, Bounds(**{**times, **bounds}), self.journal)
        self.bounds = bounds
        self.others: list[Monitor] = []

    def start(self) -> "Monitor":
        """Open the file and go on with what is in it."""
        self.hub.restore(self.journal.open())
        return self

    def publish(self, channel_id: str, *commands: str) -> None:
        """Let the broker say something, in one turn."""
        self.hub.publish([message(channel_id, command) for command in commands])

    def let_pass(self, seconds: int) -> None:
        """Let time pass, with what is done each second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.hub.expire()
            self.journal.tick()

    def after_kill(self) -> "Monitor":
        """Another monitor that has the files as they would be had this one been killed now."""
        folder = Path(tempfile.mkdtemp(dir=self.folder.parent))
        for file in self.folder.glob("history.db*"):
            # What SQLite keeps there is for processes that live.
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        other = Monitor(folder, self.clock, **self.bounds)
        other.wall, other.boot = self.wall, self.boot
        self.others.append(other)
        return other

    def close(self) -> None:
        """Close its file and those of the monitors that came after it."""
        for one in (*self.others, self):
            one.journal.close()
        for other in self.others:
            other.close()

    def state(self) -> State:
        """What is in its channels."""
        return state(self.hub.channels.values())


class JournalTestCase(SynchronousTestCase):
    """A monitor in a folder of its own."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.monitor = Monitor(folder(self), self.clock).start()
        self.addCleanup(self.monitor.close)

    def killed(self) -> Monitor:
        """The monitor that is started after a kill."""
        return self.monitor.after_kill().start()


class SaveTests(JournalTestCase):
    """What is saved comes back."""

    def test_before_anybody_sees_it(self) -> None:
        """What a subscriber is woken for is in the file, and so is an end that the monitor adds."""
        seen: list[State] = []
        wake = self.monitor.hub._wake_steps

        def check() -> Any:
            seen.append(self.monitor.state())
            self.assertEqual(self.killed().state(), seen[-1])
            return wake()

        self.patch(self.monitor.hub._flush, "_steps", check)
        self.monitor.publish("job", "A", FAILED)
        self.monitor.let_pass(GRACE)
        self.assertEqual(seen[-1]["job"][3], End.FAILED)

    def test_all_of_a_channel(self) -> None:
        """Epoch, number of messages, log, end and the places of chunks are as they were."""
        texts = [f"{number} {'x' * (number * 997 % 40_000)}" for number in range(60)]
        for start in range(0, 60, 7):
            batch = [Message("job", "A", text.encode()) for text in texts[start : start + 7]]
            self.monitor.hub.publish(batch)
        self.monitor.publish("job", "FINISHED")
        self.assertEqual(self.killed().state(), self.monitor.state())
        (channel,) = self.killed().hub.channels.values()
        for count in range(61):
            position = self.monitor.hub.channels["job"].position(count)
            self.assertEqual(channel.position(count), position)
            self.assertLess(len(channel.chunk(position)), 3 * CHUNK_SIZE + 40_000)

    def test_ids_of_any_text(self) -> None:
        """A channel may be called anything that a broker can send."""
        for name in ("a b", " ", "\0", "ž\U0001f600", "x" * 500, "\n"):
            self.monitor.publish(name, "A")
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_stopped(self) -> None:
        """After a stop all is in one file, of which a monitor that was killed can be made too."""
        self.monitor.publish("job", "A")
        self.monitor.journal.close()
        self.assertFalse((self.monitor.folder / "history.db-wal").exists())
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_no_channel_without_messages(self) -> None:
        """A channel that somebody waits for is not kept."""
        reader = Reader(self.monitor.hub, self.clock)
        self.assertEqual(self.killed().hub.channels, {})
        self.monitor.hub.unsubscribe(reader)
        self.monitor.publish("job", "A")
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_gone_in_the_turn_in_which_it_came(self) -> None:
        """A channel that had to make room for another of the same turn does not come back."""
        self.monitor.hub.bounds = replace(self.monitor.hub.bounds, max_channels=2)
        self.monitor.publish("old", "A")
        batch = [message(name, "A") for name in ("old", "one", "two", "three")]
        self.monitor.hub.publish(batch)
        self.assertEqual(set(self.monitor.state()), {"two", "three"})
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_the_same_id_again(self) -> None:
        """Of two channels of one id, one after the other, the second comes back."""
        self.monitor.publish("job", "A", "FINISHED")
        self.monitor.let_pass(RETENTION)
        self.monitor.publish("job", "B")
        self.assertEqual(self.killed().state(), self.monitor.state())


class TimeTests(JournalTestCase):
    """What remains of a channel's time."""

    def test_retention(self) -> None:
        """A channel is kept for what remains, with the time that the monitor was away."""
        self.monitor.publish("job", "FINISHED")
        self.monitor.let_pass(10)
        self.clock.advance(5)
        other = self.killed()
        other.let_pass(RETENTION - 16)
        self.assertEqual(set(other.state()), {"job"})
        other.let_pass(1)
        self.assertEqual(other.state(), {})

    def test_over_meanwhile(self) -> None:
        """A channel whose time was over while the monitor was away does not come back."""
        self.monitor.publish("job", "FINISHED")
        self.clock.advance(RETENTION)
        self.assertEqual(self.killed().state(), {})

    def test_wall_clock_jumps(self) -> None:
        """If the wall's clock was set meanwhile, what remains is the same."""
        for jump in (-1e6, 1e6):
            self.monitor.publish("job", "FINISHED")
            self.clock.advance(10)
            other = self.monitor.after_kill()
            other.wall += jump
            other.start()
            other.let_pass(RETENTION - 11)
            self.assertEqual(set(other.state()), {"job"})
            other.let_pass(1)
            self.assertEqual(other.state(), {})
            self.monitor.let_pass(RETENTION)

    def test_machine_started_anew(self) -> None:
        """After that the wall's clock counts; were it set back, no more than all remains."""
        for jump, remains in ((-5, RETENTION), (3, RETENTION - 13), (100, 0)):
            self.monitor.publish("job", "FINISHED")
            self.clock.advance(10)
            other = self.monitor.after_kill()
            other.boot = "another"
            other.wall = jump if jump > 0 else -10 + jump
            other.start()
            other.let_pass(max(0, remains - 1))
            self.assertEqual(set(other.state()), {"job"} if remains else set())
            other.let_pass(1)
            self.assertEqual(other.state(), {})
            self.monitor.let_pass(RETENTION)

    def test_machine_died(self) -> None:
        """Running channels are others then: the last of their numbers may have been given before.

        Those that have ended are whole, and what a process leaves behind is too.
        """
        self.monitor.publish("running", "A", "B")
        self.monitor.publish("ended", "A", "FINISHED")
        before = self.monitor.state()
        other = self.monitor.after_kill()
        other.boot = "another"
        after = other.start().state()
        self.assertEqual(after["ended"], before["ended"])
        self.assertNotEqual(after["running"][0], before["running"][0])
        self.assertEqual(after["running"][1:], before["running"][1:])
        other.publish("running", "C")
        third = other.after_kill().start()
        self.assertEqual(third.state(), other.state())
        self.assertEqual(self.killed().state(), before)

    def test_killed_while_renewing(self) -> None:
        """A kill while all are saved again leaves the file as it was, however many they are."""
        for number in range(3 * CATCH_UP):
            self.monitor.publish(f"job{number}", "A")
        other = self.monitor.after_kill()
        other.boot = "another"
        killed: list[Monitor] = []
        write = other.journal._write

        def write_and_copy(heads: list[int], pieces: list[bytes | bytearray]) -> bool:
            written = write(heads, pieces)
            killed.append(other.after_kill())
            return written

        self.patch(other.journal, "_write", write_and_copy)
        other.start()
        self.assertGreater(len(killed), 2)
        for one in killed:
            self.assertEqual(len(one.start().state()), 3 * CATCH_UP)
        self.assertEqual(len(other.after_kill().start().state()), 3 * CATCH_UP)

    def test_machine_was_shut_down(self) -> None:
        """What was closed well is whole, so all channels are the same when it is started anew."""
        self.monitor.publish("running", "A", "B")
        before = self.monitor.state()
        self.monitor.journal.close()
        other = self.monitor.after_kill()
        other.boot = "another"
        self.assertEqual(other.start().state(), before)

    def test_silence_and_grace(self) -> None:
        """A channel that goes on may be silent as long as ever again, also one that failed."""
        self.monitor.publish("silent", "A")
        self.monitor.publish("again", FAILED, "A")
        self.monitor.let_pass(GRACE - 1)
        self.monitor.publish("failed", "A", FAILED)
        other = self.killed()
        other.let_pass(GRACE - 1)
        self.assertEqual({one[3] for one in other.state().values()}, {None})
        other.let_pass(1)
        self.assertEqual(other.state()["failed"][3], End.FAILED)
        other.let_pass(IDLE - GRACE - 1)
        self.assertIsNone(other.state()["again"][3])
        other.let_pass(1)
        self.assertEqual({other.state()[one][3] for one in ("again", "silent")}, {End.EXPIRED})

    def test_order(self) -> None:
        """Where the limits leave no room, the same go first as if the monitor had gone on."""
        for name in "abc":
            self.monitor.publish(name, "A")
        for name in "cab":
            self.monitor.publish(name, "FINISHED")
            self.monitor.let_pass(1)
        for name in "fde":
            self.monitor.publish(name, "A")
        for room, left in ((5, "abdef"), (4, "bdef"), (2, "de"), (1, "e")):
            other = self.monitor.after_kill()
            other.hub.bounds = replace(other.hub.bounds, max_channels=room)
            other.start()
            self.assertEqual("".join(sorted(other.state())), left)
            other.journal.tick()
            self.assertEqual(other.after_kill().start().state(), other.state())

    def test_all_histories_too_long(self) -> None:
        """What is beyond the bytes of all histories is forgotten too."""
        for name in "abc":
            self.monitor.hub.publish([Message(name, "A", b"x" * 1000)])
        other = self.monitor.after_kill()
        other.hub.bounds = replace(other.hub.bounds, max_history_bytes=2500)
        other.start()
        self.assertEqual(set(other.state()), {"b", "c"})
        self.assertEqual(other.hub.history_bytes, 2 * 1004)


class TroubleTests(JournalTestCase):
    """The disk is full, or fails."""

    def setUp(self) -> None:
        """Listen to what is logged."""
        super().setUp()
        captured = capturedLogs()
        self.events = captured.__enter__()
        self.addCleanup(captured.__exit__, None, None, None)

    @property
    def logged(self) -> list[str]:
        """The warnings and errors so far."""
        return [one["what"] for one in self.events if one["log_level"] >= LogLevel.warn]

    def fill_disk(self) -> None:
        """Let the file grow no more."""
        db = self.monitor.journal._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count={pages}")

    def empty_disk(self) -> None:
        """Let it grow again."""
        self.monitor.journal._db.execute("PRAGMA max_page_count=1000000")

    def test_full(self) -> None:
        """Serving goes on; the log says so once, and once when all is saved again."""
        self.monitor.publish("before", *["x" * 100] * 10)
        self.fill_disk()
        for number in range(100):
            self.monitor.publish(f"job-{number % 9}", *["x" * 100] * 10)
        self.monitor.publish("before", "y", "FINISHED")
        self.monitor.let_pass(int(RETRY) + 1)
        self.assertEqual(len(self.monitor.state()), 10)
        self.assertEqual(len(self.logged), 1, self.logged)
        self.assertIn("cannot save the history", self.logged[0])
        self.empty_disk()
        self.monitor.let_pass(int(RETRY))
        self.assertEqual(len(self.logged), 2, self.logged)
        self.assertEqual(self.killed().state(), self.monitor.state())
        self.monitor.publish("after", "A")
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_much_was_missed(self) -> None:
        """What was missed is saved in many turns, while more is published and channels go."""
        self.monitor.publish("first", "A")
        self.fill_disk()
        for number in range(40):
            batch = [Message(f"job-{number}", "A", b"x" * 40_000)] * 30
            self.monitor.hub.publish(batch)
        self.monitor.publish("over", "A", "FINISHED")
        self.monitor.publish("first", "FINISHED")
        self.monitor.let_pass(RETENTION)
        self.empty_disk()
        while self.monitor.journal._trouble:
            self.monitor.let_pass(1)
            for number in range(40):
                self.monitor.publish(f"job-{number}", "B")
        self.assertNotIn("first", self.monitor.state())
        self.monitor.let_pass(1)
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_stopped_meanwhile(self) -> None:
        """What was missed is saved in the end, if that is possible."""
        self.fill_disk()
        self.monitor.publish("job", *["x" * 1000] * 100)
        self.empty_disk()
        self.monitor.journal.close()
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_sync_fails(self) -> None:
        """That the disk does not take what is saved is told once, and it is tried again."""
        works = os.fdatasync

        def fail(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        self.patch(os, "fdatasync", fail)
        for _ in range(20):
            self.monitor.publish("job", "A")
            self.monitor.let_pass(1)
        self.assertEqual(len(self.logged), 1, self.logged)
        self.assertIn("to the disk", self.logged[0])
        self.patch(os, "fdatasync", works)
        self.monitor.let_pass(int(RETRY))
        self.assertEqual(len(self.logged), 2, self.logged)

    def test_locked_by_another_program(self) -> None:
        """Nothing waits for a program that has the database open and writes."""
        other = sqlite3.connect(self.monitor.folder / "history.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        self.monitor.publish("job", "A")
        other.close()
        self.monitor.let_pass(int(RETRY))
        self.assertEqual(self.killed().state(), self.monitor.state())
        self.assertEqual(len(self.logged), 2, self.logged)


class Machine(RuleBasedStateMachine):
    """A monitor to which anything happens, and which is killed or stopped at any moment."""

    CHANNELS = st.sampled_from("abcd")
    COMMANDS = st.sampled_from(["TASK", "TASK", "TASK", FAILED, "FINISHED"])
    SIZES = st.sampled_from([1, 300, 9000, CHUNK_SIZE, 40_000])

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.place = tempfile.TemporaryDirectory(dir=MEMORY)
        folder = Path(self.place.name) / "first"
        folder.mkdir()
        bounds = {"retention": 4, "failed_grace": 2, "idle_timeout": 5, "max_channels": 3}
        self.monitor = Monitor(folder, Clock(), max_history_bytes=200_000, **bounds).start()

    @rule(batch=st.lists(st.tuples(CHANNELS, COMMANDS, SIZES), max_size=6))
    def publish(self, batch: Sequence[tuple[str, str, int]]) -> None:
        """The broker says something."""
        messages = []
        for channel_id, command, size in batch:
            self.count += 1
            text = f"{self.count} {'x' * size}".encode()
            messages.append(Message(channel_id, command, text))
        self.monitor.hub.publish(messages)

    @rule(seconds=st.integers(1, 6))
    def let_pass(self, seconds: int) -> None:
        """Time passes."""
        self.monitor.let_pass(seconds)

    @rule()
    def be_full(self) -> None:
        """The disk is full from now on."""
        self.monitor.journal._db.execute("PRAGMA max_page_count=1")

    @rule()
    def have_room(self) -> None:
        """The disk has room again, which is noticed."""
        self.monitor.journal._db.execute("PRAGMA max_page_count=1000000")
        self.monitor.let_pass(int(RETRY) + 1)

    @rule()
    def kill(self) -> None:
        """It is killed, and another one goes on."""
        self.have_room()
        expected = self.monitor.state()
        old, self.monitor = self.monitor, self.monitor.after_kill()
        self.monitor.start()
        old.journal.close()
        assert self.monitor.state() == expected

    @rule()
    def stop(self) -> None:
        """It is stopped and started."""
        self.have_room()
        expected = self.monitor.state()
        self.monitor.journal.close()
        self.monitor = self.monitor.after_kill().start()
        assert self.monitor.state() == expected

    @invariant()
    def is_saved(self) -> None:
        """A monitor that finds the files as they are now has what this one has."""
        if self.monitor.journal._trouble:
            return
        other = self.monitor.after_kill()
        found = {one.number: one for one, _ in other.journal.open()}
        other.close()
        gone = set(self.monitor.journal._forgotten)
        kept: list[Channel] = [one for number, one in found.items() if number not in gone]
        assert state(kept) == self.monitor.state()

    def teardown(self) -> None:
        """Clean up."""
        self.monitor.journal.close()
        self.place.cleanup()


class AnyOrderTests(SynchronousTestCase):
    """The journal against the hub."""

    def test_as_it_was(self) -> None:
        """Whatever happens when, a monitor that is killed comes back as it was."""
        self.patch(compaction, "MARGIN", 20_000)
        self.patch(compaction, "SMALL_RECORDS", 5)
        self.patch(compaction, "STEP_BYTES", 30_000)
        self.patch(syncing, "CHECKPOINT", 100_000)
        self.patch(syncing, "FULL", 100_000)
        self.patch(journal, "CATCH_UP", 2)
        run_state_machine_as_test(
            Machine, settings=settings(deadline=None, max_examples=50, stateful_step_count=30)
        )
