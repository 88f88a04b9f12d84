"""Runs tests in parallel: ``python -m tests [NAME ...]``, without a name all.

A NAME is "unit", "integration", or whatever trial takes. Trial's worker processes run the tests,
each in a folder of its own, so a test may use nothing that another could use at the same time:
ports come from ``tests.integration.support.free_ports``, files lie in folders of the test's own.
A few integration tests that fail, and nothing else, are run once more, alone: on a busy machine a
browser or a proxy may have been too slow for a test's patience. What fails then has failed, and
what passes is named, since it may show a fault that is rare. The slowest tests and how many passed
and failed are printed at the end. The exit code is 1 if any test failed.
"""

import argparse
import os
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Protocol
from unittest import TestSuite

from twisted.internet.task import react
from twisted.trial._dist.distreporter import DistReporter
from twisted.trial._dist.disttrial import DistTrialRunner
from twisted.trial.reporter import TextReporter
from twisted.trial.runner import TestLoader


class Test(Protocol):
    """What a runner knows of a test."""

    def id(self) -> str:
        """The test's full name."""


class TimedReporter(DistReporter):
    """Notes how long each test takes.

    Trial's own timing reporter would not: it hears of a worker's test only at the test's end.
    """

    seconds: ClassVar[dict[str, float]] = {}
    """The seconds that each test took."""

    def startTest(self, test: Test) -> None:
        """A worker begins a test."""
        self.seconds[test.id()] = -time.monotonic()
        super().startTest(test)

    def stopTest(self, test: Test) -> None:
        """A worker has ended a test."""
        self.seconds[test.id()] += time.monotonic()
        super().stopTest(test)


class Runner(DistTrialRunner):
    """Trial's runner with several workers, with our reporter."""

    _distReporterFactory = TimedReporter


def flat(suite: Iterable[Any]) -> Iterator[Any]:
    """All single tests of a suite."""
    for one in suite:
        if isinstance(one, TestSuite):
            yield from flat(one)
        else:
            yield one


def chosen(names: list[str]) -> list[Any]:
    """The tests of these names, in the order in which they should start.

    Unit tests come last: they are short, so that all workers end at about the same time. Before
    them, tests that mostly wait and tests that mostly compute are mixed, the same way every time.
    """
    found: dict[str, Any] = {}
    for name in names or ["tests"]:
        top = "tests" if name in KINDS else name
        tests = flat(TestLoader().loadByNames([top], recurse=True))
        found |= {one.id(): one for one in tests if name not in KINDS or kind(one) == name}
    return sorted(
        found.values(), key=lambda one: (kind(one) == "unit", zlib.crc32(one.id().encode()))
    )


KINDS = ("unit", "integration")


def kind(test: Test) -> str:
    """Which of the kinds a test is of."""
    return KINDS[test.id().startswith("tests.integration.")]


def slowest(seconds: dict[str, float], count: int) -> Iterator[str]:
    """Lines that tell of the slowest tests."""
    for name in sorted(seconds, key=seconds.__getitem__, reverse=True)[:count]:
        yield f"{seconds[name]:8.2f} s  {name.removeprefix('tests.')}"


async def run(reactor: object, names: list[str], jobs: int | None, count: int) -> None:
    """Run tests in parallel, a few that fail again alone; ends with an exit code.

    Args:
        reactor: the running reactor.
        names: which tests.
        jobs: worker processes; by the kinds of the tests, if there is no number.
        count: how many of the slowest tests to print.
    """
    tests = chosen(names)
    failed = await failures(jobs or workers(tests), tests)
    if failed and is_worth_another_run(failed):
        print(f"\nRun again, alone: {', '.join(one.id() for one in failed)}")
        failed = await failures(1, failed)
    print(f"\nThe slowest of {len(TimedReporter.seconds)} tests:")
    print("\n".join(slowest(TimedReporter.seconds, count)))
    print(f"\n{len(tests) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


async def failures(number: int, tests: list[Any]) -> list[Any]:
    """Run tests with a number of workers; those that failed, each once."""
    result = (await Runner(TextReporter, number, []).runAsync(TestSuite(tests))).original
    return list({test.id(): test for test, _ in result.errors + result.failures}.values())


def is_worth_another_run(failed: list[Any]) -> bool:
    """Whether it may have been the machine: a few tests that need real time and programs."""
    return len(failed) <= 3 and all(kind(one) == "integration" for one in failed)


def workers(tests: Iterable[Test]) -> int:
    """How many workers to run tests with: one for each core, more if the tests mostly wait."""
    waits = any(kind(one) == "integration" for one in tests)
    return (os.cpu_count() or 1) + 2 * waits


def main() -> None:
    """Run the tests that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to run; default: all")
    parser.add_argument("--jobs", type=int, help="worker processes; default: by what is run")
    parser.add_argument("--slowest", type=int, default=10, help="how many to name (%(default)s)")
    arguments = parser.parse_args()
    react(run, (arguments.names, arguments.jobs, arguments.slowest))


if __name__ == "__main__":
    main()
