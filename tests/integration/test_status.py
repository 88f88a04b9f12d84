"""A real monitor and what it tells of itself."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.integration.browser import chromium_missing, open_page
from tests.integration.support import (
    COMMAND,
    Broker,
    Monitor,
    connected_broker,
    free_ports,
    running_monitor,
)
from tests.support.clients import HANDSHAKE, TEXT, frame

TOKEN = "correct-horse-battery"


@contextmanager
def monitored(**settings: Any) -> Iterator[tuple[Monitor, int]]:
    """A monitor with a status listener meanwhile, and its port."""
    (port,) = free_ports(1)
    with running_monitor(status_uri=["127.0.0.1", port], **settings) as monitor:
        yield monitor, port


def get(port: int, path: str) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def printed(monitor: Monitor, *arguments: str) -> str:
    """What ``recodex-monitor status`` prints."""
    command = [*COMMAND, "status", "-c", str(monitor.config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def follow(monitor: Monitor, channel_id: str, **options: Any) -> ClientConnection:
    """A browser that follows a job."""
    client: ClientConnection = connect(monitor.url, proxy=None, **options)
    client.send(channel_id)
    return client


class CauseTests(SynchronousTestCase):
    """Why does this student see no progress?"""

    def check(self, monitor: Monitor, port: int, job: str, cause: str) -> str:
        """The page and the command both name the cause; returns what the command prints."""
        deadline = time.monotonic() + 10
        causes: list[str] = []
        while cause not in causes and time.monotonic() < deadline:
            causes = [one["cause"] for one in get(port, f"/api/channels/{job}")[1]["hints"]]
            time.sleep(0.05)
        self.assertIn(cause, causes)
        text = printed(monitor, job)
        self.assertIn(f"  {cause}: ", text)
        return text

    def test_never_connected(self) -> None:
        """The broker has never connected: the address is told that it should have."""
        with monitored() as (monitor, port):
            text = self.check(monitor, port, "job", "never-connected")
            self.assertIn(monitor.broker.removeprefix("tcp://"), text)

    def test_wrong_port(self) -> None:
        """Something else connects at the broker's port: failed handshakes are told."""
        with monitored() as (monitor, port):
            host, number = monitor.broker.removeprefix("tcp://").split(":")
            with socket.create_connection((host, int(number)), 5) as other:
                other.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3\0PLAIN")
            self.assertIn("handshakes failed", self.check(monitor, port, "job", "never-connected"))
            self.assertIn("a handshake failed at the broker's port", monitor.logged())

    def test_wrong_identity(self) -> None:
        """The broker is connected and addresses somebody else: nothing has ever come."""
        with monitored() as (monitor, port), connected_broker(monitor):
            self.check(monitor, port, "job", "never-sent")

    def test_unknown(self) -> None:
        """Other jobs come, this one does not."""
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"other", b"STARTED")
            self.check(monitor, port, "job", "unknown")

    def test_waiting(self) -> None:
        """A student waits for a job that the broker has not begun."""
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"other", b"STARTED")
            with follow(monitor, "job"):
                text = self.check(monitor, port, "job", "waiting")
            self.assertIn("1 waits for it", text)

    def test_expired(self) -> None:
        """The job has ended, and is kept no longer."""
        settings = {"retention": 0.5}
        with monitored(channels=settings) as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"job", b"FINISHED")
            self.assertIn("(finished)", self.check(monitor, port, "job", "expired"))

    def test_refused(self) -> None:
        """A page of another origin is refused, and so is one too many: both are told."""
        limits = {"max_connections": 2, "allowed_origins": ["https://good.example"]}
        with (
            monitored(limits=limits) as (monitor, port),
            follow(monitor, "job"),
            follow(monitor, "job"),
        ):
            for origin in ("https://bad.example", "https://good.example"):
                with self.assertRaises(InvalidStatus):
                    connect(monitor.url, proxy=None, origin=Origin(origin))
            text = self.check(monitor, port, "job", "refused")
            self.assertIn("1 x origin not allowed", text)
            self.assertIn("1 x too many connections", text)

    def test_cut_off(self) -> None:
        """Something between cuts followers off without a word."""
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"job", b"STARTED")
            for _ in range(3):
                client = follow(monitor, "job")
                client.recv()
                client.socket.shutdown(socket.SHUT_RDWR)
            self.check(monitor, port, "job", "cut-off")

    def test_given_up(self) -> None:
        """The broker gave the job up."""
        settings = {"failed_grace": 0.2}
        with monitored(channels=settings) as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"job", b"FAILED")
            self.check(monitor, port, "job", "given-up")


