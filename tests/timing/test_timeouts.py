"""Things that are due a fixed time after they were last touched."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.timeouts import Timeouts

Step = tuple[str, int]


class TimeoutsTests(SynchronousTestCase):
    """Put, discard, pop what is due."""

    def test_longest_due_first(self) -> None:
        """Things are due a delay after they were put, in that order."""
        timeouts = Timeouts[str](lambda: 10)
        for now, thing in enumerate("bac"):
            timeouts.put(thing, now)
        self.assertEqual(list(timeouts.pop_due(9.9)), [])
        self.assertEqual(list(timeouts.pop_due(11)), ["b", "a"])
        self.assertEqual(len(timeouts), 1)

    def test_changes_while_popping(self) -> None:
        """While what is due is popped, things may be put, put again and discarded."""
        timeouts = Timeouts[str](lambda: 10)
        for thing in "abcd":
            timeouts.put(thing, 0)
        popped = []
        for thing in timeouts.pop_due(10):
            popped.append(thing)
            if thing == "a":
                timeouts.discard("b")
                timeouts.put("a", 10)
                timeouts.put("c", 10)
                timeouts.put("e", 10)
        self.assertEqual(popped, ["a", "d"])
        self.assertEqual(list(timeouts.pop_due(20)), ["a", "c", "e"])

    def test_put_once(self) -> None:
        """Putting a thing once more does not delay it if it is there already."""
        timeouts = Timeouts[str](lambda: 10)
        for now in (0, 5):
            timeouts.put_once("a", now)
        self.assertEqual(list(timeouts.pop_due(10)), ["a"])

    def test_first_due(self) -> None:
        """The first that is due stays until it is discarded."""
        timeouts = Timeouts[str](lambda: 10)
        for now, thing in enumerate("ab"):
            timeouts.put(thing, now)
        self.assertEqual([timeouts.first_due(now) for now in (9, 10, 12)], [None, "a", "a"])
        timeouts.discard("a")
        self.assertEqual([timeouts.first_due(now) for now in (10, 11)], [None, "b"])

    def test_changed_delay(self) -> None:
        """A new delay holds for the things that are there already."""
        delay = 10
        timeouts = Timeouts[str](lambda: delay)
        timeouts.put("a", 0)
        delay = 5
        self.assertEqual(list(timeouts.pop_due(5)), ["a"])

    @settings(deadline=None)
    @given(
        st.integers(0, 4),
        st.lists(
            st.tuples(st.sampled_from(["put", "discard"]), st.integers(0, 4))
            | st.tuples(st.just("pass"), st.integers(1, 3))
        ),
    )
    def test_as_the_model(self, delay: int, steps: list[Step]) -> None:
        """In any order of puts and discards, what is popped is what a plain list has due."""
        timeouts, model, now = Timeouts[int](lambda: delay), list[tuple[int, int]](), 0
        for step, number in steps:
            if step == "pass":
                now += number
                due = [thing for since, thing in model if since + delay <= now]
                model = [entry for entry in model if entry[0] + delay > now]
                self.assertEqual(list(timeouts.pop_due(now)), due)
                continue
            model = [entry for entry in model if entry[1] != number]
            if step == "put":
                model.append((now, number))
                timeouts.put(number, now)
            else:
                timeouts.discard(number)
            self.assertEqual(len(timeouts), len(model))
