"""Autobahn's test suite, whose fuzzing client is the reference for what a WebSocket server must do.

It is a program of Python 2.7, so it lives in a folder of its own beside the environment's packages:
``python -m tests.faults.wstest`` installs it there.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VERSION = "25.10.1"

# It is run with -E, since variables such as PYTHONHOME are meant for the Python of the tests.
FOLDER = Path(sys.prefix) / "wstest"
_READY = FOLDER / "ready"
# addsitedir, since zope.interface needs the .pth file in that folder.
_RUN = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite import wstest"
_RUN += "; wstest.run()"


def python() -> str | None:
    """A Python 2.7 of this machine, or None."""
    kept = sorted(Path.home().glob(".pyenv/versions/2.7.*/bin/python2.7"))
    for found in (shutil.which("python2.7"), *map(str, kept)):
        # What lies in the path may be a shim that runs nothing.
        if found and not subprocess.run([found, "-E", "-c", ""], capture_output=True).returncode:
            return found
    return None


def missing() -> str:
    """Why the suite cannot run here; empty if it can."""
    if _READY.exists():
        return ""
    return "run `make wstest`" if python() else "Autobahn's test suite needs Python 2.7"


def install() -> None:
    """Install the suite, if there is a Python for it."""
    program = python()
    if program is None:
        print("no Python 2.7: the case autobahn will be skipped")
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    command = [program, "-E", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--target", str(FOLDER), f"autobahntestsuite=={VERSION}"]
    # In a folder without packages of ours, which pip would take for installed.
    subprocess.run(command, cwd=Path(sys.prefix), check=True)
    _READY.write_text(program)


def results(url: str, cases: list[str], without: list[str], folder: Path) -> Iterator[Any]:
    """Run the fuzzing client against a server; returns the report of each case.

    Args:
        url: the server's.
        cases: which cases, such as ``"7.*"``.
        without: which of them not.
        folder: where it may write.
    """
    spec = {
        "outdir": str(folder / "reports"),
        "servers": [{"agent": "monitor", "url": url}],
        "cases": cases,
        "exclude-cases": without,
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    command = [
        _READY.read_text(),
        "-E",
        "-c",
        _RUN,
        str(FOLDER),
        "-m",
        "fuzzingclient",
        "-s",
        "spec.json",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    assert not done.returncode, done.stdout[-2000:] + done.stderr[-2000:]
    for report in (folder / "reports").glob("monitor_case_*.json"):
        yield json.loads(report.read_text())


if __name__ == "__main__":
    install()
