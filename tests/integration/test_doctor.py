"""The doctor names what is wrong, each cause provoked for real, and leaves nothing behind."""

import datetime
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import trustme
import yaml
import zmq
import zmq.auth
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.faults.system import set_clock, shifted_clock
from tests.faults.table import Skipped
from tests.integration.cluster import running_cluster, until
from tests.integration.doctors import Report, examined, proxy
from tests.integration.http import get as get_public
from tests.integration.status import get, monitored
from tests.integration.support import (
    Broker,
    Monitor,
    connected_broker,
    free_ports,
    running_monitor,
)
from tests.support.certificates import Authority

ABSENT = [name for name in ("nginx", "haproxy") if shutil.which(name) is None]
MISSING = f"{', '.join(ABSENT)} not installed" if ABSENT else None


@contextmanager
def watched(**settings: Any) -> Iterator[tuple[Monitor, int]]:
    """A monitor with a broker that is connected, and the port of its status page."""
    with monitored(**settings) as (monitor, port), connected_broker(monitor) as broker:
        broker.send(b"student_1", b"STARTED")
        until(lambda: "student_1" in str(get(port, "/api/channels")))
        yield monitor, port


def metrics(port: int) -> list[str]:
    """All counters of a monitor, and what is there now, without what time changes."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    kept = r"recodex_monitor_(?!delivery_delay|loop_lag|broker_silence|connections)"
    return [line for line in lines if re.match(kept, line)]


class HealthyTests(SynchronousTestCase):
    """Nothing is wrong."""

    if MISSING:
        skip = MISSING

    def test_behind_proxies(self) -> None:
        """Every check passes behind either proxy, by TLS and with a silence."""
        tls = {
            "nginx": {"tls": "ssl http2"},
            "haproxy": {"tls": "ssl crt {folder}/both.pem alpn h2,http/1.1"},
        }
        with watched() as (monitor, _):
            for program, options in tls.items():
                with proxy(program, monitor, **options) as found:
                    trust = {"SSL_CERT_FILE": str(found.folder / "root.pem")}
                    report = examined(monitor, "--public", found.url, idle=1, environ=trust)
                self.assertEqual((report.code, report.failing()), (0, set()), report.checks)
                for check in ("certificate", "http2", "prefix", "origin", "websocket", "events"):
                    self.assertEqual(report.level(check), "ok", report.seen(check))
                for check in ("poll", "buffering", "idle", "client-address", "broker", "job"):
                    self.assertEqual(report.level(check), "ok", report.seen(check))

    def test_leaves_nothing(self) -> None:
        """Neither numbers nor lists, nor the history file, show that the doctor was there."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "history.db"
            with watched(history={"file": str(file)}) as (monitor, port):
                before = metrics(port), get(port, "/api/status")[1]["totals"]
                report = examined(monitor)
                self.assertEqual(report.level("monitor"), "ok", report.checks)
                self.assertEqual(report.level("history"), "ok", report.checks)
                gone = lambda: "doctor_" not in str(get(port, "/api/channels"))  # noqa: E731
                self.assertTrue(gone())
                until(lambda: metrics(port) == before[0])
                self.assertEqual(get(port, "/api/status")[1]["totals"], before[1])
            self.assertNotIn(b"doctor_", file.read_bytes())

    def test_without_public_address(self) -> None:
        """Without the public address the monitor itself is tried, and the doctor says so."""
        with watched() as (monitor, _):
            report = examined(monitor)
            self.assertEqual((report.code, report.level("monitor")), (0, "ok"), report.checks)
            self.assertIn("--public", report.seen("address"))


class Wrong(NamedTuple):
    """A proxy that is wrong in one way, and what the doctor must say of it.

    Attributes:
        program: of the proxy.
        wrong: what differs in its configuration.
        failing: the checks that fail, and no others.
        said: what the first of them says.
        path: of the address that the doctor is given.
        idle: seconds of silence.
    """

    program: str
    wrong: dict[str, str]
    failing: tuple[str, ...]
    said: str
    path: str = "/ws"
    idle: float = 0.0


