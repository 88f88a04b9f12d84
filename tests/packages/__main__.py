"""Plays the packages; see the package's own text."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packages import contents, installing
from tests.packages.contents import Step
from tests.packages.machine import Machine, copy_in, make_root

TOP = Path(__file__).parents[2]
CAPTURES = TOP / "tests/integration/captures"
CONFIG = "/etc/recodex/monitor/config.yml"
LOG = "/var/log/recodex/monitor.log"
KEPT = ("/var/log/recodex", "/var/lib/recodex-monitor")
"""What stays behind when a package is gone."""

OTHERS = re.compile(
    r"/var/(cache|lib/(apt|dpkg|rpm|systemd)|log)/|/etc/\.?(passwd|group|g?shadow|pwd)"
    r"|/root/\.rpmdb|/usr/share/licenses$"
)
"""What installing any package leaves behind, that of a user included."""


class Packaged:
    """A machine with a package, and what is checked there."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.run = machine.run

    def show(self, name: str, unit: str = "recodex-monitor.service") -> str:
        """A property of a unit."""
        return self.run(f"systemctl show --value -p {name} {unit}").strip()

    def pid(self) -> str:
        """The monitor's process; 0 would stand for all processes of a group when it is killed."""
        pid = self.show("MainPID")
        assert int(pid) > 1, self.run("systemctl status recodex-monitor.service", check=False)
        return pid

    def wait(self, what: str, happened: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something has happened."""
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                state = self.run("systemctl status recodex-monitor.service", check=False)
                raise AssertionError(f"{what} did not come: {state}")
            time.sleep(0.2)

    def wait_for_another(self, pid: str) -> None:
        """Wait until a process other than this one runs."""
        self.wait(
            "a new process",
            lambda: self.show("MainPID") not in ("0", pid) and self.show("ActiveState") == "active",
        )

    def visit(self, *what: str) -> "subprocess.Popen[str]":
        """Start the visitor."""
        return self.machine.visit(sys.executable, "-m", "tests.packages.visitor", *what)

    @contextmanager
    def visited(self, *what: str) -> Iterator[None]:
        """The visitor, which must be content, before and after what happens meanwhile."""
        visitor = self.visit(*what)
        assert visitor.stdin is not None
        assert visitor.stdout is not None
        try:
            visitor.stdout.readline()
            yield
            visitor.stdin.write("\n")
            visitor.stdin.close()
            assert visitor.wait(60) == 0, what
        finally:
            visitor.kill()

    def starts(self) -> None:
        """It runs as soon as it is installed, on systemd's socket, as its own user."""
        self.wait("the monitor", lambda: self.show("ActiveState") == "active")
        self.wait("its status", lambda: "followers: 0, channels: 0" in self.show("StatusText"))
        assert self.show("ActiveState", "recodex-monitor.socket") == "active"
        assert self.show("UnitFileState") == "enabled"
        pid = self.pid()
        assert self.run(f"stat -c %U /proc/{pid}").strip() == "recodex"
        self.has_folders()
        assert "listens on 127.0.0.1:4567" in self.run(f"cat {LOG}")

    def has_folders(self) -> None:
        """Its folders are there, and are its user's."""
        owners = self.run(f"stat -c '%U:%G %a' {' '.join(KEPT)}").splitlines()
        assert owners == ["recodex:recodex 755", "recodex:recodex 750"], owners

    def is_sound(self) -> None:
        """The units are as systemd likes them, and hardened."""
        units = "/lib/systemd/system/recodex-monitor"
        said = self.run(f"systemd-analyze verify {units}.service {units}.socket")
        assert not said, said
        command = f"systemd-analyze security --offline=true --threshold=15 {units}.service"
        print("   ", self.run(command).strip().splitlines()[-1])

    def plays_captures(self) -> None:
        """It passes on what the real broker sent, byte for byte."""
        captures = [str(one) for one in sorted(CAPTURES.glob("*.jsonl"))]
        captures = [one for one in captures if "monitor_restart" not in one]
        assert self.visit("play", *captures).wait(120) == 0

    def tells_status(self) -> None:
        """Its status counts followers and channels."""
        with self.visited("job"):
            self.wait("a follower", lambda: "followers: 1, " in self.show("StatusText"), 15)

    def reloads(self) -> None:
        """A reload opens the log anew and keeps the process and its connections."""
        pid = self.pid()
        with self.visited("job"):
            self.run(f"mv {LOG} {LOG}.old; systemctl reload recodex-monitor")
            self.wait("a new log", lambda: bool(self.run(f"ls {LOG}", check=False)))
        self.wait("the end of it", lambda: self.show("ActiveState") == "active")
        assert self.show("MainPID") == pid

    def restarts(self) -> None:
        """A restart refuses nobody, and goes on with the running job."""
        pid = self.pid()
        with self.visited("job"), self.visited("knock"):
            self.run("systemctl restart recodex-monitor")
            time.sleep(1)
        assert self.show("MainPID") != pid

    def survives_a_crash(self) -> None:
        """Whatever kills it, it is there again, refuses nobody, and goes on with the job."""
        pid = self.pid()
        with self.visited("job"), self.visited("knock"):
            self.run(f"kill -SEGV {pid}")
            self.wait_for_another(pid)

    def is_watched(self) -> None:
        """One that hangs is killed and started again."""
        pid = self.pid()
        with self.visited("job"):
            self.run(f"kill -STOP {pid}")
            self.wait_for_another(pid)
        assert self.show("NRestarts") != "0"

    def refuses_mistakes(self) -> None:
        """A configuration with a mistake keeps it from starting, and the journal has why."""
        self.run(f"cp -p {CONFIG} /srv/good; sed -i 's/rotations:/rotation:/' {CONFIG}")
        self.run("systemctl restart recodex-monitor", check=False)
        assert self.show("ActiveState") != "active"
        said = self.run("journalctl --no-pager -o cat -u recodex-monitor.service")
        assert "logger.rotation: is not known, did you mean rotations?" in said, said
        self.run(f"cp -p /srv/good {CONFIG}; systemctl restart recodex-monitor")

    def files(self) -> set[str]:
        """All files that are on the disk."""
        return set(self.run("find / -xdev -path /srv -prune -o -print").splitlines())

    def has_gone(self, before: set[str]) -> None:
        """Nothing is left of it but its log and history."""
        assert self.show("ActiveState") == "inactive"
        assert self.show("ActiveState", "recodex-monitor.socket") == "inactive"
        left = {one for one in self.files() - before if not OTHERS.match(one)}
        left -= {one for one in left if one.startswith(KEPT)}
        assert not left, left
        for one in KEPT:
            self.run(f"ls {one}/* > /dev/null")

    def edit(self) -> None:
        """Change the configuration, as an administrator does."""
        self.run(f"sed -i 's/level: .*/level: \"debug\"/' {CONFIG}")

    def keeps_edits(self) -> None:
        """The configuration is still the administrator's."""
        assert "debug" in self.run(f"grep level: {CONFIG}")

    def is_upgraded(self, command: str) -> None:
        """An upgrade refuses nobody, goes on with the running job, and keeps the configuration."""
        self.edit()
        pid = self.pid()
        with self.visited("job"), self.visited("knock"):
            self.run(command)
            self.wait_for_another(pid)
        self.keeps_edits()


def make_later(folder: Path) -> None:
    """Make the packages of a later version, with another configuration, in folder/dist."""
    installing.copy_tree(folder)
    version = folder / "recodex_monitor/__init__.py"
    version.write_text(re.sub('__version__ = "(.*)"', r'__version__ = "\1.1"', version.read_text()))
    with (folder / "install/config.yml").open("a") as config:
        config.write("# A later version's.\n")
    installing.quietly("make", "-C", str(folder), "deb", "rpm")


def deb_steps(packaged: Packaged, package: Path, later: Path) -> Iterator[Step]:
    """The life of the DEB."""
    run, before = packaged.run, packaged.files()
    first, second = (copy_in(packaged.machine.root, one) for one in (package, later))
    apt = "apt-get -qq -y -o Dpkg::Options::=--force-confold"

    def remove() -> None:
        run(f"{apt} remove recodex-monitor")
        packaged.keeps_edits()
        run("! ls /usr/lib/recodex-monitor /usr/bin/recodex-monitor 2> /dev/null")

    def purge() -> None:
        run(f"{apt} purge recodex-monitor")
        packaged.has_gone(before)

    yield "installs", lambda: print(run(f"{apt} install {first}"), end="")
    yield "starts", packaged.starts
    yield "is sound", packaged.is_sound
    yield "plays captures", packaged.plays_captures
    yield "tells its status", packaged.tells_status
    yield "reloads", packaged.reloads
    yield "restarts", packaged.restarts
    yield "survives a crash", packaged.survives_a_crash
    yield "is watched", packaged.is_watched
    yield "refuses mistakes", packaged.refuses_mistakes
    yield "is upgraded", lambda: packaged.is_upgraded(f"{apt} install {second}")
    yield "is removed", remove
    yield "is purged", purge


def rpm_steps(packaged: Packaged, package: Path, later: Path) -> Iterator[Step]:
    """The life of the RPM, as far as a Debian can have one: its packages have other names."""
    run, before = packaged.run, packaged.files()
    first, second = (copy_in(packaged.machine.root, one) for one in (package, later))

    def install() -> None:
        print(run(f"rpm -U --nodeps {first}"), end="")
        # What is enabled is up to the distribution; that it is started, to the administrator.
        assert packaged.show("UnitFileState") == "enabled"
        run("systemctl start recodex-monitor")

    def upgrade() -> None:
        packaged.is_upgraded(f"rpm -U --nodeps {second}")
        run(f"grep -q later {CONFIG}.rpmnew")

    def erase() -> None:
        run("rpm -e --nodeps recodex-monitor")
        run(f"grep -q debug {CONFIG}.rpmsave")
        run("rm -r /etc/recodex")
        packaged.has_gone(before)

    yield "installs", install
    yield "starts", packaged.starts
    yield "is sound", packaged.is_sound
    yield "plays captures", packaged.plays_captures
    yield "is upgraded", upgrade
    yield "is erased", erase


def postinst_steps(packaged: Packaged) -> Iterator[Step]:
    """What makes user and folders where there is no package."""

    def make() -> None:
        run = packaged.run
        run(f"userdel recodex; rm -rf {' '.join(KEPT)}")
        script = copy_in(packaged.machine.root, TOP / "install/postinst")
        run(script)
        packaged.has_folders()
        first = run(f"stat {' '.join(KEPT)}; getent passwd recodex; getent group recodex")
        run(script)
        second = run(f"stat {' '.join(KEPT)}; getent passwd recodex; getent group recodex")
        times = re.compile("(?m)^(Access: [0-9]|Change:).*")
        assert times.sub("", first) == times.sub("", second), second

    yield "makes user and folders, once", make


def played(name: str, steps: Iterator[Step]) -> tuple[int, int]:
    """Take steps until one fails; returns how many passed and failed."""
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
    """Play everything in a folder."""
    deb, rpm = (one_in(TOP / "dist", kind) for kind in ("deb", "rpm"))
    yield played("DEB", contents.deb_steps(deb))
    yield played("RPM", contents.rpm_steps(rpm))
    yield played("Without a package it", installing.steps(folder))
    make_later(folder / "later")
    later_deb, later_rpm = (one_in(folder / "later/dist", kind) for kind in ("deb", "rpm"))
    root = folder / "root"
    needed = contents.dependencies(deb)
    make_root(root, [*needed, "systemd-sysv", "dbus", "rpm"])
    machine = Machine(root)
    try:
        packaged = Packaged(machine)
        yield played("DEB", deb_steps(packaged, deb, later_deb))
        machine.run(f"rm -r {' '.join(KEPT)}")
        yield played("RPM", rpm_steps(packaged, rpm, later_rpm))
        yield played("postinst", postinst_steps(packaged))
    finally:
        machine.stop()


def one_in(folder: Path, kind: str) -> Path:
    """The package of a kind in a folder."""
    (found,) = folder.glob(f"*.{kind}")
    return found


def main() -> int:
    """Play everything and tell how much passed; returns the exit code."""
    # In a big folder: a root is some hundred megabytes, and /tmp may be in memory.
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
