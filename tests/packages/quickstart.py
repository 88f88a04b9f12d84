"""The quick start, line by line: its commands are run, and its files written, as printed."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import trustme

from tests.packages.contents import CONFIG, Step
from tests.packages.machine import copy_in
from tests.packages.packaged import KEPT, TOP, Packaged

PAGE = TOP / "docs/quickstart.md"
HOST = "recodex.example.org"
DOCTOR = f"recodex-monitor doctor --public wss://{HOST}/ws"
PACKAGES = ("ca-certificates", "nftables", "nginx")
"""What the machine needs besides what the DEB depends on."""

_BLOCK = re.compile(r"(?:^|\n)([^\n]*)\n\n```(\w+)\n(.*?)\n```\n", re.S)
_FILE = re.compile(r"`([^`]*/[^`]*)`[^`]*:$")


class Block(NamedTuple):
    """A block of the page.

    Attributes:
        lead: the end of what is said before it.
        kind: of its text, such as ``sh``.
        text: the block.
    """

    lead: str
    kind: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that has this content; None of commands."""
        named = _FILE.search(self.lead)
        return named[1] if named and self.kind != "sh" else None


def blocks(heading: str) -> list[Block]:
    """The blocks below a heading, in their order."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    # Paragraphs are lines of one text here; a block may follow another at once.
    section = "\n" + section.replace("```\n\n```", "```\n\n\n\n```")
    return [Block(*one) for one in _BLOCK.findall(section)]


def commands(heading: str, number: int = 0) -> str:
    """Commands of the page as a script that ends at the first failure."""
    shell = [one.text for one in blocks(heading) if one.kind == "sh"]
    return f"set -e\n{shell[number]}\n"


def install(kind: int, package: str = "") -> str:
    """The commands that install: with the DEB (0), the RPM (1), or pip (2)."""
    return re.sub(r"\./recodex-monitor\S*", lambda _: package, commands("1. Install", kind))


def certify(packaged: Packaged) -> None:
    """Give the machine a name, a certificate for it, and trust in that."""
    root, authority = packaged.machine.root, trustme.CA()
    folder = root / "etc/ssl/recodex"
    folder.mkdir(exist_ok=True)
    issued = authority.issue_cert(HOST)
    issued.private_key_pem.write_to_path(folder / "privkey.pem")
    (folder / "fullchain.pem").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(root / "usr/local/share/ca-certificates/tests.crt")
    packaged.run(f"update-ca-certificates; echo 127.0.0.1 {HOST} >> /etc/hosts")


class Administrator:
    """Follows the page on a machine, where the DEB is."""

    def __init__(self, packaged: Packaged, deb: str) -> None:
        self.packaged = packaged
        self.run = packaged.run
        self.root = packaged.machine.root
        self.deb = deb

    def write(self, heading: str) -> Path:
        """Write the file that a section shows, as an administrator edits it: it keeps its owner."""
        (block,) = (one for one in blocks(heading) if one.file)
        assert block.file is not None
        target = self.root / block.file.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{block.text}\n")
        return target

    def installs(self) -> None:
        """Step 1."""
        print(self.run(install(0, self.deb)), end="")

    def sets_up(self) -> None:
        """Steps 2 and 3."""
        self.write("2. The monitor's settings")
        said = self.run(commands("2. The monitor's settings"))
        assert "never-connected" in said, said
        self.write("3. The broker")

    def puts_behind_proxy(self) -> None:
        """Step 4, where the name and the certificate are those of the sample."""
        certify(self.packaged)
        for number in (0, 1):
            self.run(commands("4. The proxy", number))

    def closes_firewall(self) -> None:
        """Step 6."""
        self.run(commands("6. The firewall"))
        said = self.run("nft list table inet recodex")
        assert "192.0.2.10" in said, said

    def asks_doctor(self) -> None:
        """Step 7: nothing fails."""
        with self.packaged.visited("broker"):
            said = self.run(commands("7. Does it work\\?"))
        print("".join(f"    {line}\n" for line in said.splitlines()), end="")
        assert "0 FAIL" in said, said

    def finds_faults(self) -> None:
        """What is planted is found, one fault at a time, and nothing is once it is mended."""
        for name, (plant, mend, finding) in FAULTS.items():
            self.run(plant)
            said = self.run(f"{DOCTOR} --idle 0; echo $?", check=False)
            assert said.endswith("\n1\n"), said
            assert finding in said, f"{name}: {said}"
            self.run(mend)
            (found,) = (line for line in said.splitlines() if line.startswith(finding))
            print(f"    {name}: {found}")
        with self.packaged.visited("broker"):
            said = self.run(f"{DOCTOR} --idle 0")
        assert "0 FAIL" in said, said

    def scrapes(self) -> None:
        """Step 8."""
        file = self.write("8. Metrics")
        said = self.run(commands("8. Metrics"))
        assert "recodex_monitor_broker_peers 0.0" in said, said
        file.write_text(file.read_text().replace("/usr/share", f"{self.root}/usr/share"))
        subprocess.run(["promtool", "check", "config", str(file)], check=True)

    def undoes(self) -> None:
        """Leave nothing behind."""
        self.run("rm /etc/nginx/conf.d/recodex-monitor.conf; systemctl reload nginx")
        self.run("nft delete table inet recodex; apt-get -qq -y purge recodex-monitor")
        self.run("rm -rf /etc/recodex /etc/prometheus")


NGINX = "/etc/nginx/conf.d/recodex-monitor.conf"
FAULTS = {
    "no upgrade": (
        f"sed -i '/proxy_set_header Upgrade/d' {NGINX}; systemctl reload nginx",
        f"cp /usr/share/recodex-monitor/proxy/nginx.conf {NGINX}; systemctl reload nginx",
        "FAIL  websocket",
    ),
    "another path": (
        f"sed -i 's|/ws|/progress|g' {NGINX}; systemctl reload nginx",
        f"cp /usr/share/recodex-monitor/proxy/nginx.conf {NGINX}; systemctl reload nginx",
        "FAIL  prefix",
    ),
    "another port in the broker": (
        "sed -i 's/port: 7894/port: 4567/' /etc/recodex/broker/config.yml",
        "sed -i 's/port: 4567/port: 7894/' /etc/recodex/broker/config.yml",
        "FAIL  broker-config",
    ),
    "a configuration of root's": (
        f"chown root:root {CONFIG}",
        f"chown recodex:recodex {CONFIG}",
        "FAIL  settings",
    ),
    "few files": (
        "mkdir -p /run/systemd/system/recodex-monitor.service.d; "
        "printf '[Service]\\nLimitNOFILE=1000\\n' "
        "> /run/systemd/system/recodex-monitor.service.d/few.conf; "
        "systemctl daemon-reload; systemctl restart recodex-monitor",
        "rm -r /run/systemd/system/recodex-monitor.service.d; systemctl daemon-reload; "
        "systemctl restart recodex-monitor",
        "FAIL  open-files",
    ),
    "another port of the socket": (
        f"sed -i 's/4567\\]/4569]/' {CONFIG}; systemctl restart recodex-monitor",
        f"sed -i 's/4569\\]/4567]/' {CONFIG}; systemctl restart recodex-monitor",
        "FAIL  socket",
    ),
    "a monitor that is stopped": (
        "systemctl stop recodex-monitor.socket",
        "systemctl start recodex-monitor.socket recodex-monitor.service",
        "FAIL  unit",
    ),
}
"""What is planted, by which commands, how it is mended, and how the doctor's finding begins."""