LOST = "does not pass on the upgrade"
BUFFERS = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"
ALL = ("prefix", "events", "poll", "websocket")
PROXIES = {
    "nginx without upgrade": Wrong("nginx", {"connection": '"close"'}, ("websocket",), LOST),
    "haproxy without upgrade": Wrong(
        "haproxy", {"more": "http-request del-header upgrade"}, ("websocket",), LOST
    ),
    "nginx that buffers": Wrong(
        "nginx",
        {
            "location": "= /ws",
            "below": f"location /ws/ {{{{ proxy_pass {{backend}}; {BUFFERS} }}}}",
        },
        ("buffering",),
        "event stream",
    ),
    "another path in nginx": Wrong("nginx", {}, ALL, "/progress", "/progress"),
    "another path in haproxy": Wrong("haproxy", {}, ALL, "/progress", "/progress"),
    "only the path itself": Wrong(
        "nginx", {"location": "= /ws"}, ("prefix", "events", "poll"), "below /ws"
    ),
    "nginx that waits too briefly": Wrong(
        "nginx", {"more": "proxy_read_timeout 1s;"}, ("idle",), "after 1 s of silence", idle=2.5
    ),
    "haproxy that waits too briefly": Wrong(
        "haproxy", {"timeout": "1s"}, ("idle",), "after 1 s of silence", idle=2.5
    ),
    "no monitor behind it": Wrong("nginx", {"backend": "http://127.0.0.1:1"}, ALL, "502"),
    "no answer from behind it": Wrong(
        "nginx",
        {"backend": "http://127.0.0.1:SILENT", "more": "proxy_read_timeout 1s;"},
        ALL,
        "504",
    ),
}
"""Proxies that keep students from seeing progress."""


class ProxyTests(SynchronousTestCase):
    """What is wrong with the proxy."""

    if MISSING:
        skip = MISSING

    def test_wrong(self) -> None:
        """Whatever keeps students from seeing progress is named, and nothing else."""

        def examine(one: Wrong) -> Report:
            wrong = {key: text.replace("SILENT", port) for key, text in one.wrong.items()}
            with proxy(one.program, monitor, one.path, **wrong) as found:
                return examined(monitor, "--public", found.url, idle=one.idle)

        with watched() as (monitor, _), ThreadPoolExecutor(3) as pool, socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            port = str(silent.getsockname()[1])
            reports = list(pool.map(examine, PROXIES.values()))
        for (name, one), report in zip(PROXIES.items(), reports, strict=True):
            self.assertEqual((report.code, report.level("monitor")), (1, "ok"), name)
            self.assertEqual(report.failing(), {*one.failing}, f"{name}: {report.checks}")
            self.assertIn(one.said, report.seen(one.failing[0]), name)

    def test_remote(self) -> None:
        """From another machine the public address alone is tried, also with a job."""
        with watched() as (monitor, _), proxy("nginx", monitor) as found:
            remote = ("--remote", "--public", found.url)
            report = examined(monitor, *remote, idle=1)
            self.assertEqual((report.code, report.level("ports"), report.level("job")), (0, "", ""))
            for check in ("websocket", "events", "poll", "idle"):
                self.assertEqual(report.level(check), "ok", report.checks)
            report = examined(monitor, *remote, "--zmq", monitor.broker)
            for check in ("job", "websocket", "buffering"):
                self.assertEqual(report.level(check), "ok", report.checks)

    def test_client_address(self) -> None:
        """A proxy that does not tell its clients' addresses is named, without failing."""
        with watched() as (monitor, _), proxy("nginx", monitor, address="") as found:
            report = examined(monitor, "--public", found.url)
        self.assertEqual((report.level("client-address"), report.failing()), ("warn", set()))
        self.assertIn("X-Forwarded-For", report.seen("client-address"))

    def test_other_host(self) -> None:
        """And one that hides the host from a monitor that asks for origins."""
        limits = {"allowed_origins": ["https://elsewhere.example.org"]}
        with watched(limits=limits) as (monitor, _), proxy("nginx", monitor, host="m") as found:
            report = examined(monitor, "--public", found.url)
        self.assertIn("$http_host", report.seen("origin"))