class ListenerTests(SynchronousTestCase):
    """The listener itself."""

    def test_broker_comes_and_goes(self) -> None:
        """A broker's connection is known from its handshake on until it is gone, and logged."""
        with monitored() as (monitor, port):
            broker = Broker(monitor.broker)
            broker.send(b"job", b"STARTED")
            self.wait_for(port, connected=1)
            host, number = monitor.broker.removeprefix("tcp://").split(":")
            socket.create_connection((host, int(number)), 5).close()
            time.sleep(0.2)
            self.wait_for(port, connected=1)
            broker.close()
            self.wait_for(port, connected=0)
            self.assertIn("a broker has connected", monitor.logged())
            self.assertIn("a broker has gone", monitor.logged())

    def wait_for(self, port: int, connected: int) -> None:
        """Wait until so many brokers are connected."""
        deadline = time.monotonic() + 10
        while get(port, "/api/status")[1]["broker"]["connected"] != connected:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_draining(self) -> None:
        """While the monitor waits for a slow client at its stop, it is alive and not ready."""
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            client = follow(monitor, "job", max_queue=1)
            broker.send_all([(b"job", b"TASK", b"x" * 100_000, b"COMPLETED")] * 100)
            self.assertEqual(get(port, "/readyz"), (200, {"ready": True, "why": []}))
            time.sleep(1)
            monitor.process.terminate()
            while (got := get(port, "/readyz"))[0] == 200:
                time.sleep(0.01)
            self.assertEqual(got[0], 503)
            self.assertIn("the monitor stops", got[1]["why"])
            self.assertEqual(get(port, "/healthz")[0], 200)
            client.socket.close()
            self.assertEqual(monitor.process.wait(15), 0)

    def test_unix_socket(self) -> None:
        """It listens on a Unix socket too, at which the command asks; the file goes with it."""
        with running_monitor() as monitor:
            monitor.stop()
            file = monitor.folder / "status"
            browsers, broker = free_ports(2)
            monitor.configure(
                websocket_uri=["127.0.0.1", browsers],
                zeromq_uri=["127.0.0.1", broker],
                logger={"file": str(monitor.log)},
                status_uri=f"unix:{file}",
            )
            monitor.start()
            self.assertIn("version", printed(monitor))
            self.assertEqual(monitor.stop(), 0)
            self.assertFalse(file.exists())

    def test_token(self) -> None:
        """With a token nothing is told without it, and the command has it from the settings."""
        with monitored(status_token=TOKEN) as (monitor, port):
            self.assertEqual(get(port, "/api/status")[0], 401)
            self.assertNotIn(TOKEN, printed(monitor))
            url = ("--url", f"http://127.0.0.1:{port}")
            done = subprocess.run([*COMMAND, "status", *url], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("401", done.stderr)
            right = [*COMMAND, "status", *url, "--token", TOKEN]
            subprocess.run(right, capture_output=True, timeout=30, check=True)

    def test_refuses_to_start(self) -> None:
        """It does not start where others could read it, and says where that stands."""
        with running_monitor() as monitor:
            monitor.stop()
            monitor.configure(status_uri=["0.0.0.0", 1])
            process = monitor.launch()
            _, error = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 1)
            self.assertIn(f"{monitor.config}:", error)
            self.assertIn("status_uri: others can connect there", error)

    def test_taken_port(self) -> None:
        """A port that is taken keeps the monitor from starting."""
        with socket.create_server(("127.0.0.1", free_ports(1)[0])) as taken:
            port = taken.getsockname()[1]
            with self.assertRaises(AssertionError), running_monitor(status_uri=["127.0.0.1", port]):
                pass

    def test_without(self) -> None:
        """Without status_uri the command says that there is nothing to ask."""
        with running_monitor() as monitor:
            command = [*COMMAND, "status", "-c", str(monitor.config)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn("status_uri is not configured", done.stderr)


class PageTests(SynchronousTestCase):
    """The pages, in a real Chromium."""

    skip = chromium_missing()

    def test_busy(self) -> None:
        """200 running jobs with 2000 followers fit on any screen, in any light, and are live."""
        jobs = [f"student_{number:036}" for number in range(200)]
        with ExitStack() as stack:
            monitor, port = stack.enter_context(monitored())
            broker = stack.enter_context(connected_broker(monitor))
            broker.send_all([(job.encode(), b"STARTED") for job in jobs])
            for number in range(2000):
                client = stack.enter_context(socket.create_connection(monitor.address))
                client.sendall(HANDSHAKE)
                client.recv(4096)
                client.sendall(frame(TEXT, jobs[number % 200].encode()))
            for width in (1280, 390):
                for scheme in ("light", "dark"):
                    self.look(broker, port, jobs[-1], viewport=width, color_scheme=scheme)

    def look(self, broker: Broker, port: int, job: str, viewport: int, color_scheme: str) -> None:
        """Look at the page and at that of the newest job, while messages come."""
        size = {"width": viewport, "height": 900}
        with open_page(viewport=size, color_scheme=color_scheme) as page:
            wrong: list[str] = []
            page.on("console", lambda one: wrong.append(one.text))
            page.on("pageerror", lambda one: wrong.append(str(one)))
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_text("2000", exact=True).first.wait_for()
            self.assertEqual(page.locator("#jobs tbody tr").count(), 200)
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), viewport)
            told = "document.querySelector('#jobs tbody tr').textContent"
            before = page.evaluate(told)
            broker.send(job.encode(), b"TASK", b"compile", b"COMPLETED")
            page.wait_for_function(
                f"before => {told} != before && {told}.includes('✓')", arg=before
            )
            page.fill("#job", job)
            page.get_by_role("button", name="Look").click()
            page.get_by_text("running, last TASK compile COMPLETED").wait_for()
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), viewport)
            self.assertEqual(page.locator("#readers tbody tr").count(), 10)
            self.assertEqual(wrong, [])

    def test_sign_in(self) -> None:
        """A browser signs in once, by a cookie that no script can read."""
        with monitored(status_token=TOKEN) as (_, port), open_page() as page:
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_label("Token").fill("wrong")
            page.get_by_role("button", name="Sign in").click()
            page.get_by_label("Token").fill(TOKEN)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_text("has never connected", exact=True).wait_for()
            self.assertEqual(page.evaluate("document.cookie"), "")

    def test_hostile_names(self) -> None:
        """Whatever jobs and tasks are called, the pages show it as text."""
        name = "<img src=x onerror=document.title='pwned'>/?#%"
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(name.encode(), b"TASK", name.encode(), name.encode())
            with open_page() as page:
                page.goto(f"http://127.0.0.1:{port}/")
                page.locator("#jobs a").click()
                page.locator("#timeline td.message").wait_for()
                self.assertEqual(page.locator("#id").text_content(), name)
                self.assertIn(name, page.locator("td.message").text_content() or "")
                self.assertEqual(page.locator("img").count(), 0)
