"""A machine with a package of the monitor, and the checks on it."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packages import stand_in
from tests.packages.contents import CONFIG
from tests.packages.machine import Machine

TOP = Path(__file__).parents[2]
CAPTURES = TOP / "tests/integration/captures"
COPIES = "/var/backups/recodex-monitor"
LOG = "/var/log/recodex/monitor.log"
KEPT = ("/var/log/recodex", "/var/lib/recodex-monitor")
"""What stays behind when a package is removed."""

OTHERS = re.compile(
    r"/var/(cache|lib/(apt|dpkg|rpm|systemd)|log)/|/etc/\.?(passwd|group|g?shadow|pwd)"
    r"|/root/\.rpmdb|/usr/share/licenses$"
)
"""What any package leaves behind, also one that makes a user."""


class Packaged:
    """A machine with a package, and the checks on it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.run = machine.run

    def show(self, name: str, unit: str = "recodex-monitor.service") -> str:
        """A property of a unit."""
        return self.run(f"systemctl show --value -p {name} {unit}").strip()

    def pid(self) -> str:
        """The monitor's process id; never 0, since ``kill 0`` would end the process group."""
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
        """A visitor that runs during the block, and must succeed."""
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

    def owns_configuration(self) -> None:
        """Its user alone can read the new configuration, and owns the folder."""
        said = self.run(f"stat -c '%U:%G %a' {CONFIG} {Path(CONFIG).parent}").splitlines()
        assert said == ["recodex:recodex 600", "recodex:recodex 755"], said

    def keeps_owner(self) -> None:
        """The configuration has the owner and mode that the administrator gave it."""
        said = self.run(f"stat -c '%U:%G %a' {CONFIG}")
        assert said == "root:recodex 640\n", said

    def is_sound(self) -> None:
        """The units are hardened, and systemd finds no mistake in them."""
        units = "/lib/systemd/system/recodex-monitor"
        said = self.run(f"systemd-analyze verify {units}.service {units}.socket")
        assert not said, said
        command = f"systemd-analyze security --offline=true --threshold=15 {units}.service"
        print("   ", self.run(command).strip().splitlines()[-1])

    def plays_captures(self) -> None:
        """Clients get what the real broker sent, byte for byte."""
        captures = [str(one) for one in sorted(CAPTURES.glob("*.jsonl"))]
        captures = [one for one in captures if "monitor_restart" not in one]
        assert self.visit("play", *captures).wait(120) == 0

    def tells_status(self) -> None:
        """Its status counts followers and channels."""
        with self.visited("job"):
            self.wait("a follower", lambda: "followers: 1, " in self.show("StatusText"))

    def reloads(self) -> None:
        """A reload reopens the log, and keeps the process and its connections."""
        pid = self.pid()
        with self.visited("job"):
            self.run(f"mv {LOG} {LOG}.old; systemctl reload recodex-monitor")
            self.wait("a new log", lambda: bool(self.run(f"ls {LOG}", check=False)))
        self.wait("the end of it", lambda: self.show("ActiveState") == "active")
        assert self.show("MainPID") == pid

    def restarts(self) -> None:
        """A restart refuses no connection, and the running job goes on."""
        pid = self.pid()
        with self.visited("job"), self.visited("knock"):
            self.run("systemctl restart recodex-monitor")
            time.sleep(1)
        assert self.show("MainPID") != pid

    def survives_a_crash(self) -> None:
        """After a crash it starts again, refuses no connection, and the job goes on."""
        pid = self.pid()
        with self.visited("job"), self.visited("knock"):
            self.run(f"kill -SEGV {pid}")
            self.wait_for_another(pid)

    def is_watched(self) -> None:
        """A monitor that hangs is killed and started again."""
        pid = self.pid()
        with self.visited("job"):
            self.run(f"kill -STOP {pid}")
            self.wait_for_another(pid)
        assert self.show("NRestarts") != "0"

    def refuses_mistakes(self) -> None:
        """With a mistake in the configuration it does not start, and the journal says why."""
        self.run(f"cp -p {CONFIG} /srv/good; sed -i 's/rotations:/rotation:/' {CONFIG}")
        self.run("systemctl restart recodex-monitor", check=False)
        assert self.show("ActiveState") != "active"
        said = self.run("journalctl --no-pager -o cat -u recodex-monitor.service")
        assert "logger.rotation: is not a key; did you mean rotations?" in said, said
        self.run(f"cp -p /srv/good {CONFIG}; systemctl restart recodex-monitor")

    def files(self) -> set[str]:
        """All files on the disk."""
        return set(self.run("find / -xdev -path /srv -prune -o -print").splitlines())

    def has_gone(self, before: set[str]) -> None:
        """Only its log and history are left."""
        assert self.show("ActiveState") == "inactive"
        assert self.show("ActiveState", "recodex-monitor.socket") == "inactive"
        left = {one for one in self.files() - before if not OTHERS.match(one)}
        left -= {one for one in left if one.startswith(KEPT)}
        assert not left, left
        for one in KEPT:
            self.run(f"ls {one}/* > /dev/null")

    def edit(self) -> None:
        """Edit the configuration, as an administrator does."""
        self.run(f"sed -i 's/rotations: 3 /rotations: 4 /' {CONFIG}")
        self.run(f"chown root:recodex {CONFIG}; chmod 640 {CONFIG}")

    def keeps_edits(self) -> None:
        """The configuration still has the administrator's edit."""
        self.run(f"grep 'rotations: 4 ' {CONFIG}")
        self.keeps_owner()

    def changes(self, commands: str, version: str) -> None:
        """Another version replaces it under load, refuses no connection and loses nothing."""
        pid = self.pid()
        with self.visited("load"), self.visited("knock"):
            said = self.run(commands)
            self.wait_for_another(pid)
        self.tells_version(said, version)
        self.keeps_edits()

    @staticmethod
    def tells_version(said: str, version: str) -> None:
        """The documented commands print which version runs."""
        assert f"version    {version}, up for" in said, said
        assert f"version {version} listens on" in said, said

    def has_copies(self) -> None:
        """Complete copies of configuration and history were made, as documented."""
        self.run(f"cmp {COPIES}/config.yml {CONFIG}")
        check = "PRAGMA integrity_check; SELECT count(*) > 0 FROM log"
        said = self.run(f"sqlite3 {COPIES}/history.db '{check}'")
        assert said == "ok\n1\n", said
        self.run(f"rm -r {COPIES}")

    def replaces_original(self, commands: str, version: str) -> None:
        """It replaces the original, and has all that the broker has sent since."""
        stand_in.install(self.machine)
        greeting = "curl -si http://127.0.0.1:4567/"
        self.wait("the original", lambda: "426" in self.run(greeting, check=False))
        with self.visited("takeover"):
            said = self.run(commands)
        self.tells_version(said, version)
        assert self.show("ActiveState", "recodex-monitor.socket") == "active"
        self.run(f"rm {CONFIG}.original")
