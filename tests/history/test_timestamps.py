"""Moments and the time between them."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.history.timestamps import age, moment


class AgeTests(SynchronousTestCase):
    """The seconds between two moments."""

    def test_now(self) -> None:
        """Between two moments of now there is almost no time."""
        self.assertLess(age(moment(), moment()), 5)

    def test_wall_clock_is_set(self) -> None:
        """Within one boot the wall clock does not count."""
        for wall in (0, 1000, 10**9):
            self.assertEqual(age("1000 50 a", f"{wall} 57.5 a"), 7.5)

    def test_another_run(self) -> None:
        """After a reboot the wall clock counts, but no age is negative."""
        self.assertEqual(age("1000 50 a", "1007.5 3 b"), 7.5)
        self.assertEqual(age("1000 50 a", "900 3 b"), 0)

    def test_runs_without_a_name(self) -> None:
        """Where boots have no ids the wall clock counts."""
        self.assertEqual(age("1000 50 ", "1007 3 "), 7)
