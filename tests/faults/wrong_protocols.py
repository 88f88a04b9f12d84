"""Clients and proxies that speak another protocol than the public port is set for."""

import socket
import time

from tests.faults.clients import Address, browser, connected, task
from tests.faults.service import serving
from tests.faults.table import Run, case
from tests.integration.support import connected_broker

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 4567\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 1]) + bytes(4)
KINDS = {"TLS on the plain port": (HELLO, HELLO[:1]), "PROXY protocol": (V1, V2, V2[:5])}


def answered(address: Address, data: bytes, source: str) -> tuple[bytes, float]:
    """The answer to the first bytes of a connection up to its end, and the seconds it took."""
    client: socket.socket = connected(address, source)
    with client:
        client.settimeout(9)
        began, came = time.monotonic(), b""
        client.sendall(data)
        while part := client.recv(4096):
            came += part
        return came, time.monotonic() - began


@case("protocols", "clients speak TLS, and proxies the PROXY protocol, to a port without them")
def wrong_protocols(run: Run) -> None:
    """Each is answered and closed at once, and the log says what to set; a client goes on."""
    count, longest, empty = run.pick(2000, 100), 0.0, 0
    kinds = [data for pieces in KINDS.values() for data in pieces]
    with serving() as service:
        with browser(service.address, "beside") as beside, connected_broker(service) as broker:
            for number in range(count):
                data = kinds[number % len(kinds)]
                source = f"127.0.5.{number % 200 + 1}"
                came, seconds = answered(service.address, data, source)
                longest, empty = max(longest, seconds), empty + (not came)
            broker.send(b"beside", b"TASK", b"0", b"COMPLETED")
            beside.read_texts(1)
            run.require(beside.texts == [task(0)], "the client beside them missed a message")
        service.settle(run, channels=1)
        for kind in KINDS:
            run.require(kind in service.logged(), f"the log does not tell of {kind}")
    run.require(not empty, f"{empty} of {count} got no answer")
    run.require(longest < run.within(0.5, 15), f"one was answered after {longest:.1f} s")
    run.amount = f"{count} connections of {len(kinds)} kinds"
    run.service = (
        f"answered and closed each within {longest * 1000:.0f} ms; the log names both kinds and "
        "the settings"
    )
