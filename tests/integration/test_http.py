"""Plain HTTP and WebSocket on one port: real monitors, real sockets, a real proxy."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.support import (
    Broker,
    Monitor,
    connected_broker,
    free_ports,
    running_monitor,
)
from tests.support.clients import HANDSHAKE, TEXT, Answer, answer, frame, frames, request

Address = tuple[str, int]

UNUSUAL = HANDSHAKE[:-2] + b"Origin: null\r\n\r\n"
"""A handshake that is in order, and still is left to Autobahn."""

NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
  upstream monitor {{ server 127.0.0.1:{monitor}; keepalive 4; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{monitor}; }}
    location /kept/ {{
      proxy_pass http://monitor/;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""


class Client:
    """A connection to a port, with time limits."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.create_connection(address, timeout=10)
        self.came = b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def until(self, *wanted: bytes) -> bytes:
        """All that has come, once one of these has come; fails at the connection's end."""
        while not any(each in self.came for each in wanted):
            data = self._socket.recv(65536)
            assert data, f"the connection ended after {self.came!r}"
            self.came += data
        return self.came

    def rest(self) -> bytes:
        """All that comes up to the connection's end, which must be no reset."""
        while data := self._socket.recv(65536):
            self.came += data
        return self.came

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def exchange(address: Address, *packets: bytes) -> bytes:
    """What comes back up to the connection's end."""
    client = Client(address)
    for packet in packets:
        client.send(packet)
    try:
        return client.rest()
    finally:
        client.close()


def get(address: Address, path: str, *headers: str, version: str = "1.1") -> Answer:
    """The whole answer to a GET."""
    head = request(path, "Connection: close", *headers, version=version)
    found = answer(exchange(address, head))
    assert found.is_whole or version == "1.0"
    return found


@contextmanager
def running_nginx(monitor: Monitor) -> Iterator[Address]:
    """The address of an nginx before the monitor, with its defaults of buffering."""
    (port,) = free_ports(1)
    folder = monitor.folder / "nginx"
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(monitor=monitor.address[1], port=port))
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(config), "-e", "stderr"])
    try:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None, "nginx did not start"
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(10)


