"""Plays the packages; see the package's own text."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packages import contents, installing, stand_in
from tests.packages.contents import Step
from tests.packages.machine import Machine, copy_in, make_root

TOP = Path(__file__).parents[2]
CAPTURES = TOP / "tests/integration/captures"
OPERATIONS = TOP / "docs/operations.md"
CONFIG = "/etc/recodex/monitor/config.yml"
COPIES = "/var/backups/recodex-monitor"
LOG = "/var/log/recodex/monitor.log"
TOOLS = ("systemd-sysv", "dbus", "curl", "sqlite3")
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
            assert visitor.stdout.readline(), what
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
        self.run(f"sed -i 's/rotations: 3 /rotations: 4 /' {CONFIG}")

    def keeps_edits(self) -> None:
        """The configuration is still the administrator's."""
        self.run(f"grep 'rotations: 4 ' {CONFIG}")

    def changes(self, commands: str, version: str) -> None:
        """Another version takes its place under load: it refuses nobody, and loses nothing."""
        pid = self.pid()
        with self.visited("load"), self.visited("knock"):
            said = self.run(commands)
            self.wait_for_another(pid)
        self.tells_version(said, version)
        self.keeps_edits()

    @staticmethod
    def tells_version(said: str, version: str) -> None:
        """The documented commands tell which version runs."""
        assert f"version    {version}, up for" in said, said
        assert f"version {version} listens on" in said, said

    def has_copies(self) -> None:
        """Configuration and history were copied as documented, whole."""
        self.run(f"cmp {COPIES}/config.yml {CONFIG}")
        check = "PRAGMA integrity_check; SELECT count(*) > 0 FROM log"
        said = self.run(f"sqlite3 {COPIES}/history.db '{check}'")
        assert said == "ok\n1\n", said
        self.run(f"rm -r {COPIES}")

    def replaces_original(self, commands: str, version: str) -> None:
        """It takes the place of the original, and has all that the broker sent since."""
        stand_in.install(self.machine)
        greeting = "curl -si http://127.0.0.1:4567/"
        self.wait("the original", lambda: "426" in self.run(greeting, check=False))
        with self.visited("takeover"):
            said = self.run(commands)
        self.tells_version(said, version)
        assert self.show("ActiveState", "recodex-monitor.socket") == "active"
        self.run(f"rm {CONFIG}.original")


def documented(heading: str, lead: str, which: str) -> str:
    """Commands of docs/operations.md, which every failure ends.

    Args:
        heading: of their section.
        lead: how the line before them ends.
        which: the package or version, in place of the one that stands there.
    """
    (section,) = re.findall(rf"^### {heading}(\n.*?)^##", OPERATIONS.read_text(), re.M | re.S)
    (commands,) = re.findall(rf"{lead}\n\n```sh\n(.*?)^```$", section, re.M | re.S)
    commands, count = re.subn("^(new|old|version)=.*", rf"\1={which}", commands, flags=re.M)
    assert count == 1, commands
    return f"set -e\n{commands}"


def version_of(package: Path) -> str:
    """The version of a DEB or RPM, by its name."""
    return re.split("[-_]", package.stem)[2]


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
    run = packaged.run
    # The answer to dpkg's question about an edited configuration, for which there is no terminal.
    run("echo force-confold > /etc/dpkg/dpkg.cfg.d/answer")
    before = packaged.files()
    first, second = (copy_in(packaged.machine.root, one) for one in (package, later))
    upgrade = documented("With the DEB", "", second)
    back = documented("The way back", "With the DEB:", first)
    replace = documented("From the original monitor", "at once.", first)
    apt = "apt-get -qq -y"

    def is_upgraded() -> None:
        packaged.edit()
        packaged.changes(upgrade, version_of(later))
        run(f"grep -q later {CONFIG}.dpkg-dist")
        packaged.has_copies()

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
    yield "is upgraded", is_upgraded
    yield "is taken back", lambda: packaged.changes(back, version_of(package))
    yield "is removed", remove
    yield "is purged", purge
    yield "replaces the original", lambda: packaged.replaces_original(replace, version_of(package))
    yield "is purged again", purge


