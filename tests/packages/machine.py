"""A Debian in a folder, booted by its own systemd."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def make_root(root: Path, packages: Iterable[str]) -> None:
    """Install a small Debian of this machine's release, from this machine's package sources."""
    os_release = Path("/etc/os-release").read_text()
    release = re.search(r"^VERSION_CODENAME=(\w+)", os_release, re.MULTILINE)
    assert release is not None, os_release
    word = re.compile(rf"(^|\s){release[1]}(\s|$)", re.MULTILINE)
    places = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").iterdir()]
    places = [one for one in places if one.suffix in (".list", ".sources") and one.exists()]
    sources = [str(one) for one in places if word.search(one.read_text())]
    include = f"--include={','.join(packages)}"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", include, release[1], str(root)]
    subprocess.run([*command, *sources], check=True)


class Machine:
    """Runs a root until it is stopped; its only network is its own loopback."""

    def __init__(self, root: Path) -> None:
        """Boot.

        Args:
            root: the folder with the system.
        """
        self.root = root
        self._name = f"recodex-{os.getpid()}"
        self._cgroups = [one / self._name for one in self._hierarchies()]
        enter = "".join(f"mkdir {one}; echo $$ > {one}/cgroup.procs; " for one in self._cgroups)
        nspawn = (
            f"exec systemd-nspawn --directory={root} --machine={self._name} --register=no "
            "--keep-unit --private-network --boot --console=pipe --link-journal=no "
            "systemd.unit=multi-user.target"
        )
        self._console = (root.parent / "console.log").open("wb")
        self._nspawn = subprocess.Popen(
            ["sh", "-c", enter + nspawn],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
        )
        self._init = self._wait_for_init()

    @staticmethod
    def _hierarchies() -> list[Path]:
        """The folders of systemd's cgroups: one, or two where version 1 is mounted, too."""
        return [one for one in (_CGROUPS / "systemd", _CGROUPS / "unified") if one.exists()]

    def _wait_for_init(self) -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._nspawn.poll() is None, self._console.name
            found = subprocess.run(
                ["pgrep", "--parent", str(self._nspawn.pid)], capture_output=True, text=True
            ).stdout.split()
            if found:
                self._init = int(found[0])
                if self.run("systemctl is-active multi-user.target", check=False) == "active\n":
                    return self._init
            time.sleep(0.2)
        raise AssertionError(f"no boot in a minute, see {self._console.name}")

    def run(self, command: str, *, check: bool = True) -> str:
        """Run a shell command in it; returns its output.

        Args:
            command: for its shell.
            check: a failure is an error.
        """
        inside = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        inside += ["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "sh", "-c", command]
        done = subprocess.run(
            ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", "-C", *inside],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and done.returncode:
            raise AssertionError(f"{command!r} ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def visit(self, *command: str) -> "subprocess.Popen[str]":
        """Start a program of the host inside the machine's network."""
        return subprocess.Popen(
            ["nsenter", "-t", str(self._init), "-n", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> None:
        """Shut it down."""
        self._nspawn.terminate()
        try:
            self._nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._console.close()
        for one in self._cgroups:
            # Remove the innermost first. The files in a cgroup cannot be removed.
            for folder, _, _ in os.walk(one, topdown=False):
                os.rmdir(folder)


def copy_in(root: Path, file: Path) -> str:
    """Copy a file into a root; returns its path there."""
    shutil.copy(file, root / "srv")
    return f"/srv/{file.name}"
