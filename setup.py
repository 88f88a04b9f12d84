"""Makes packages of the monitor; ``setup.py install`` puts its configuration and units in place."""

from pathlib import Path

from setuptools import setup
from setuptools.command.install import install

SYSTEM_FILES = {
    "install/config.yml": "/etc/recodex/monitor/config.yml",
    "install/recodex-monitor.service": "/etc/systemd/system/recodex-monitor.service",
    "install/recodex-monitor.socket": "/etc/systemd/system/recodex-monitor.socket",
}


class Install(install):
    """Installs into the system, when it is what was asked for and not a step to a wheel."""

    @property
    def _into_system(self) -> bool:
        return "install" in self.distribution.commands

    def finalize_options(self) -> None:
        if self._into_system and self.root is None:
            self.root = "/"  # without a root, setuptools makes an egg and asks PyPI for others
        super().finalize_options()

    def run(self) -> None:
        super().run()
        for source, target in self._system_files().items():
            # An administrator's configuration stays as it is.
            if source != "install/config.yml" or not Path(target).exists():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

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
        """Knows that newer versions of setuptools write ``recodex_monitor`` in a file's name."""

        def _make_spec_file(self) -> list[str]:
            name = self.distribution.get_fullname()
            lines = super()._make_spec_file()
            return [line.replace("%{name}-%{unmangled_version}", name) for line in lines]

    commands["bdist_rpm"] = BdistRpm

setup(cmdclass=commands)