def rpm_steps(packaged: Packaged, package: Path, later: Path) -> Iterator[Step]:
    """The life of the RPM, as far as a Debian can have one: its packages have other names."""
    run, before = packaged.run, packaged.files()
    first, second = (copy_in(packaged.machine.root, one) for one in (package, later))
    # Debian's packages have other names than those that the RPM needs.
    rpm = 'rpm() { command rpm --nodeps "$@"; }\n'
    upgrade = rpm + documented("With the RPM", "", second)
    back = rpm + documented("The way back", "With the RPM:", first)

    def install() -> None:
        print(run(f"rpm -U --nodeps {first}"), end="")
        # What is enabled is up to the distribution; that it is started, to the administrator.
        assert packaged.show("UnitFileState") == "enabled"
        run("systemctl start recodex-monitor")

    def is_upgraded() -> None:
        packaged.edit()
        packaged.changes(upgrade, version_of(later))
        run(f"grep -q later {CONFIG}.rpmnew")
        packaged.has_copies()

    def erase() -> None:
        run("rpm -e --nodeps recodex-monitor")
        run(f"grep 'rotations: 4 ' {CONFIG}.rpmsave")
        run("rm -r /etc/recodex")
        packaged.has_gone(before)

    yield "installs", install
    yield "starts", packaged.starts
    yield "is sound", packaged.is_sound
    yield "plays captures", packaged.plays_captures
    yield "is upgraded", is_upgraded
    yield "is taken back", lambda: packaged.changes(back, version_of(package))
    yield "is erased", erase


def pip_steps(packaged: Packaged, first: str, second: str) -> Iterator[Step]:
    """Environments made by pip, and run by supervisor, which keeps no port open.

    Args:
        packaged: the machine, with the wheels in /srv/wheels.
        first: the version that is there.
        second: the one to which it is upgraded.
    """
    # There are no registries.
    pip = "cd /srv/wheels; export PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels\n"
    heading = "With pip, under supervisor"
    install = pip + documented(heading, "is installed so:", first)
    upgrade = pip + documented(heading, "and each later one so:", second)
    back = documented("The way back", "With pip:", first)

    def is_installed() -> None:
        packaged.run("systemctl start supervisor")
        packaged.run(install)
        greeting = "curl -si http://127.0.0.1:4567/"
        packaged.wait("it", lambda: "200" in packaged.run(greeting, check=False))

    def changes(commands: str, version: str) -> None:
        with packaged.visited("load", "refusing"):
            said = packaged.run(commands)
        packaged.tells_version(said, version)

    def is_upgraded() -> None:
        changes(upgrade, second)
        packaged.has_copies()

    yield "is installed", is_installed
    yield "is upgraded", is_upgraded
    yield "is taken back", lambda: changes(back, first)


def make_wheels(folder: Path, *trees: Path) -> None:
    """Make wheels of trees, for the system's Python, and get those of all that they need."""
    wheel = ("/usr/bin/python3", "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder))
    for tree in trees:
        installing.quietly(*wheel, f"--find-links={folder}", str(tree))


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
    # What only others need is not there: it could be what a package lacks.
    needed = [*contents.dependencies(deb), *TOOLS, "rpm", "cpio"]
    with booted(folder / "root", needed) as packaged:
        yield played("DEB", deb_steps(packaged, deb, later_deb))
        packaged.run(f"rm -r {' '.join(KEPT)}")
        yield played("RPM", rpm_steps(packaged, rpm, later_rpm))
        yield played("postinst", postinst_steps(packaged))
    with booted(folder / "bare", [*TOOLS, "python3-venv", "supervisor"]) as packaged:
        make_wheels(folder / "bare/srv/wheels", folder / "tree", folder / "later")
        yield played("pip", pip_steps(packaged, version_of(deb), version_of(later_deb)))


@contextmanager
def booted(root: Path, packages: list[str]) -> Iterator[Packaged]:
    """A machine with these packages of the distribution, that runs meanwhile."""
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
    """Play everything and tell how much passed; returns the exit code."""
    # As for Ctrl-C: machine and folder are taken away on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
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