class PageTests(SynchronousTestCase):
    """What is wrong between the pages and the monitor."""

    if MISSING:
        skip = MISSING

    def test_origin(self) -> None:
        """An origin that is not allowed is named; the monitor does not count the doctor's own."""
        limits = {"allowed_origins": ["https://recodex.example.org"]}
        with watched(limits=limits) as (monitor, _), proxy("nginx", monitor) as found:
            options = "--public", found.url, "--origin"
            report = examined(monitor, *options, "https://other.example.org")
            self.assertEqual(report.level("origin"), "FAIL", report.checks)
            self.assertIn("https://other.example.org", report.seen("origin"))
            page = "Origin: https://page.example.org"
            self.assertEqual(get_public(monitor.address, "/events/job", page).status, 403)
            report = examined(monitor, *options, "https://recodex.example.org")
            self.assertEqual(report.failing(), set(), report.checks)
            self.assertIn("https://page.example.org", report.seen("clients"))
            self.assertNotIn("https://other.example.org", report.seen("clients"))

    def test_certificate(self) -> None:
        """A certificate that ends soon, has another name, or is unknown."""
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
        authority = trustme.CA()
        cases = (
            ("localhost", soon, authority, "more days"),
            ("other.example.org", None, authority, "match"),
            ("localhost", None, trustme.CA(), "chain"),
        )

        def examine(case: tuple[str, datetime.datetime | None, trustme.CA, str]) -> Report:
            name, ends, signer, _ = case
            with tempfile.TemporaryDirectory() as folder:
                leaf, root = Path(folder) / "leaf.pem", Path(folder) / "root.pem"
                issued = signer.issue_cert(name, not_after=ends)
                issued.private_key_and_cert_chain_pem.write_to_path(leaf)
                authority.cert_pem.write_to_path(root)
                with proxy("haproxy", monitor, tls=f"ssl crt {leaf}") as found:
                    trust = {"SSL_CERT_FILE": str(root)}
                    return examined(monitor, "--public", found.url, environ=trust)

        with watched() as (monitor, _), ThreadPoolExecutor(3) as pool:
            for (*_, said), report in zip(cases, pool.map(examine, cases), strict=True):
                self.assertEqual(report.failing(), {"certificate"}, report.checks)
                self.assertIn(said, report.seen("certificate"))

    def test_clock(self) -> None:
        """A clock that is off by an hour."""
        try:
            with shifted_clock() as (environ, shift), watched() as (monitor, _):
                set_clock(shift, 3600)
                report = examined(monitor, environ=environ)
        except Skipped as why:
            raise SkipTest(str(why)) from None
        self.assertEqual(report.level("clock"), "FAIL", report.checks)
        self.assertIn("3600 s behind", report.seen("clock"))


class ListenerTests(SynchronousTestCase):
    """Listeners of other kinds."""

    def test_socket_files(self) -> None:
        """The doctor follows and plays by Unix sockets, too."""
        with tempfile.TemporaryDirectory() as folder:
            monitor = Monitor(folder)
            endpoints = {"websocket_uri": f"unix:{folder}/b", "zeromq_uri": f"ipc:{folder}/z"}
            monitor.configure(**endpoints, logger={"file": str(monitor.log)})
            try:
                monitor.start()
                report = examined(monitor)
            finally:
                monitor.stop()
        for check in ("job", "monitor", "ports"):
            self.assertEqual(report.level(check), "ok", report.checks)

    def test_secured(self) -> None:
        """It speaks TLS and the PROXY protocol, and shows a token, where it has to."""
        with tempfile.TemporaryDirectory() as folder:
            secret = Path(folder) / "secret"
            secret.write_text("s" * 40)
            with running_monitor(
                websocket_tls=Authority(Path(folder)).settings,
                websocket_proxy_protocol=True,
                access={"key_file": str(secret), "required": True},
            ) as monitor:
                report = examined(monitor)
        for check in ("job", "monitor"):
            self.assertEqual(report.level(check), "ok", report.checks)


