"""Things that fall due some time after they were last touched."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.timeouts import Deadlines

Step = tuple[str, int]


class DeadlinesTests(SynchronousTestCase):
    """Put, discard and pop."""

    def test_longest_due_first(self) -> None:
        """Things fall due a delay after they were put, in the order of it."""
        deadlines = Deadlines[str](lambda: 10)
        for now, thing in enumerate("bac"):
            deadlines.put(thing, now)
        self.assertEqual(list(deadlines.pop_due(9.9)), [])
        self.assertEqual(list(deadlines.pop_due(11)), ["b", "a"])
        self.assertEqual(len(deadlines), 1)

    def test_changes_while_popping(self) -> None:
        """Between two steps things may be discarded, put anew, and put for the first time."""
        deadlines = Deadlines[str](lambda: 10)
        for thing in "abcd":
            deadlines.put(thing, 0)
        popped = []
        for thing in deadlines.pop_due(10):
            popped.append(thing)
            if thing == "a":
                deadlines.discard("b")
                deadlines.put("a", 10)
                deadlines.put("c", 10)
                deadlines.put("e", 10)
        self.assertEqual(popped, ["a", "d"])
        self.assertEqual(list(deadlines.pop_due(20)), ["a", "c", "e"])

    @settings(deadline=None)
    @given(
        st.integers(0, 4),
        st.lists(
            st.tuples(st.sampled_from(["put", "discard"]), st.integers(0, 4))
            | st.tuples(st.just("pass"), st.integers(1, 3))
        ),
    )
    def test_as_the_model(self, delay: int, steps: list[Step]) -> None:
        """Whatever was put and discarded, what is popped is what a plain list has due."""
        deadlines, model, now = Deadlines[int](lambda: delay), list[tuple[int, int]](), 0
        for step, number in steps:
            if step == "pass":
                now += number
                due = [thing for since, thing in model if since + delay <= now]
                model = [entry for entry in model if entry[0] + delay > now]
                self.assertEqual(list(deadlines.pop_due(now)), due)
                continue
            model = [entry for entry in model if entry[1] != number]
            if step == "put":
                model.append((now, number))
                deadlines.put(number, now)
            else:
                deadlines.discard(number)
            self.assertEqual(len(deadlines), len(model))
