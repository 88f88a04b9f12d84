"""Whatever happens in whatever order, the history file holds what the hub holds."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import CHUNK_SIZE, Channel
from recodex_monitor.channels.message import FAILED
from recodex_monitor.history import compaction, journal, syncing
from recodex_monitor.history.database import connect
from recodex_monitor.history.records import load
from recodex_monitor.timing.retry import RETRY_DELAY
from tests.history.support import MEMORY, Monitor, state
from tests.support.messages import message


def failing(monitor: Monitor) -> set[str]:
    """The channels whose last attempt has failed."""
    return {one.id for one in monitor.hub.retention.failing}


class Machine(RuleBasedStateMachine):
    """A monitor with any sequence of events, that is killed or stopped at any moment."""

    CHANNELS = st.sampled_from("abcd")
    COMMANDS = st.sampled_from([*["TASK"] * 3, "STARTED", "ABORTED", FAILED, "FINISHED"])
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
        """The broker sends messages, read in one turn."""
        messages = []
        for channel_id, command, size in batch:
            self.count += 1
            messages.append(message(channel_id, command, str(self.count), "x" * size))
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
        """The disk has room again, and the journal notices."""
        self.monitor.journal._db.execute("PRAGMA max_page_count=1000000")
        self.monitor.let_pass(int(RETRY_DELAY) + 1)

    @rule()
    def kill(self) -> None:
        """The monitor is killed and started again."""
        self.have_room()
        expected = self.monitor.state()
        old, self.monitor = self.monitor, self.monitor.after_kill()
        self.monitor.start()
        old.journal.close()
        assert self.monitor.state() == expected
        # Where a full channel has no reserve left, FAILED is not kept.
        full = {channel.id for channel in old.hub.channels.values() if channel.is_full}
        assert failing(self.monitor) - full == failing(old) - full

    @rule()
    def stop(self) -> None:
        """The monitor is stopped and started again."""
        self.have_room()
        expected = self.monitor.state()
        self.monitor.journal.close()
        self.monitor = self.monitor.after_kill().start()
        assert self.monitor.state() == expected

    @invariant()
    def is_saved(self) -> None:
        """The file holds what the monitor holds, but for tombstones not yet written."""
        if self.monitor.journal._retry.is_failing:
            return
        with closing(connect(str(self.monitor.folder / "history.db"))) as db:
            found = {one.number: one for one, _ in load(db, self.monitor.now()).channels}
        gone = set(self.monitor.journal._tombstones)
        kept: list[Channel] = [one for number, one in found.items() if number not in gone]
        assert state(kept) == self.monitor.state()

    def teardown(self) -> None:
        """Remove its files."""
        self.monitor.journal.close()
        self.place.cleanup()


class AnyOrderTests(SynchronousTestCase):
    """The journal compared with the hub."""

    def test_as_it_was(self) -> None:
        """After any sequence of events, a kill changes nothing."""
        self.patch(compaction, "MARGIN", 20_000)
        self.patch(compaction, "SMALL_RECORDS", 5)
        self.patch(compaction, "STEP_BYTES", 30_000)
        self.patch(syncing, "CHECKPOINT", 100_000)
        self.patch(syncing, "FORCED", 100_000)
        self.patch(journal, "CATCH_UP", 2)
        run_state_machine_as_test(
            Machine, settings=settings(deadline=None, max_examples=50, stateful_step_count=30)
        )
