"""Autobahn's test suite against a channel that is joined."""

import socket
import socketserver
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults import wstest
from tests.faults.clients import FINISHED, Address, browser
from tests.faults.service import serving
from tests.faults.table import Run, Skipped, case
from tests.integration.support import connected_broker
from tests.support.frames import TEXT, frame

WITHOUT = ["9.7.*", "9.8.*"]
"""Cases that time the echoes of a thousand messages, each sent when the one before is back."""

QUICK = ["3.1", "3.5", "4.1.1", "5.1", "6.3.1", "6.4.4", "7.3.*", "7.9.*", "9.1.6", "13.1.1"]
"""Cases for the short form: some of each kind, none that waits for an echo."""


@contextmanager
def joining(target: Address, channel: str) -> Iterator[str]:
    """The URL of a relay that joins a channel for every client, before its first frame."""

    class Joining(socketserver.BaseRequestHandler):
        """Passes a connection on, with the channel's id behind the head of the handshake."""

        def handle(self) -> None:
            head = b""
            while b"\r\n\r\n" not in head:
                head += self.request.recv(65536) or b"\r\n\r\n"
            with socket.create_connection(target) as server:
                server.sendall(head + frame(TEXT, channel.encode()))
                back = threading.Thread(target=pass_on, args=(server, self.request))
                back.start()
                pass_on(self.request, server)
                back.join()

    class Relay(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Relay(("127.0.0.1", 0), Joining) as relay:
        thread = threading.Thread(target=relay.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield "ws://{}:{}".format(*relay.server_address)
        finally:
            relay.shutdown()
            thread.join()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, and then the end, of whatever kind."""
    how = socket.SHUT_WR
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        how = socket.SHUT_RDWR
    try:
        target.shutdown(how)
    except OSError:
        return  # it has ended already


def verdict(report: Any) -> str:
    """What came of a case: "passed", or why it did not pass; "?" if nothing explains that."""
    behavior, close = report["behavior"], report["behaviorClose"]
    if behavior == "UNIMPLEMENTED" and close == "OK":
        return "no compression"
    if report["remoteCloseCode"] == 1009 and not report["received"]:
        return "a message beyond 4096 bytes"
    if close not in ("OK", "INFORMATIONAL"):
        return "?"
    if behavior in ("OK", "INFORMATIONAL"):
        return "passed"
    echoes = [[each for each in events if each[0] == "message"] for events in expected(report)]
    if behavior == "NON-STRICT" and any(echoes):
        return "passed but for an echo"
    others = [[each for each in events if each[0] != "message"] for events in expected(report)]
    return "no echo" if any(echoes) and report["received"] in others else "?"


def expected(report: Any) -> list[Any]:
    """The right courses of a case, each a list of events."""
    return list(report["expected"].values())


@case("autobahn", "the fuzzing client of Autobahn's test suite, on a channel that is joined")
def autobahn(run: Run) -> None:
    """What it finds is by design: no echo, no compression, no messages beyond 4096 bytes."""
    if reason := wstest.missing():
        raise Skipped(reason)
    counts: Counter[str] = Counter()
    with (
        serving() as service,
        tempfile.TemporaryDirectory() as folder,
        connected_broker(service) as broker,
    ):
        with joining(service.address, "joined") as url:
            cases = ["*"] if run.long else QUICK
            for report in wstest.results(url, cases, WITHOUT, Path(folder)):
                found = verdict(report)
                counts[found] += 1
                problem = f"{report['id']}: {report['result']} {report['resultClose']}"
                run.require(found != "?", problem)
        with browser(service.address, "joined") as after:
            broker.send(b"joined", b"FINISHED")
            after.read_close()
            run.require(after.texts == [FINISHED], "a client after them was not served")
        run.require(counts["passed"] > 0, "no case has passed")
        service.settle(run, channels=1)
        service.check(run)
    run.amount = f"{counts.total()} cases"
    run.service = "; ".join(f"{count} {name}" for name, count in counts.most_common())
