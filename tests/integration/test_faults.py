"""Plays the short form of most fault cases as tests; ``make faults`` plays the full form."""

from collections.abc import Callable

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.faults.cases import CASES, Case


class FaultTests(SynchronousTestCase):
    """Every case of the table that takes seconds holds; see docs/reliability.md."""


def _test(one: Case) -> Callable[[FaultTests], None]:
    def test(self: FaultTests) -> None:
        run = one.run(long=False)
        if run.skipped:
            raise SkipTest(run.skipped)
        self.assertEqual(run.problems, [], "\n".join(run.problems))

    test.__doc__ = f"{one.done[0].upper()}{one.done[1:]}."
    return test


for _one in filter(lambda one: one.is_quick, CASES.values()):
    _name = f"test_{_one.name.replace('-', '_')}"
    setattr(FaultTests, _name, _test(_one))
