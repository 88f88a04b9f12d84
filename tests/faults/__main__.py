"""Plays the cases against real monitors and prints the table; see docs/reliability.md.

The exit code is 1 if any case failed.
"""

import argparse
import signal
import sys
from pathlib import Path

from tests.faults.cases import CASES, Case
from tests.faults.cluster_soak import soak as cluster_soak
from tests.faults.soak import soak
from tests.faults.table import HEADINGS, Run, markdown, plain, row


def main() -> int:
    """Play the cases that the command line asks for; returns the exit code."""
    arguments = _parser().parse_args()
    # Exit as Ctrl-C does, so that processes and iptables rules are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(plain(HEADINGS), flush=True)
    if arguments.soak:
        lines = (cluster_soak if arguments.cluster else soak)(arguments.minutes * 60)
        for line in lines:
            _show(*line)
    else:
        lines = []
        for name in arguments.only or list(CASES):
            lines.append((CASES[name], CASES[name].run(long=not arguments.short)))
            _show(*lines[-1])
    if arguments.markdown:
        arguments.markdown.write_text(markdown(lines))
    failed = [one.name for one, run in lines if not run.ok]
    print(f"{len(lines)} cases, failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


def _show(one: Case, run: Run) -> None:
    print(plain(row(one, run)), flush=True)
    for problem in run.problems:
        print(f"    {problem}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=list(CASES), help="one case; repeatable"
    )
    parser.add_argument(
        "--short", action="store_true", help="with the smaller amounts that `make test` uses"
    )
    parser.add_argument("--soak", action="store_true", help="play faults in turn on one service")
    parser.add_argument("--cluster", action="store_true", help="soak a cluster instead")
    parser.add_argument("--minutes", type=float, default=10, help="how long to soak (%(default)s)")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the table to FILE"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
