"""Work that is done for a short while at a time."""

from collections.abc import Iterator

from twisted.internet import task
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.slices import TURN, Turns


class TurnsTests(SynchronousTestCase):
    """Long work does not keep the reactor."""

    def setUp(self) -> None:
        """Ten things to do, of which three more fit into a turn after its first."""
        self.clock = task.Clock()
        self.to_do = list(range(10))
        self.done: list[int] = []
        self.turns = Turns(self.clock, self.steps)

    def steps(self) -> Iterator[None]:
        """Do one thing after the other."""
        while self.to_do:
            self.done.append(self.to_do.pop(0))
            self.clock.rightNow += TURN / 2.5
            yield

    def test_for_a_while_at_a_time(self) -> None:
        """What does not fit into a turn is done in later ones: all, in order, once."""
        self.turns()
        after = [len(self.done)]
        while self.clock.calls:
            self.clock.calls.pop().func()
            after.append(len(self.done))
        self.assertEqual(after, [4, 8, 10])
        self.assertEqual(self.done, list(range(10)))

    def test_called_again_meanwhile(self) -> None:
        """A call while a later turn is due does nothing: no turn gets longer by it."""
        self.turns()
        self.turns()
        self.assertEqual(len(self.done), 4)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_short_work(self) -> None:
        """What fits into a turn is done at once, and nothing is left to call."""
        del self.to_do[2:]
        self.turns()
        self.assertEqual(self.done, [0, 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])
