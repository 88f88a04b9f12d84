"""Runs the benchmark: ``python -m benchmarks``, from the project's root.

Each scenario is played in rounds. Each round plays it against a fresh process of every contestant
in turn, so that other work on the machine affects all of them alike.
"""

import argparse
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import comparison, contestants, nchan, report
from .chart import write_chart
from .contestants import OURS, Contestant, ContestantFailed
from .native import MissingTool, build
from .play import playing
from .results import Case, failed
from .scenarios import SCENARIOS, Scenario, Sizes

# Machines that run checks are noisy: a quick run fails only beyond so many times a bound.
QUICK_TOLERANCE = 2.0
QUICK_RETRIES = 2


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    add = parser.add_argument
    add("--quick", action="store_true", help="a small run; fails where ours is far above a bound")
    add("--scale", action="store_true", help="show how the figures grow, and delays under load")
    add("--cluster", action="store_true", help="measure nodes that share an engine, and one alone")
    add("--scenario", action="append", choices=names, help="play only this one (repeatable)")
    add("--rounds", type=int, help="rounds of each scenario (3; with --quick 1)")
    add("--only", help="contestants to measure, separated by commas")
    add("--against", action="append", default=[], metavar="MONITOR", help=AGAINST_HELP)
    add("--deflate", action="store_true", help="also measure the original with permessage-deflate")
    add("--node-ws", type=Path, metavar="FOLDER", help=NODE_HELP)
    add("--output", type=Path, default=Path("benchmarks/results"), help="folder for JSON and SVG")
    return parser.parse_args(arguments)


AGAINST_HELP = (
    "another monitor (repeatable): the wheel or the source folder of another version of this "
    "one, which is compared with ours row by row; or a command in which {ws} and {zmq} stand "
    "for its ports and {config} for the path of a configuration file"
)
NODE_HELP = "also measure Node's ws: the folder where `npm install ws` was run (or NODE_WS=FOLDER)"


def choose_contestants(options: argparse.Namespace, folder: Path) -> list[Contestant]:
    """Return those that can run here and were asked for; say which cannot run.

    Args:
        options: those of the command line.
        folder: where wheels may be unpacked.
    """
    found = [contestants.limit(), *map(contestants.ours, contestants.VARIANTS)]
    found.append(contestants.original())
    if options.deflate:
        found.append(contestants.original(deflate=True))
    missing = nchan.nchan_missing()
    if missing is None:
        found.append(nchan.nchan())
    else:
        say(f"not measured: {missing}")
    node_folder = options.node_ws or os.environ.get("NODE_WS")
    if node_folder:
        found.append(contestants.node_ws(Path(node_folder)))
    for name, monitor in zip(_other_names(options), options.against, strict=True):
        found += _others(monitor, name, folder)
    return _named(found, options.only)


def _other_names(options: argparse.Namespace) -> list[str]:
    return [f"other-{index + 1}" if index else "other" for index in range(len(options.against))]


def _others(monitor: str, name: str, folder: Path) -> list[Contestant]:
    """Return the contestants of one `--against`."""
    if Path(monitor).exists():
        return contestants.earlier(Path(monitor), name, folder)
    return [contestants.other(monitor, name)]


def _named(found: Sequence[Contestant], only: str | None) -> list[Contestant]:
    """Return those that `--only` names, all if it is not given."""
    names = only.split(",") if only else [each.name for each in found]
    if unknown := set(names).difference(each.name for each in found):
        raise MissingTool(f"no such contestant here: {', '.join(sorted(unknown))}")
    return [each for each in found if each.name in names]


def choose_cases(options: argparse.Namespace) -> list[list[Case]]:
    """Return what is to be played, with the cases that show the growth of one scenario together."""
    return [
        [Case(scenario, sizes) for sizes in _sizes(scenario, options)]
        for scenario in SCENARIOS
        if _wanted(scenario, options)
    ]


def _wanted(scenario: Scenario, options: argparse.Namespace) -> bool:
    if options.scenario:
        return scenario.name in options.scenario
    return bool(scenario.grows) or options.scale


def _sizes(scenario: Scenario, options: argparse.Namespace) -> Iterator[Sizes]:
    if options.scale and scenario.grows:
        yield from scenario.points()
    else:
        yield scenario.quick if options.quick else scenario.full


def play_case(case: Case, chosen: Sequence[Contestant], rounds: int) -> None:
    """Play a case in rounds against all contestants that play it, and keep their results."""
    name = case.scenario.name
    players = [each for each in chosen if name in (each.scenarios or (name,))]
    players = [each for each in players if each.name in (case.scenario.only or (each.name,))]
    for index in range(rounds):
        for contestant in players:
            say(f"{name} {dict(case.sizes)} {index + 1}/{rounds} {contestant.name}")
            try:
                with playing(contestant) as play:
                    case.add(contestant.name, case.scenario.play(play, **case.sizes))
            except ContestantFailed as error:
                case.errors[contestant.name] = str(error)
                say(f"{contestant.name} failed: {error}")


def run(options: argparse.Namespace, folder: Path) -> int:
    """Play everything, print and write the results; return the exit code."""
    chosen, groups = choose_contestants(options, folder), choose_cases(options)
    build("load")
    rounds = options.rounds or (1 if options.quick else 3)
    for case in (case for group in groups for case in group):
        play_case(case, chosen, rounds)
        if options.quick:
            _retry(case, chosen)
    write(options, groups, [contestant.name for contestant in chosen])
    tolerance = QUICK_TOLERANCE if options.quick else float("inf")
    return int(any(failed(case, tolerance) for group in groups for case in group))


def run_cluster(options: argparse.Namespace) -> int:
    """Measure a cluster, print and write the results; return the exit code."""
    from . import cluster  # It needs what the monitor alone does not.

    rounds = options.rounds or (1 if options.quick else 5)
    try:
        figures = cluster.run(options.output, quick=options.quick, rounds=rounds)
    except ContestantFailed as error:
        say(f"failed: {error}")
        return 1
    print(figures.table())
    return int(bool(figures.missed(QUICK_TOLERANCE if options.quick else float("inf"))))


def _retry(case: Case, chosen: Sequence[Contestant]) -> None:
    """Give a case that failed two more rounds: a single disturbance proves nothing."""
    if OURS not in case.errors and failed(case, QUICK_TOLERANCE):
        play_case(case, chosen, QUICK_RETRIES)


def write(
    options: argparse.Namespace, groups: Sequence[Sequence[Case]], names: Sequence[str]
) -> None:
    """Print the tables, and write the JSON and the chart into the output folder."""
    cases = [case for group in groups for case in group]
    single = [group[0] for group in groups if len(group) == 1]
    growing = [group for group in groups if len(group) > 1]
    if single:
        print(report.table(single, names))
        for name in _other_names(options):
            print(comparison.table(single, name))
    if growing:
        print(report.growth_table(growing, names))
    print(report.errors(cases), end="")
    kind = "scale" if options.scale else "quick" if options.quick else "full"
    options.output.mkdir(parents=True, exist_ok=True)
    report.write_json(options.output / f"{kind}.json", cases)
    if not options.scale:
        write_chart(options.output / f"{kind}.svg", single, names)


def say(text: str) -> None:
    """Report progress on standard error, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Run with the arguments of the command line."""
    options = parse_arguments()
    # As with Ctrl-C, everything that was started is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (contestants.file_limit(), most))
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            return run_cluster(options) if options.cluster else run(options, Path(folder))
    except MissingTool as error:
        say(f"cannot run: {error}")
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