class OddRequestTests(SynchronousTestCase):
    """Requests that are seldom, or wrong, answered as Autobahn and twisted.web see it."""

    def test_wrong_upgrades(self) -> None:
        """An upgrade that is none of WebSocket's gets the error that says why."""
        odd = {
            505: [(b"HTTP/1.1", b"HTTP/1.0")],
            405: [(b"GET", b"POST")],
            400: [
                (b"Host: monitor.example", b"Host: a\r\nHost: b"),
                (b"Host: monitor.example\r\n", b""),
                (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
                (b"Upgrade: websocket", b"Upgrade: h2c"),
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
                        self.assertTrue(got.startswith(b"HTTP/1.1 %d " % status), (new, got))

    def test_no_request_of_ours(self) -> None:
        """HTTP/2, TLS and other protocols get 400; who says nothing more is cut in time."""
        with running_monitor(limits={"handshake_timeout": 1}) as monitor:
            for data in (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
                b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
                b"GET /\r\n\r\n",
                b"\r\n\r\n",
            ):
                got = exchange(monitor.address, data)
                self.assertTrue(got.startswith(b"HTTP/1.1 400 "), got)
            for data in (b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"):
                began = time.monotonic()
                with self.assertRaises(ConnectionResetError):
                    exchange(monitor.address, data)
                self.assertLess(time.monotonic() - began, 4)

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
        """A head may come byte by byte, or with the first frame behind it, and nothing is lost."""
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
        """A client may go on by any of the ways behind an id that any other gave it."""
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
        first, *events, last, nothing = found.body.decode().split("\n\n")
        self.assertEqual(json.loads(first[6:])["recovered"], bool(after))
        self.assertEqual(json.loads(last[6:]), {"command": "END", "reason": "finished"})
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
        """A long poll is answered as soon as something comes, or when the time is over."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            broker.send(b"job", b"STARTED")
            last = json.loads(get(monitor.address, "/channels/job?wait=9").body)["last"]
            client = Client(monitor.address)
            client.send(request(f"/channels/job?wait=9&after={last}"))
            time.sleep(0.2)
            sent = time.monotonic()
            broker.send(b"job", b"ENDED")
            found = json.loads(answer(client.rest()).body)
            self.assertLess(time.monotonic() - sent, 0.5)
            self.assertEqual([each["command"] for each in found["messages"]], ["ENDED"])
            found = json.loads(get(monitor.address, "/channels/none?wait=1").body)
            self.assertEqual((found["messages"], found["last"]), ([], None))

    def test_slow_readers(self) -> None:
        """Who reads slowly gets every byte of a long job, and no reset."""
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
                self.assertEqual(answer(bytes(data)).body, whole)

    def test_stop(self) -> None:
        """When the monitor stops, streams and polls end whole, and the log tells of no trouble."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            broker.send(b"job", b"STARTED")
            clients = [Client(monitor.address) for _ in range(3)]
            for client, path in zip(
                clients, ("/events/job", "/channels/x?wait=60", "/"), strict=True
            ):
                client.send(request(path) if path != "/" else b"GET / HTTP/1.1\r\n")
            clients[0].until(b"STARTED")
            time.sleep(0.1)
            began = time.monotonic()
            self.assertEqual(monitor.stop(), 0)
            self.assertLess(time.monotonic() - began, 3)
            stream, poll, waiting = (answer(client.rest()) for client in clients)
            self.assertNotIn(b"END", stream.body)
            self.assertEqual(json.loads(poll.body)["messages"], [])
            self.assertEqual((waiting.status, waiting.headers["retry-after"]), (503, "30"))
            self.assertTrue(stream.is_whole and poll.is_whole)
            self.assertNotIn("cut off", monitor.logged())
            self.assertNotIn("Traceback", monitor.logged())

    def test_vanished_client(self) -> None:
        """A client that goes is noticed at once, and its channel goes with it."""
        with running_monitor() as monitor:
            for path in ("/events/x", "/channels/x?wait=60"):
                client = Client(monitor.address)
                client.send(request(path))
                time.sleep(0.1)
                client.close()
            deadline = time.monotonic() + 5
            while "has gone: the connection was lost" not in monitor.logged():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)


class ProxyTests(SynchronousTestCase):
    """An nginx in between that buffers and compresses what it may."""

    if shutil.which("nginx") is None:
        skip = "nginx is not installed"

    def check_events(self, address: Address, broker: Broker, path: str) -> None:
        """Each event comes through within 100 ms, and so does the end."""
        client = Client(address)
        client.send(request(path, "Accept-Encoding: gzip"))
        client.until(b"SUBSCRIBED")
        for number in range(20):
            sent = time.monotonic()
            broker.send(path[-1:].encode(), b"TASK", b"n%d" % number)
            client.until(b'"n%d"' % number)
            self.assertLess(time.monotonic() - sent, 0.1)
        sent = time.monotonic()
        broker.send(path[-1:].encode(), b"FINISHED")
        client.until(b"END")
        self.assertLess(time.monotonic() - sent, 0.1)
        client.close()

    def test_events_arrive_at_once(self) -> None:
        """Whichever HTTP it speaks to us."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            running_nginx(monitor) as nginx,
        ):
            self.check_events(nginx, broker, "/events/a")
            self.check_events(nginx, broker, "/kept/events/b")

    def test_connections_are_not_used_again(self) -> None:
        """A handshake behind plain requests, by a proxy that would keep connections, succeeds."""
        with running_monitor() as monitor, running_nginx(monitor) as nginx:
            for _ in range(3):
                for _ in range(4):
                    self.assertEqual(get(nginx, "/kept/channels/x").status, 200)
                client = Client(nginx)
                client.send(HANDSHAKE.replace(b"/ws", b"/kept/ws"))
                self.assertIn(b" 101 ", client.until(b"\r\n\r\n"))
                client.close()

    def test_pages(self) -> None:
        """Pages come through as they are, below a path too."""
        with running_monitor() as monitor, running_nginx(monitor) as nginx:
            for path in ("/", "/watch/job", "/progress.js"):
                straight = get(monitor.address, path).body
                for prefix in ("", "/kept"):
                    self.assertEqual(get(nginx, prefix + path).body, straight)
