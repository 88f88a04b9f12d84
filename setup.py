"""Builds the packages; ``setup.py install`` also installs the configuration and the units."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.install import install

SYSTEM_FILES = {
    "install/config.yml": "/etc/recodex/monitor/config.yml",
    "install/recodex-monitor.service": "/etc/systemd/system/recodex-monitor.service",
    "install/recodex-monitor.socket": "/etc/systemd/system/recodex-monitor.socket",
}


class Install(install):
    """Installs into the system, if it was called by itself and not to build a wheel."""

    @property
    def _into_system(self) -> bool:
        return "install" in self.distribution.commands

    def finalize_options(self) -> None:
        if self._into_system and self.root is None:
            self.root = "/"  # without a root, setuptools makes an egg and fetches others from PyPI
        super().finalize_options()

    def run(self) -> None:
        super().run()
        for source, target in self._system_files().items():
            # Keep an administrator's configuration.
            if source != "install/config.yml" or not Path(target).exists():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)
                if source == "install/config.yml":
                    self._grant(Path(target))

    def _grant(self, config: Path) -> None:
        """Let the monitor's user alone read a new configuration, since it may get a secret."""
        config.chmod(0o600)
        if self.root == "/":
            try:
                for one in (config.parent, config):
                    shutil.chown(one, "recodex", "recodex")
            except LookupError:
                self.announce("install/postinst makes the user recodex, who owns the configuration")

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), *self._system_files().values()]

    def _system_files(self) -> dict[str, str]:
        root = (self.root or "/").rstrip("/")
        return {one: root + SYSTEM_FILES[one] for one in SYSTEM_FILES if self._into_system}


commands = {"install": Install}

try:
    from setuptools.command.bdist_rpm import bdist_rpm
except ImportError:
    pass
else:

    class BdistRpm(bdist_rpm):
        """Allows for newer versions of setuptools, which name files ``recodex_monitor``."""

        def _make_spec_file(self) -> list[str]:
            name = self.distribution.get_fullname()
            lines = super()._make_spec_file()
            return [line.replace("%{name}-%{unmangled_version}", name) for line in lines]

    commands["bdist_rpm"] = BdistRpm


def readme() -> str:
    """The README with links that also work where an index shows it."""
    home = "https://github.com/ReCodEx/monitor"
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?![a-z]+:|#)", rf"\1{home}/raw/master/", text)
    return re.sub(r"(\]\()(?![a-z]+:|#)", rf"\1{home}/blob/master/", text)


setup(cmdclass=commands, long_description=readme())
