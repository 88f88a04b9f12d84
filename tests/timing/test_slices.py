"""Long work in time slices."""

from collections.abc import Iterator

from twisted.internet import task
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.slices import SLICE, TimeSlices


class TimeSlicesTests(SynchronousTestCase):
    """Long work leaves the reactor time for other things."""

    def setUp(self) -> None:
        """Ten steps, of which four fit into a slice."""
        self.clock = task.Clock()
        self.to_do = list(range(10))
        self.done: list[int] = []
        self.slices = TimeSlices(self.clock, self.steps)

    def steps(self) -> Iterator[None]:
        """Do one step after the other."""
        while self.to_do:
            self.done.append(self.to_do.pop(0))
            self.clock.rightNow += SLICE / 2.5
            yield

    def test_slices(self) -> None:
        """What does not fit into a slice is done in later ones: all of it, in order, once."""
        self.slices()
        after = [len(self.done)]
        while self.clock.calls:
            self.clock.calls.pop().func()
            after.append(len(self.done))
        self.assertEqual(after, [4, 8, 10])
        self.assertEqual(self.done, list(range(10)))

    def test_called_again_meanwhile(self) -> None:
        """A call while a slice is scheduled does nothing: no slice gets longer by it."""
        self.slices()
        self.slices()
        self.assertEqual(len(self.done), 4)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_short_work(self) -> None:
        """What fits into a slice is done at once, and no call is scheduled."""
        del self.to_do[2:]
        self.slices()
        self.assertEqual(self.done, [0, 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])
