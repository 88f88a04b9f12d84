"""Tests the packages; see the docstring of ``tests.packages``."""

import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packages import contents, installing, lives, quickstart
from tests.packages.contents import Step
from tests.packages.machine import Machine, make_root
from tests.packages.packaged import KEPT, TOP, Packaged

TOOLS = ("systemd-sysv", "dbus", "curl", "sqlite3")


def make_later(folder: Path) -> None:
    """Build packages of a later version, with another configuration, in folder/dist."""
    installing.copy_tree(folder)
    version = folder / "recodex_monitor/__init__.py"
    version.write_text(re.sub('__version__ = "(.*)"', r'__version__ = "\1.1"', version.read_text()))
    with (folder / "install/config.yml").open("a") as config:
        config.write("# A later version's.\n")
    installing.quietly("make", "-C", str(folder), "deb", "rpm")


def make_wheels(folder: Path, *trees: Path) -> None:
    """Build wheels of trees for the system's Python, and get those of their dependencies."""
    wheel = ("/usr/bin/python3", "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder))
    for tree in trees:
        installing.quietly(*wheel, f"--find-links={folder}", f"{tree}[tools]")


def played(name: str, steps: Iterator[Step]) -> tuple[int, int]:
    """Run steps until one fails; returns how many passed and failed."""
    passed = 0
    for step, take in steps:
        began = time.monotonic()
        try:
            take()
        except Exception:
            traceback.print_exc(file=sys.stdout)
            print(f"{name} {step}: FAILED", flush=True)
            return passed, 1
        passed += 1
        print(f"{name} {step}: ok ({time.monotonic() - began:.1f} s)", flush=True)
    return passed, 0


def all_played(folder: Path) -> Iterator[tuple[int, int]]:
    """Run everything in a folder; yields how many steps passed and failed."""
    deb, rpm = (one_in(TOP / "dist", kind) for kind in ("deb", "rpm"))
    yield played("DEB", contents.deb_steps(deb))
    yield played("RPM", contents.rpm_steps(rpm))
    yield played("Without a package it", installing.steps(folder))
    make_later(folder / "later")
    later_deb, later_rpm = (one_in(folder / "later/dist", kind) for kind in ("deb", "rpm"))
    # Install only what the DEB depends on, to find dependencies that it does not name.
    needed = [*contents.dependencies(deb), *TOOLS, "rpm", "cpio", *quickstart.PACKAGES]
    with booted(folder / "root", needed) as packaged:
        yield played("DEB", lives.deb_steps(packaged, deb, later_deb))
        yield played("The quick start", quickstart.deb_steps(packaged, deb))
        packaged.run(f"rm -r {' '.join(KEPT)}")
        yield played("RPM", lives.rpm_steps(packaged, rpm, later_rpm))
        yield played("The quick start", quickstart.rpm_steps(packaged, rpm))
        yield played("postinst", lives.postinst_steps(packaged))
    with booted(folder / "bare", [*TOOLS, "python3-venv", "supervisor"]) as packaged:
        yield played("DEB", lives.bare_steps(packaged, deb))
        make_wheels(folder / "bare/srv/wheels", folder / "tree", folder / "later")
        yield played("The quick start", quickstart.pip_steps(packaged))
        yield played(
            "pip", lives.pip_steps(packaged, lives.version_of(deb), lives.version_of(later_deb))
        )


@contextmanager
def booted(root: Path, packages: list[str]) -> Iterator[Packaged]:
    """A machine with these packages of the distribution, that runs during the block."""
    make_root(root, packages)
    machine = Machine(root)
    try:
        yield Packaged(machine)
    finally:
        machine.stop()


def one_in(folder: Path, kind: str) -> Path:
    """The package of a kind in a folder."""
    (found,) = folder.glob(f"*.{kind}")
    return found


def main() -> int:
    """Run everything and print how much passed; returns the exit code."""
    # Exit as Ctrl-C does, so that the machine and the folder are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Not in /tmp, which may be in memory: a root takes some hundred megabytes.
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        counts = list(all_played(folder))
    finally:
        shutil.rmtree(folder)
    passed, failed = (sum(column) for column in zip(*counts, strict=True))
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
