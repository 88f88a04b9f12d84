"""Machines: namespaces of network, files, processes and names, which end with their first process.

Each has a copy of this machine's folders in which its programs write, and stand-ins for commands
that need a package manager or an init.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.integration.support import PATIENCE, ROOT

_COPIED = ("/etc", "/var", "/usr/share")
_UNSHARE = ("unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child")

_OVERLAY = """
mount -t tmpfs machine {folder}
for path in {copied}; do
    mkdir -p {folder}$path {folder}/work$path
    layers=lowerdir=$path,upperdir={folder}$path,workdir={folder}/work$path
    mount -t overlay machine -o $layers $path
done
mkdir -p /etc/recodex/monitor /etc/valkey /etc/haproxy /etc/ssl/recodex /var/log/recodex
hostname {name}
ip link set lo up
"""

STAND_INS = {
    "apt": "exit 0",
    "scp": 'cp "{root}/install/proxy/$(basename "$1")" "$2"',
    "recodex-monitor": 'cd /; PYTHONPATH={root} exec {python} -m recodex_monitor "$@"',
    "systemctl": """
        cd /var/lib
        start() {{ setsid "$@" < /dev/null > "/var/log/$(basename "$1").out" 2>&1 & }}
        case "$*" in
            "restart valkey-server") start {valkey} /etc/valkey/valkey.conf ;;
            "restart haproxy") start haproxy -W -db -f /etc/haproxy/haproxy.cfg ;;
            "restart recodex-monitor.socket recodex-monitor.service")
                start recodex-monitor -c /etc/recodex/monitor/config.yml ;;
            daemon-reload | "enable recodex-monitor.socket recodex-monitor.service") ;;
            *) echo "not known here: systemctl $*" >&2; exit 1 ;;
        esac
    """,
}


def missing() -> str | None:
    """Why there can be no machines here; None if there can."""
    if os.geteuid():
        return "needs root"
    if lacking := [one for one in ("ip", "unshare", "nsenter") if not shutil.which(one)]:
        return f"{', '.join(lacking)} is not installed"
    test = [*_UNSHARE, "sh", "-c", "mount -t tmpfs t /mnt && ip link add v0 type veth peer name v1"]
    return (
        None
        if subprocess.run(test, capture_output=True, check=False).returncode == 0
        else ("namespaces cannot be made here")
    )


class Machine:
    """A machine in a network with others.

    Attributes:
        address: in that network.
        enter: the command that runs another one there.
    """

    def __init__(self, folder: Path, name: str, address: str, valkey: str) -> None:
        self.address = address
        self._programs = folder / f"bin-{name}"
        self._programs.mkdir()
        values = {"root": ROOT, "python": sys.executable, "valkey": valkey}
        for program, text in STAND_INS.items():
            file = self._programs / program
            file.write_text(f"#!/bin/sh\n{text.format(**values)}\n")
            file.chmod(0o755)
        self._process = subprocess.Popen(
            [*_UNSHARE, "--mount-proc", "sleep", "infinity"],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._first_process()
        self.enter = ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p"]
        copied = folder / name
        copied.mkdir()
        self.run(_OVERLAY.format(folder=copied, copied=" ".join(_COPIED), name=name))

    def _first_process(self) -> int:
        """The process whose end is that of the machine."""
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        deadline = time.monotonic() + PATIENCE
        while not (found := path.read_text().split()) or "sleep" not in _command(found[0]):
            assert time.monotonic() < deadline, "the namespaces were not made"
            time.sleep(0.01)
        return int(found[0])

    @property
    def _environment(self) -> dict[str, str]:
        # Debian keeps haproxy where only root looks.
        return {**os.environ, "PATH": f"{self._programs}:/usr/sbin:{os.environ['PATH']}"}

    def run(self, script: str) -> str:
        """Run a script there; returns what it prints.

        Raises:
            AssertionError: a command of it failed.
        """
        done = subprocess.run(
            [*self.enter, "sh", "-eu"],
            input=script,
            env=self._environment,
            text=True,
            capture_output=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a program there; its output is a pipe."""
        return subprocess.Popen(
            [*self.enter, *command], env=self._environment, stdout=subprocess.PIPE, text=True
        )

    def lose_power(self) -> None:
        """End everything that runs there, before it can tell anybody."""
        self.run("ip link set eth0 down")
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def remove(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def _command(pid: str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


@contextmanager
def network(folder: Path, addresses: Sequence[str], valkey: str) -> Iterator[list[Machine]]:
    """Machines with these addresses in one network, during the block; the first has the switch."""
    with ExitStack() as stack:
        machines: list[Machine] = []
        for number, address in enumerate(addresses):
            machine = Machine(folder, f"monitor-{number}", address, valkey)
            stack.callback(machine.remove)
            machines.append(machine)
        first, *others = machines
        first.run(
            "ip link add switch type bridge; ip link set switch up\n"
            f"ip address add {first.address}/24 dev switch"
        )
        for number, other in enumerate(others):
            # By this machine's processes: the others are not seen there.
            cable = f"ip link add port{number} type veth peer name eth0 netns {other.pid}"
            subprocess.run(["nsenter", "-t", str(first.pid), "-n", *cable.split()], check=True)
            first.run(f"ip link set port{number} master switch up")
            other.run(f"ip address add {other.address}/24 dev eth0; ip link set eth0 up")
        yield machines


def steps(page: str) -> list[tuple[list[str], str]]:
    """The commands of a page's numbered headings, with the addresses in these."""
    found = []
    for heading, text in re.findall(r"^### \d\. (.*)\n((?:.*\n)*?)(?=##|\Z)", page, re.M):
        for script in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S):
            found.append((re.findall(r"10\.0\.0\.\d+", heading), script))
    return found