class BrokerTests(SynchronousTestCase):
    """What is wrong with the broker, or with the way to it."""

    def test_wrong_port(self) -> None:
        """A broker that is configured for another port is named, with what to write."""
        with monitored() as (monitor, _), tempfile.TemporaryDirectory() as folder:
            (other,) = free_ports(1)
            file = Path(folder) / "broker.yml"
            file.write_text(yaml.safe_dump({"monitor": {"address": "127.0.0.1", "port": other}}))
            broker = Broker(f"tcp://127.0.0.1:{other}")
            try:
                report = examined(monitor, "--broker-config", str(file))
            finally:
                broker._socket.set(zmq.LINGER, 0)
                broker.close()
        self.assertEqual(report.failing(), {"broker", "broker-config"}, report.checks)
        self.assertIn(monitor.broker.rpartition(":")[2], report.seen("broker-config"))

    def test_nothing_runs(self) -> None:
        """Where no monitor runs, the doctor says so of each port."""
        with tempfile.TemporaryDirectory() as folder:
            report = examined(Monitor(folder))
        self.assertLessEqual({"ports", "job", "monitor"}, report.failing(), report.checks)
        self.assertIn("nothing listens", report.seen("job"))

    def test_other_program(self) -> None:
        """A port that another program has is named, with that program."""
        with tempfile.TemporaryDirectory() as folder:
            monitor = Monitor(folder)
            port = monitor.broker.rpartition(":")[2]
            command = ["python3", "-m", "http.server", "-b", "127.0.0.1", "-d", folder, port]
            with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as other:
                try:
                    until(lambda: "by python3" in examined(monitor).seen("ports"))
                    report = examined(monitor)
                finally:
                    other.terminate()
        self.assertIn("is no monitor", report.seen("ports"))
        self.assertIn("does not speak ZeroMQ", report.seen("job"))

    def test_firewall(self) -> None:
        """A firewall that drops connections is named, in front of either port."""
        if os.geteuid() or not shutil.which("iptables"):
            raise SkipTest("needs root and iptables")
        with watched() as (monitor, _):
            zmq_port = monitor.broker.rpartition(":")[2]
            ports = f"{monitor.address[1]},{zmq_port}"
            rule = f"INPUT -i lo -p tcp --syn -m multiport --dports {ports} -j DROP".split()
            subprocess.run(["iptables", "-w", "-I", *rule], check=True)
            try:
                report = examined(monitor, "--public", monitor.url)
            finally:
                subprocess.run(["iptables", "-w", "-D", *rule], check=True)
        self.assertLessEqual({"job", "address"}, report.failing(), report.checks)
        for check in ("job", "address"):
            self.assertIn("firewall", report.seen(check))

    def test_networks_and_keys(self) -> None:
        """The doctor plays its job where brokers need CURVE, and does not try where it may not."""
        with tempfile.TemporaryDirectory() as folder:
            _, secret = zmq.auth.create_certificates(folder, "monitor")
            with monitored(zeromq={"curve_key": secret}) as (monitor, port):
                report = examined(monitor)
                self.assertEqual(report.level("job"), "ok", report.checks)
        with monitored(zeromq={"allowed_networks": ["192.0.2.0/24"]}) as (monitor, port):
            report = examined(monitor)
            self.assertEqual(report.level("job"), "warn", report.checks)
            self.assertEqual(get(port, "/api/status")[1]["broker"]["failed_handshakes"], 0)


class MachineTests(SynchronousTestCase):
    """What is wrong with the machine."""

    def test_few_files(self) -> None:
        """A limit of open files below the limit of connections."""
        if not shutil.which("prlimit"):
            raise SkipTest("prlimit is not installed")
        with watched() as (monitor, _):
            subprocess.run(
                ["prlimit", f"--pid={monitor.process.pid}", "--nofile=1000:1000"], check=True
            )
            report = examined(monitor)
        self.assertEqual(report.failing(), {"open-files"}, report.checks)
        self.assertIn("LimitNOFILE", report.seen("open-files"))

    def test_settings(self) -> None:
        """Mistakes in the settings, and settings that the running monitor does not have."""
        with watched() as (monitor, _):
            text = monitor.config.read_text()
            monitor.config.write_text(f"{text}limits: {{heartbeat: 30}}\n")
            report = examined(monitor)
            self.assertIn("limits.heartbeat", report.seen("in-force"))
            monitor.config.write_text(f"{text}limts: {{}}\n")
            report = examined(monitor)
            self.assertIn("limts", report.seen("settings"))
            self.assertEqual(report.level("settings"), "FAIL")


class ClusterTests(SynchronousTestCase):
    """Several nodes."""

    def test_edge(self) -> None:
        """On an edge the job goes to the owner, and comes back; nothing stays in the engine."""
        with running_cluster(2) as cluster:
            owner, edge = cluster.owner(), cluster.edge()
            until(lambda: edge.knows(2) and owner.knows(2))
            broker = Broker(owner.broker)
            try:
                broker.send(b"student_1", b"STARTED")
                until(lambda: owner.told("/api/status")["cluster"]["nodes"] != [])
                until(lambda: any(one["broker"] for one in _nodes(edge)))
                before = owner.told("/api/status")["totals"]
                report = examined(edge)
                self.assertEqual(owner.told("/api/status")["totals"], before)
            finally:
                broker.close()
            self.assertEqual((report.code, report.failing()), (0, set()), report.checks)
            self.assertIn(owner.name, report.seen("cluster"))
            self.assertEqual(report.level("monitor"), "ok", report.checks)


def _nodes(node: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.told("/api/status")["cluster"]["nodes"]
    return found