def deb_steps(packaged: Packaged, package: Path) -> Iterator[Step]:
    """The whole page, with the DEB."""
    one = Administrator(packaged, copy_in(packaged.machine.root, package))
    yield "installs it", one.installs
    yield "sets it up", one.sets_up
    yield "puts it behind nginx", one.puts_behind_proxy
    yield "closes the firewall", one.closes_firewall
    yield "asks the doctor", one.asks_doctor
    yield "finds what is planted", one.finds_faults
    yield "scrapes it", one.scrapes
    yield "is undone", one.undoes


def rpm_steps(packaged: Packaged, package: Path) -> Iterator[Step]:
    """Its first step with the RPM, as far as a Debian can do that."""
    run = packaged.run
    file = copy_in(packaged.machine.root, package)
    dnf = f"dnf() {{ rpm -U --nodeps {file}; }}\n"

    def remove() -> None:
        run("rpm -e --nodeps recodex-monitor; rm -rf /etc/recodex")

    def begin() -> None:
        # What an earlier monitor left behind would be taken over.
        run(f"rm -rf {' '.join(KEPT)}")
        print(run(dnf + install(1, file)), end="")

    yield "installs it", begin
    yield "starts it", packaged.starts
    yield "is undone", remove


def pip_steps(packaged: Packaged) -> Iterator[Step]:
    """Its first step with pip; the machine has the wheels in /srv/wheels."""
    run = packaged.run
    pip = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels\n"

    def remove() -> None:
        run("systemctl disable --now recodex-monitor.socket recodex-monitor.service")
        run("rm -r /opt/recodex-monitor /usr/bin/recodex-monitor /etc/recodex")
        run("rm /etc/systemd/system/recodex-monitor.*; systemctl daemon-reload")
        run("userdel recodex; rm -r /var/log/recodex /var/lib/recodex-monitor")

    def check() -> None:
        run(f"recodex-monitor check -c {CONFIG} --user recodex; recodex-monitor doctor --help")

    yield "installs it", lambda: print(run(pip + install(2)), end="")
    yield "starts it", packaged.starts
    yield "checks it", check
    yield "is undone", remove
