"""What a real monitor reports about itself."""

import socket
import time

from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.integration.status import follow, get, monitored, printed
from tests.integration.support import (
    PATIENCE,
    Broker,
    Monitor,
    connected_broker,
    free_ports,
    running_monitor,
)


class CauseTests(SynchronousTestCase):
    """Answers to: why does this student see no progress?"""

    def check(self, monitor: Monitor, port: int, job: str, cause: str) -> str:
        """The page and the command both name the cause; returns what the command prints."""
        deadline = time.monotonic() + PATIENCE
        causes: list[str] = []
        while cause not in causes and time.monotonic() < deadline:
            causes = [one["cause"] for one in get(port, f"/api/channels/{job}")[1]["hints"]]
            time.sleep(0.05)
        self.assertIn(cause, causes)
        text = printed(monitor, job)
        self.assertIn(f"  {cause}: ", text)
        return text

    def test_never_connected(self) -> None:
        """The broker has never connected: the hint names the address to connect to."""
        with monitored() as (monitor, port):
            text = self.check(monitor, port, "job", "never-connected")
            self.assertIn(monitor.broker.removeprefix("tcp://"), text)

    def test_wrong_port(self) -> None:
        """Something else connects to the broker's port: the hint tells of failed handshakes."""
        with monitored() as (monitor, port):
            host, number = monitor.broker.removeprefix("tcp://").split(":")
            with socket.create_connection((host, int(number)), 5) as other:
                other.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3\0PLAIN")
            self.assertIn("handshakes failed", self.check(monitor, port, "job", "never-connected"))
            monitor.require_logged("a handshake failed at the broker's port")

    def test_wrong_identity(self) -> None:
        """The broker is connected but addresses another name: no message has ever come."""
        with monitored() as (monitor, port), connected_broker(monitor):
            self.check(monitor, port, "job", "never-sent")

    def test_unknown(self) -> None:
        """Messages come for other jobs, but not for this one."""
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"other", b"STARTED")
            self.check(monitor, port, "job", "unknown")

    def test_waiting(self) -> None:
        """A student follows a job that the broker has not begun."""
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"other", b"STARTED")
            with follow(monitor, "job"):
                text = self.check(monitor, port, "job", "waiting")
            self.assertIn("1 waits for it", text)

    def test_expired(self) -> None:
        """The job has ended and is no longer kept."""
        settings = {"retention": 0.5}
        with monitored(channels=settings) as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"job", b"FINISHED")
            self.assertIn("(finished)", self.check(monitor, port, "job", "expired"))

    def test_refused(self) -> None:
        """A page of another origin and a client beyond the limit are refused: both are reported."""
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
        """Something in between cuts clients off without a close frame."""
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"job", b"STARTED")
            for _ in range(3):
                client = follow(monitor, "job")
                client.recv()
                client.socket.shutdown(socket.SHUT_RDWR)
            self.check(monitor, port, "job", "cut-off")

    def test_given_up(self) -> None:
        """The broker gave up the job."""
        settings = {"failed_grace": 0.2}
        with monitored(channels=settings) as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"job", b"FAILED")
            self.check(monitor, port, "job", "given-up")


class ListenerTests(SynchronousTestCase):
    """The listener itself."""

    def test_broker_comes_and_goes(self) -> None:
        """A broker counts as connected from its handshake to its disconnect; both are logged."""
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
            monitor.require_logged("a broker has connected")
            monitor.require_logged("a broker has gone")

    def wait_for(self, port: int, connected: int) -> None:
        """Wait until this many brokers are connected."""
        deadline = time.monotonic() + PATIENCE
        while get(port, "/api/status")[1]["broker"]["connected"] != connected:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_draining(self) -> None:
        """While it waits for a slow client during its stop, the monitor is alive and not ready."""
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
            self.assertEqual(monitor.process.wait(PATIENCE), 0)

    def test_refuses_to_start(self) -> None:
        """It does not start where others could read the status, and says which setting is wrong."""
        with running_monitor() as monitor:
            monitor.stop()
            monitor.configure(status_uri=["0.0.0.0", 1])
            process = monitor.launch()
            _, error = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 1)
            self.assertIn(f"{monitor.config}:", error)
            self.assertIn("status_uri: others can connect there", error)

    def test_taken_port(self) -> None:
        """A port that is taken keeps the monitor from starting."""
        with socket.create_server(("127.0.0.1", free_ports(1)[0])) as taken:
            port = taken.getsockname()[1]
            with self.assertRaises(AssertionError), running_monitor(status_uri=["127.0.0.1", port]):
                pass
