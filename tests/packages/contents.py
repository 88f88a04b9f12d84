"""What is in the packages, before anybody installs them."""

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

CONFIG = "/etc/recodex/monitor/config.yml"
OWN = re.compile(
    r"/usr/bin/recodex-monitor|/usr/lib/recodex-monitor/.*|/etc/recodex/monitor/config\.yml"
    r"|(/usr)?/lib/systemd/system/recodex-monitor\.(service|socket)"
    r"|/usr/lib/(sysusers|tmpfiles)\.d/recodex-monitor\.conf"
    r"|/usr/share/python3/runtime\.d/recodex-monitor\.rtupdate"
    r"|/usr/share/recodex-monitor/.*"
    r"|/usr/share/(doc|licenses)/recodex-monitor(-[0-9.]+)?/.*"
)
"""The files that a package may have."""

UNWANTED = re.compile(r".*(\.so|\.pyc|/tests?/.*|/__pycache__.*)")
REQUIRED = (
    CONFIG,
    "/usr/bin/recodex-monitor",
    "/usr/lib/recodex-monitor/recodex_monitor/tap.py",
    "/usr/lib/recodex-monitor/txzmq/__init__.py",
    "/usr/lib/sysusers.d/recodex-monitor.conf",
    "/usr/lib/tmpfiles.d/recodex-monitor.conf",
    "/usr/share/recodex-monitor/alerts.yml",
    "/usr/share/recodex-monitor/proxy/nginx.conf",
)
Step = tuple[str, Callable[[], None]]


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def dependencies(deb: Path) -> list[str]:
    """The names of the packages that a DEB depends on, the first where there is a choice."""
    return re.findall(r"(?:^|, *)([a-z0-9.+-]+)", output("dpkg-deb", "-f", str(deb), "Depends"))


def check_files(files: list[str], units: str) -> None:
    """All that is needed is there, in its place, and nothing else."""
    wanted = {*REQUIRED, f"{units}/recodex-monitor.service", f"{units}/recodex-monitor.socket"}
    assert wanted <= set(files), wanted - set(files)
    strange = [one for one in files if not OWN.fullmatch(one) or UNWANTED.fullmatch(one)]
    assert not strange, strange


def check_script(script: str) -> None:
    """A maintainer's script is a shell script, and does what it should."""
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def deb_steps(deb: Path) -> Iterator[Step]:
    """Look into a DEB."""

    def files() -> None:
        lines = output("dpkg-deb", "-c", str(deb)).splitlines()
        assert all(line.split()[1] == "root/root" for line in lines)
        check_files(
            [line.split()[5][1:] for line in lines if line[0] != "d"], "/lib/systemd/system"
        )

    def control() -> None:
        assert output("dpkg-deb", "-f", str(deb), "Architecture") == "all\n"
        assert {"python3", "python3-zmq", "python3-yaml"} <= set(dependencies(deb))

    def scripts() -> None:
        with tempfile.TemporaryDirectory() as folder:
            output("dpkg-deb", "-e", str(deb), folder)
            texts = {one.name: one.read_text() for one in Path(folder).iterdir()}
        assert texts["conffiles"] == f"{CONFIG}\n"
        for name in ("postinst", "prerm", "postrm"):
            check_script(texts[name])
        assert "systemd-sysusers" in texts["postinst"]
        assert "systemd-tmpfiles" in texts["postinst"]
        restarted = re.findall(r"deb-systemd-invoke \$_dh_action (.*?) >", texts["postinst"])
        assert restarted == ["'recodex-monitor.service'"], restarted

    yield "has its files", files
    yield "is for every machine", control
    yield "has its scripts", scripts


def rpm_steps(rpm: Path) -> Iterator[Step]:
    """Look into an RPM."""

    def query(what: str) -> list[str]:
        return output("rpm", "-qp", "--queryformat", what, str(rpm)).splitlines()

    def files() -> None:
        lines = query(r"[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]")
        assert all(line.split()[1] == "root" for line in lines)
        names = [line.split()[2] for line in lines if line[0] != "d"]
        check_files(names, "/usr/lib/systemd/system")
        flags = query(r"[%{FILEFLAGS:fflags} %{FILENAMES}\n]")
        assert f"cn {CONFIG}" in flags

    def header() -> None:
        assert query(r"%{ARCH}\n") == ["noarch"]
        assert {"python3", "python3-zmq", "python3-pyyaml"} <= set(query(r"[%{REQUIRENAME}\n]"))
        assert query(r"[%{PROVIDENAME}\n]") == ["recodex-monitor"]

    def scripts() -> None:
        for name in ("POSTIN", "PREUN", "POSTUN"):
            check_script("\n".join(query(rf"%{{{name}}}\n")))

    yield "has its files", files
    yield "is for every machine", header
    yield "has its scripts", scripts
