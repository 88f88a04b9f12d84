"""How long a channel still has after a restart of the monitor or of the machine."""

from recodex_monitor.channels.channel import End
from recodex_monitor.channels.message import FAILED, Message
from recodex_monitor.history.journal import CATCH_UP
from tests.history.support import GRACE, IDLE, RETENTION, JournalTestCase, Monitor
from tests.support.settings import change


class TimeTests(JournalTestCase):
    """The rest of retention, grace and idle timeout."""

    def test_retention(self) -> None:
        """Retention continues while the monitor is down."""
        self.monitor.publish("job", "FINISHED")
        self.monitor.let_pass(10)
        self.clock.advance(5)
        other = self.killed()
        other.let_pass(RETENTION - 16)
        self.assertEqual(set(other.state()), {"job"})
        other.let_pass(1)
        self.assertEqual(other.state(), {})

    def test_over_meanwhile(self) -> None:
        """A channel whose retention ended while the monitor was down does not come back."""
        self.monitor.publish("job", "FINISHED")
        self.clock.advance(RETENTION)
        self.assertEqual(self.killed().state(), {})

    def test_wall_clock_jumps(self) -> None:
        """Setting the wall clock meanwhile changes nothing."""
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

    def test_reboot(self) -> None:
        """After a reboot the wall clock counts; set back, it never makes retention longer."""
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

    def test_machine_crashed(self) -> None:
        """After a crash of the machine running channels get a new epoch, as numbers may be lost.

        Ended channels are complete, and so is what a killed process leaves behind.
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
        """A kill while channels are saved under new epochs leaves all of them in the file."""
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
        """A file that was closed properly is complete, so a reboot makes no new epochs."""
        self.monitor.publish("running", "A", "B")
        before = self.monitor.state()
        self.monitor.journal.close()
        other = self.monitor.after_kill()
        other.boot = "another"
        self.assertEqual(other.start().state(), before)

    def test_silence_and_grace(self) -> None:
        """The idle timeout and the grace after FAILED start again."""
        self.monitor.publish("silent", "A")
        self.monitor.publish("again", FAILED, "STARTED", "A")
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
        """If the limits have become lower, channels are evicted in the usual order."""
        for name in "abc":
            self.monitor.publish(name, "A")
        for name in "cab":
            self.monitor.publish(name, "FINISHED")
            self.monitor.let_pass(1)
        for name in "fde":
            self.monitor.publish(name, "A")
        for room, left in ((5, "abdef"), (4, "bdef"), (2, "de"), (1, "e")):
            other = self.monitor.after_kill()
            change(other.hub.settings, max_channels=room)
            other.start()
            self.assertEqual("".join(sorted(other.state())), left)
            other.journal.tick()
            self.assertEqual(other.after_kill().start().state(), other.state())

    def test_all_histories_too_long(self) -> None:
        """So they are by the limit of bytes of all histories."""
        for name in "abc":
            self.monitor.hub.publish([Message(name, "A", b"x" * 1000)])
        other = self.monitor.after_kill()
        change(other.hub.settings, max_history_bytes=2500)
        other.start()
        self.assertEqual(set(other.state()), {"b", "c"})
        self.assertEqual(other.hub.retention.history_bytes, 2 * 1004)
