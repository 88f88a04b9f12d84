"""Plain HTTP and WebSocket on one port: real monitors and real sockets."""

import json
import re
import socket
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.http import Client, exchange, get
from tests.integration.support import PATIENCE, Monitor, connected_broker, running_monitor
from tests.support.frames import HANDSHAKE, TEXT, frame, frames
from tests.support.http import answer, request

UNUSUAL = HANDSHAKE[:-2] + b"Origin: null\r\n\r\n"
"""A valid handshake that is not on the fast path."""


class OddRequestTests(SynchronousTestCase):
    """Unusual and invalid requests."""

    def test_wrong_upgrades(self) -> None:
        """An upgrade that is none of WebSocket's is ignored, or gets the error that says why."""
        odd = {
            404: [(b"HTTP/1.1", b"HTTP/1.0"), (b"Upgrade: websocket", b"Upgrade: h2c")],
            426: [(b"Version: 13", b"Version: 8"), (b"Version: 13", b"Version: 013")],
            405: [(b"GET", b"POST")],
            400: [
                (b"Host: monitor.example", b"Host: a\r\nHost: b"),
                (b"Host: monitor.example\r\n", b""),
                (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
                (b"Upgrade: websocket", b"Upgrade:\r\n websocket"),
                (b"Upgrade: websocket", b"Upgrade: websocket\r\n\tfolded"),
                (b"Sec-WebSocket-Version: 13\r\n", b""),
                (b"Connection: Upgrade\r\n", b""),
            ],
        }
        with running_monitor() as monitor:
            for status, changes in odd.items():
                for old, new in changes:
                    for head in (HANDSHAKE, UNUSUAL):
                        self.assertIn(old, head)
                        got = exchange(monitor.address, head.replace(old, new, 1))
                        self.assertEqual(int(got.split()[1]), status, (new, got))

    def test_no_request_of_ours(self) -> None:
        """Other protocols are answered or closed at once; a silent connection is cut in time."""
        with running_monitor(limits={"handshake_timeout": 3}) as monitor:
            for data, expected in (
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), b"HTTP/1.1 505 "),
                (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"\x15\x03\x01"),
                (b"GET /\r\n\r\n", b"HTTP/1.1 400 "),
                (b"GET / HTTP/1.1\nHost: a\n\n", b"HTTP/1.1 400 "),
                (b"\r\n\r\n\r\n", b"HTTP/1.1 400 "),
                (b"\xff\0\0\0\0\0\0\0\x01\x7f", b""),
                (b"SSH-2.0-OpenSSH_9.2p1\r\n", b""),
            ):
                got = exchange(monitor.address, data)
                self.assertEqual(got[: len(expected)], expected)
                self.assertEqual(bool(got), bool(expected))
            for data in (b"", b"GET / HTTP/1.1\r\n", b"\r\n\r\n"):
                with self.assertRaises(ConnectionResetError):
                    exchange(monitor.address, data)

    def test_upgrades_anywhere(self) -> None:
        """A handshake is accepted at any path, those of plain HTTP too."""
        with running_monitor() as monitor:
            for path in (b"/events/x", b"/channels/x?wait=9", b"/", b"/progress.js", b"/a/b"):
                for head in (HANDSHAKE, UNUSUAL):
                    client = Client(monitor.address)
                    client.send(head.replace(b"/ws?x=1", path))
                    self.assertTrue(client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 "))
                    client.close()

    def test_any_pieces(self) -> None:
        """A head may come byte by byte or together with the first frame; nothing is lost."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            broker.send(b"job", b"FINISHED")
            for head in (HANDSHAKE, UNUSUAL):
                data = head + frame(TEXT, b"job")
                for packets in (
                    [data],
                    [bytes([byte]) for byte in data],
                    [data[:100], data[100:]],
                    [data[: len(head) - 1], data[len(head) - 1 :]],
                ):
                    client = Client(monitor.address)
                    for packet in packets:
                        client.send(packet)
                        time.sleep(0.001)
                    came = client.until(b"\x88\x02\x03\xe8")
                    answered, _, sent = came.partition(b"\r\n\r\n")
                    self.assertTrue(answered.startswith(b"HTTP/1.1 101 "))
                    self.assertEqual(frames(sent)[0], (TEXT, b'{"command": "FINISHED"}'))
                    client.close()

    def test_long_heads(self) -> None:
        """A head beyond the limit gets 431, of either kind, in one packet or many."""
        with running_monitor() as monitor:
            for head in (HANDSHAKE, request("/")):
                long = head[:-2] + b"X: " + b"x" * 20_000 + b"\r\n\r\n"
                for packets in ([long], [long[at : at + 1000] for at in range(0, 16_500, 1000)]):
                    got = exchange(monitor.address, *packets)
                    self.assertTrue(got.startswith(b"HTTP/1.1 431 "), got)


class StreamTests(SynchronousTestCase):
    """Channels over plain HTTP."""

    def test_resume_by_all_encodings(self) -> None:
        """A client may resume over any transport, with an id from any other."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            broker.send(b"job", b"STARTED")
            for number in range(1000):
                broker.send(b"job", b"TASK", b"%d" % number, b"COMPLETED")
            broker.send(b"job", b"FINISHED")
            ways = (self.by_events, self.by_snapshot, self.by_poll, self.by_websocket)
            whole = ways[0](monitor, "")
            self.assertEqual(len(whole), 1002)
            for way in ways:
                self.assertEqual(way(monitor, ""), whole, way)
                for number in (1, 500, 1001):
                    self.assertEqual(way(monitor, whole[number - 1]["id"]), whole[number:], way)

    def by_events(self, monitor: Monitor, after: str) -> list[Any]:
        """The messages of an event stream."""
        found = get(monitor.address, "/events/job", f"Last-Event-ID: {after}")
        retry, first, *events, last, nothing = found.body.decode().split("\n\n")
        self.assertRegex(retry, r"^retry: [1-5]\d{3}$")
        self.assertEqual(json.loads(first[6:])["recovered"], bool(after))
        self.assertEqual(json.loads(last[6:])["command"], "END")
        self.assertEqual(nothing, "")
        lines = [event.split("\n") for event in events]
        return [json.loads(data[6:]) | {"id": name[4:]} for name, data in lines]

    def by_snapshot(self, monitor: Monitor, after: str) -> list[Any]:
        """The messages of a snapshot."""
        found = json.loads(get(monitor.address, f"/channels/job?after={after}").body)
        self.assertEqual((found["recovered"], found["end"]), (bool(after), "finished"))
        return list(found["messages"])

    def by_poll(self, monitor: Monitor, after: str) -> list[Any]:
        """The messages of a long poll."""
        path = f"/channels/job?wait=25&after={after}"
        return list(json.loads(get(monitor.address, path).body)["messages"])

    def by_websocket(self, monitor: Monitor, after: str) -> list[Any]:
        """The messages of a WebSocket with ids."""
        client = Client(monitor.address)
        client.send(HANDSHAKE.replace(b"x=1", b"after=" + after.encode()) + frame(TEXT, b"job"))
        _, _, sent = client.until(b"\x88\x02\x03\xe8").partition(b"\r\n\r\n")
        client.close()
        _, *messages, _ = [json.loads(text) for opcode, text in frames(sent) if opcode == TEXT]
        return messages

    def test_long_poll(self) -> None:
        """A long poll is answered when a message comes, or when its time is over."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            broker.send(b"job", b"STARTED")
            last = json.loads(get(monitor.address, "/channels/job?wait=9").body)["last"]
            client = Client(monitor.address)
            client.send(request(f"/channels/job?wait=60&after={last}"))
            time.sleep(0.2)
            sent = time.monotonic()
            broker.send(b"job", b"ENDED")
            found = json.loads(answer(client.rest()).body)
            self.assertLess(time.monotonic() - sent, 30)
            self.assertEqual([each["command"] for each in found["messages"]], ["ENDED"])
            found = json.loads(get(monitor.address, "/channels/none?wait=1").body)
            self.assertEqual((found["messages"], found["last"]), ([], None))

    def test_slow_readers(self) -> None:
        """A slow client gets every byte of a long job, and no reset."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            for number in range(20_000):
                broker.send(b"job", b"TASK", b"%d" % number, b"COMPLETED")
            broker.send(b"job", b"FINISHED")
            for path in ("/events/job", "/channels/job"):
                whole = get(monitor.address, path).body
                with socket.socket() as slow:
                    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    slow.connect(monitor.address)
                    slow.sendall(request(path))
                    time.sleep(1)
                    data = bytearray()
                    while part := slow.recv(65536):
                        data += part
                        time.sleep(0.0005)
                varies = rb'^retry: \d+|"age": [0-9.]+'
                bodies = (whole, answer(bytes(data)).body)
                self.assertEqual(*(re.sub(varies, b"", body) for body in bodies))

    def test_stop(self) -> None:
        """When the monitor stops, streams and polls end completely, and no error is logged."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            broker.send(b"job", b"STARTED")
            clients = [Client(monitor.address) for _ in range(3)]
            for client, path in zip(
                clients, ("/events/job", "/channels/x?wait=60", "/"), strict=True
            ):
                client.send(request(path) if path != "/" else b"GET / HTTP/1.1\r\n")
            clients[0].until(b"STARTED")
            time.sleep(0.1)
            self.assertEqual(monitor.stop(), 0)
            stream, poll, waiting = (answer(client.rest()) for client in clients)
            self.assertNotIn(b"END", stream.body)
            self.assertEqual(json.loads(poll.body)["messages"], [])
            self.assertEqual((waiting.status, waiting.headers["retry-after"]), (503, "30"))
            self.assertTrue(stream.is_whole and poll.is_whole)
            self.assertNotIn("cut off", monitor.logged())
            self.assertNotIn("Traceback", monitor.logged())

    def test_vanished_client(self) -> None:
        """A client that disconnects is noticed at once, and its channel is freed."""
        with running_monitor() as monitor:
            for path in ("/events/x", "/channels/x?wait=60"):
                client = Client(monitor.address)
                client.send(request(path))
                time.sleep(0.1)
                client.close()
            deadline = time.monotonic() + PATIENCE
            while "no longer follows 'x': the connection was lost" not in monitor.logged():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
