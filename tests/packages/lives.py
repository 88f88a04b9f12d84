"""The life of each kind of package on a machine: installed, upgraded, taken back, removed."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.packages.contents import CONFIG, Step
from tests.packages.machine import copy_in
from tests.packages.packaged import KEPT, TOP, Packaged

UPGRADE = TOP / "docs/upgrade.md"


def documented(heading: str, lead: str, which: str) -> str:
    """Commands of docs/upgrade.md, as a script that ends at the first failure.

    Args:
        heading: the heading of their section.
        lead: how the line before them ends.
        which: the package or version to use instead of the one in the page.
    """
    (section,) = re.findall(rf"^## {heading}(\n.*?)(?:^##|\Z)", UPGRADE.read_text(), re.M | re.S)
    (commands,) = re.findall(rf"{lead}\n\n```sh\n(.*?)^```$", section, re.M | re.S)
    commands, count = re.subn("^(new|old|version)=.*", rf"\1={which}", commands, flags=re.M)
    assert count == 1, commands
    return f"set -e\n{commands}"


def version_of(package: Path) -> str:
    """The version of a DEB or RPM, by its name."""
    return re.split("[-_]", package.stem)[2]


def deb_steps(packaged: Packaged, package: Path, later: Path) -> Iterator[Step]:
    """The life of the DEB."""
    run = packaged.run
    # Answers dpkg's question about an edited configuration: there is no terminal.
    run("echo force-confold > /etc/dpkg/dpkg.cfg.d/answer")
    before = packaged.files()
    first, second = (copy_in(packaged.machine.root, one) for one in (package, later))
    upgrade, back = (documented("The script", "", one) for one in (second, first))
    replace = documented("From the original monitor", "at the same time.", first)
    apt = "apt-get -qq -y"

    def is_upgraded() -> None:
        packaged.edit()
        packaged.changes(upgrade, version_of(later))
        run(f"grep -q later {CONFIG}.dpkg-dist")
        packaged.has_copies()

    def is_taken_back() -> None:
        packaged.changes(back, version_of(package))
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
    yield "owns its configuration", packaged.owns_configuration
    yield "is sound", packaged.is_sound
    yield "plays captures", packaged.plays_captures
    yield "tells its status", packaged.tells_status
    yield "reloads", packaged.reloads
    yield "restarts", packaged.restarts
    yield "survives a crash", packaged.survives_a_crash
    yield "is watched", packaged.is_watched
    yield "refuses mistakes", packaged.refuses_mistakes
    yield "is upgraded", is_upgraded
    yield "is taken back", is_taken_back
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
    upgrade, back = (rpm + documented("The script", "", one) for one in (second, first))

    def install() -> None:
        print(run(f"rpm -U --nodeps {first}"), end="")
        # The distribution decides what is enabled, the administrator what is started.
        assert packaged.show("UnitFileState") == "enabled"
        run("systemctl start recodex-monitor")

    def is_upgraded() -> None:
        packaged.edit()
        packaged.changes(upgrade, version_of(later))
        run(f"grep -q later {CONFIG}.rpmnew")
        packaged.has_copies()

    def is_taken_back() -> None:
        packaged.changes(back, version_of(package))
        packaged.has_copies()

    def erase() -> None:
        run("rpm -e --nodeps recodex-monitor")
        run(f"grep 'rotations: 4 ' {CONFIG}.rpmsave")
        run("rm -r /etc/recodex")
        packaged.has_gone(before)

    yield "installs", install
    yield "starts", packaged.starts
    yield "owns its configuration", packaged.owns_configuration
    yield "is sound", packaged.is_sound
    yield "plays captures", packaged.plays_captures
    yield "is upgraded", is_upgraded
    yield "is taken back", is_taken_back
    yield "is erased", erase


def pip_steps(packaged: Packaged, first: str, second: str) -> Iterator[Step]:
    """Environments made by pip and run by supervisor, which does not keep the port open.

    Args:
        packaged: the machine, with the wheels in /srv/wheels.
        first: the version that is installed first.
        second: the one to which it is upgraded.
    """
    # The machine reaches no package index.
    pip = "cd /srv/wheels; export PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels\n"
    lead = "first version like this:"
    install = pip + documented("With pip, under supervisor", lead, first)
    wheels = (f"/srv/wheels/recodex_monitor-{one}-py3-none-any.whl" for one in (second, first))
    upgrade, back = (pip + documented("The script", "", wheel) for wheel in wheels)

    def is_installed() -> None:
        packaged.run("systemctl start supervisor")
        packaged.run(install)
        greeting = "curl -si http://127.0.0.1:4567/"
        packaged.wait("it", lambda: "200" in packaged.run(greeting, check=False))

    def changes(commands: str, version: str) -> None:
        with packaged.visited("load", "refusing"):
            said = packaged.run(commands)
        packaged.tells_version(said, version)

    def is_changed(commands: str, version: str) -> None:
        changes(commands, version)
        packaged.has_copies()

    yield "is installed", is_installed
    yield "is upgraded", lambda: is_changed(upgrade, second)
    yield "is taken back", lambda: is_changed(back, first)


def bare_steps(packaged: Packaged, package: Path) -> Iterator[Step]:
    """The DEB unpacked on a machine that lacks what it depends on."""

    def check() -> None:
        file = copy_in(packaged.machine.root, package)
        packaged.run(f"dpkg-deb -x {file} /srv/unpacked")
        said = packaged.run("/srv/unpacked/usr/bin/recodex-monitor check", check=False)
        assert said.startswith("recodex-monitor: the Python module "), said
        assert "Traceback" not in said, said

    yield "says which module is missing", check


def postinst_steps(packaged: Packaged) -> Iterator[Step]:
    """The script that makes the user and folders where there is no package."""

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
