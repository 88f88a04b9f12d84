"""Installs by make and by setup.py, and builds an RPM by setup.py."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.packages.completions import try_completions
from tests.packages.contents import CONFIG, Step, check_script, output

TOP = Path(__file__).parents[2]
TREE = (
    *("LICENSE", "MANIFEST.in", "Makefile", "NEWS.md", "README.md", "monitor.tac"),
    *("pyproject.toml", "setup.cfg", "setup.py", "docs", "install", "recodex_monitor", "twisted"),
)
UNITS = tuple(f"/etc/systemd/system/recodex-monitor.{kind}" for kind in ("service", "socket"))


def copy_tree(folder: Path) -> None:
    """Copy what packages are made of into a new folder."""
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for one in (TOP / name for name in TREE):
        if one.is_dir():
            shutil.copytree(one, folder / one.name, ignore=ignored)
        else:
            shutil.copy(one, folder)


def quietly(*command: str, folder: Path | None = None) -> None:
    """Run a command; its output is shown only if it fails."""
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert not done.returncode, done.stdout


def check_kept(root: Path, *install: str, folder: Path) -> None:
    """Install twice; an edit in between stays."""
    quietly(*install, folder=folder)
    for one in (CONFIG, *UNITS, "/usr/bin/recodex-monitor"):
        assert Path(f"{root}{one}").exists(), one
    config = Path(f"{root}{CONFIG}")
    assert config.read_bytes() == (TOP / "install/config.yml").read_bytes()
    assert config.stat().st_mode & 0o777 == 0o600
    config.write_text("# edited\n")
    config.chmod(0o640)
    quietly(*install, folder=folder)
    assert config.stat().st_mode & 0o777 == 0o640
    assert config.read_text() == "# edited\n"


def check_manuals(root: Path) -> None:
    """There are man pages that can be found by their names, and completions for three shells."""
    pages = [str(one) for one in root.glob("usr/share/man/man?/*")]
    assert len(pages) == 2, pages
    assert "recodex-monitor.yml - settings" in output("lexgrog", *pages)
    output("bash", "-n", f"{root}/usr/share/bash-completion/completions/recodex-monitor")
    try_completions(root / "usr/share")


def steps(folder: Path) -> Iterator[Step]:
    """The steps of installing into folders below this one."""
    tree = folder / "tree"
    copy_tree(tree)

    def make() -> None:
        root = folder / "made"
        python = f"PYTHON={sys.executable}"
        check_kept(root, "make", "install", f"DESTDIR={root}", python, folder=tree)
        check_manuals(root)
        quietly("make", "uninstall", f"DESTDIR={root}", folder=tree)
        left = [str(one.relative_to(root)) for one in root.rglob("*") if one.is_file()]
        assert left == [CONFIG.lstrip("/")], left

    def make_elsewhere() -> None:
        where = [f"PREFIX={folder}/own", f"SYSCONFDIR={folder}/own/etc"]
        quietly("make", "install", f"PYTHON={sys.executable}", *where, folder=tree)
        command = f"{folder}/own/bin/recodex-monitor"
        shown = output(command, "check")
        assert "websocket_uri" in shown, shown
        unit = Path(f"{folder}/own/etc/systemd/system/recodex-monitor.service").read_text()
        assert f"ExecStart={command} -c {folder}/own{CONFIG}\n" in unit, unit

    def setup_install() -> None:
        root = folder / "set-up"
        install = ["install", "--root", str(root), "--install-scripts", "/usr/bin"]
        check_kept(root, "/usr/bin/python3", "setup.py", *install, folder=tree)
        assert list(root.glob("usr/**/recodex_monitor/tap.py"))

    def bdist_rpm() -> None:
        command = ["bdist_rpm", "--post-install", "./install/postinst"]
        quietly("/usr/bin/python3", "setup.py", *command, folder=tree)
        (rpm,) = (str(one) for one in tree.glob("dist/*.noarch.rpm"))
        files = output("rpm", "-qpl", rpm).splitlines()
        assert {CONFIG, *UNITS, "/usr/bin/recodex-monitor"} <= set(files), files
        flags = output("rpm", "-qp", "--qf", r"[%{FILEFLAGS:fflags} %{FILENAMES}\n]", rpm)
        assert f"cn {CONFIG}\n" in flags, flags
        script = output("rpm", "-qp", "--qf", "%{POSTIN}", rpm)
        check_script(script)
        assert "useradd" in script

    yield "is installed by make", make
    yield "is installed by make below another prefix", make_elsewhere
    yield "is installed by setup.py", setup_install
    yield "is packed by setup.py bdist_rpm", bdist_rpm
