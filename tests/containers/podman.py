"""Images and containers, as ``podman`` and ``buildah`` make them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
BASE, IMAGE = "localhost/recodex-monitor-base:test", "localhost/recodex-monitor:test"
PODMAN = ("podman", "--cgroup-manager", "cgroupfs")
PACKAGES = "python3,python3-venv,ca-certificates,haproxy,prometheus,redis-server"
DEADLINE = 60.0

# A machine without CAP_SYS_RESOURCE cannot raise limits, as podman's defaults would.
LIMITS = ("--ulimit", "nofile=16500:16500", "--ulimit", "nproc=4096:4096", "--cgroups=disabled")

COMMANDS = {
    "valkey": ("redis-server", "--appendonly", "yes", "--protected-mode", "no"),
    "haproxy": ("haproxy", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"),
    "prometheus": ("prometheus", "--config.file=/etc/prometheus/prometheus.yml"),
}
"""What Debian's packages run for services whose images are not ours."""


def in_namespace() -> None:
    """Go on in a mount namespace with the cgroups that crun needs, if this is not it."""
    if "TESTS_CONTAINERS" not in os.environ:
        mount = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-m"]
        os.environ["TESTS_CONTAINERS"] = "1"
        os.execvp(command[0], [*command, "tests.containers"])


def run(*command: str) -> str:
    """Run a command; returns what it printed, also as errors.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        cwd=TOP,
    )
    assert done.returncode == 0, f"{command} failed: {done.stdout}"
    return done.stdout


def podman(*arguments: str) -> str:
    """Run podman; see ``run``."""
    return run(*PODMAN, *arguments)


def succeeds(*arguments: str) -> bool:
    """Whether podman does it."""
    try:
        podman(*arguments)
    except AssertionError:
        return False
    return True


def build(folder: Path) -> None:
    """Build the base, unless there is one, and on it the image."""
    wheels = folder / "wheels"
    if not succeeds("image", "exists", BASE):
        root = str(folder / "base.tar")
        make = ("mmdebstrap", "--quiet", "--variant=minbase")
        run(*make, f"--include={PACKAGES}", "bookworm", root)
        podman("import", root, BASE)
    pip = ("/usr/bin/python3", "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels))
    run(*pip, ".[tls,cluster,access,tools]", "setuptools", "wheel")
    run(
        *("buildah", "build", "--isolation", "chroot", "--format", "docker", "--pull-never"),
        *("--build-arg", f"BASE={BASE}"),
        *("--build-arg", "PIP_ARGS=--no-index --find-links /wheels"),
        *("-v", f"{wheels}:/wheels:ro", "-t", IMAGE, "."),
    )


def services() -> dict[str, Any]:
    """The services of compose.yml, by name."""
    found: dict[str, Any] = yaml.safe_load((TOP / "compose.yml").read_text())["services"]
    return found


def start(name: str, prefix: str, ports: dict[int, int], *options: str) -> str:
    """Start a service of compose.yml; returns the name of its container.

    Args:
        name: the service's.
        prefix: of the names of containers, volumes and networks.
        ports: of this machine, by those in the container.
        options: more of them, for podman.
    """
    service, container = services()[name], f"{prefix}-{name}"
    command = ["run", "--detach", "--name", container, *LIMITS, "--network-alias", name, *options]
    command += [f"--publish=127.0.0.1:{host}:{port}" for port, host in ports.items()]
    command += [f"--cap-drop={one}" for one in service.get("cap_drop", ())]
    command += [f"--security-opt={one}" for one in service.get("security_opt", ())]
    command += ["--read-only"] if service.get("read_only") else []
    for one in service.get("volumes", ()):
        source, _, target = one.partition(":")
        source = str(TOP / source) if source.startswith(".") else f"{prefix}-{source}"
        command.append(f"--volume={source}:{target}")
    for variable, value in service.get("environment", {}).items():
        # As compose does it: ${NAME:-default}.
        text = value.partition(":-")[2].rstrip("}") if value.startswith("${") else value
        command.append(f"--env={variable}={text}")
    podman(*command, IMAGE if "build" in service else BASE, *COMMANDS.get(name, ()))
    return container


def wait(what: str, is_there: Callable[[], object]) -> None:
    """Wait until something is there."""
    deadline = time.monotonic() + DEADLINE
    while not is_there():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE:.0f} s"
        time.sleep(0.1)


def remove(prefix: str) -> None:
    """Remove the containers, volumes and networks of a prefix."""
    for kind, names in (
        ("container", "{{.Names}}"),
        ("volume", "{{.Name}}"),
        ("network", "{{.Name}}"),
    ):
        listed = ["ls", *(["--all"] if kind == "container" else []), f"--format={names}"]
        for one in podman(kind, *listed).split():
            if one.startswith(prefix):
                volumes = ["--volumes"] if kind == "container" else []
                podman(kind, "rm", "--force", *volumes, one)
