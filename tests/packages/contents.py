"""Checks what is in the packages, without installing them."""

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
    r"|/usr/share/lintian/overrides/recodex-monitor"
    r"|/usr/share/recodex-monitor/.*"
    r"|/usr/share/man/man(1/recodex-monitor\.1|5/recodex-monitor\.yml\.5)(\.gz)?"
    r"|/usr/share/bash-completion/completions/recodex-monitor"
    r"|/usr/share/zsh/(site-functions|vendor-completions)/_recodex-monitor"
    r"|/usr/share/fish/vendor_completions\.d/recodex-monitor\.fish"
    r"|/usr/share/(doc|licenses)/recodex-monitor(-[0-9.]+)?/.*"
)
"""The files that a package may have."""

UNWANTED = re.compile(
    r".*(\.so|\.pyc|/tests?/.*|/__pycache__.*|/\.[^/]*|/newsfragments/.*"
    r"|/twisted/(conch|mail|names|trial|words)/.*)"
)
_TREE = Path(__file__).parents[2]
_MODULES = (
    str(one.relative_to(_TREE))
    for one in (_TREE / "recodex_monitor").rglob("*")
    if one.is_file() and one.suffix != ".pyc"
)
REQUIRED = (
    CONFIG,
    "/usr/bin/recodex-monitor",
    *(f"/usr/lib/recodex-monitor/{module}" for module in _MODULES),
    "/usr/lib/recodex-monitor/txzmq/__init__.py",
    "/usr/lib/sysusers.d/recodex-monitor.conf",
    "/usr/lib/tmpfiles.d/recodex-monitor.conf",
    "/usr/share/recodex-monitor/alerts.yml",
    "/usr/share/recodex-monitor/proxy/nginx.conf",
    "/usr/share/recodex-monitor/logrotate.conf",
    "/usr/share/bash-completion/completions/recodex-monitor",
    "/usr/share/fish/vendor_completions.d/recodex-monitor.fish",
)
Step = tuple[str, Callable[[], None]]


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def dependencies(deb: Path) -> list[str]:
    """The names of the packages that a DEB depends on, the first where there is a choice."""
    return re.findall(r"(?:^|, *)([a-z0-9.+-]+)", output("dpkg-deb", "-f", str(deb), "Depends"))


def check_files(files: list[str], units: str) -> None:
    """Every file that is needed is in its place, and no other file is there."""
    wanted = {*REQUIRED, f"{units}/recodex-monitor.service", f"{units}/recodex-monitor.socket"}
    assert wanted <= set(files), wanted - set(files)
    for page in ("man1/recodex-monitor.1", "man5/recodex-monitor.yml.5"):
        assert any(one.startswith(f"/usr/share/man/{page}") for one in files), page
    strange = [one for one in files if not OWN.fullmatch(one) or UNWANTED.fullmatch(one)]
    assert not strange, strange


def check_script(script: str) -> None:
    """A maintainer's script has no syntax error."""
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def deb_steps(deb: Path) -> Iterator[Step]:
    """The checks of a DEB."""

    def files() -> None:
        lines = output("dpkg-deb", "-c", str(deb)).splitlines()
        assert all(line.split()[1] == "root/root" for line in lines)
        assert [line[:10] for line in lines if line.endswith(CONFIG)] == ["-rw-------"]
        check_files(
            [line.split()[5][1:] for line in lines if line[0] != "d"], "/lib/systemd/system"
        )

    def control() -> None:
        assert output("dpkg-deb", "-f", str(deb), "Architecture") == "all\n"
        assert {"python3", "python3-zmq", "python3-yaml"} <= set(dependencies(deb))
        assert output("dpkg-deb", "-f", str(deb), "Recommends") == "python3-hiredis\n"
        assert "python3-jwt" in output("dpkg-deb", "-f", str(deb), "Suggests")

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

    def lint() -> None:
        said = output("lintian", "--fail-on", "error,warning", "--allow-root", str(deb))
        assert not said, said

    yield "has its files", files
    yield "passes lintian", lint
    yield "is for every machine", control
    yield "has its scripts", scripts


def rpm_steps(rpm: Path) -> Iterator[Step]:
    """The checks of an RPM."""

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
        assert query(r"[%{RECOMMENDNAME}\n]") == ["python3-hiredis"]
        assert query(r"[%{SUGGESTNAME}\n]") == ["python3-jwt"]
        assert query(r"[%{PROVIDENAME}\n]") == ["recodex-monitor"]

    def scripts() -> None:
        for name in ("POSTIN", "PREUN", "POSTUN"):
            check_script("\n".join(query(rf"%{{{name}}}\n")))

    def lint() -> None:
        filters = str(_TREE / "install/rpmlintrc")
        done = subprocess.run(["rpmlint", "-r", filters, str(rpm)], capture_output=True, text=True)
        assert "0 errors, 0 warnings" in done.stdout, done.stdout

    def changelog() -> None:
        assert query(r"[%{CHANGELOGTEXT}\n]") == ["- See NEWS.md."]

    yield "has its files", files
    yield "passes rpmlint", lint
    yield "has a changelog", changelog
    yield "is for every machine", header
    yield "has its scripts", scripts
