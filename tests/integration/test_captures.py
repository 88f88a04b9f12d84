"""Recorded traffic of the real broker, played into real monitors, byte for byte."""

import asyncio
import base64
import json
import signal
from pathlib import Path
from typing import Any

import websockets
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.support import PATIENCE, Broker, Monitor

CAPTURES = sorted((Path(__file__).parent / "captures").glob("*.jsonl"))
TOGETHER = 4  # captures at a time, each with its own monitor


def decoded(recorded: Any) -> bytes:
    """A recorded frame's bytes."""
    if isinstance(recorded, dict):
        return base64.b64decode(recorded["b64"])
    return str(recorded).encode()


class Client:
    """A client of the capture, and what it has to have by now."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.end: tuple[int, str] | None = None
        self.due: list[str] = []
        self.due_end: tuple[int, str] | None = None

    async def follow(self, url: str, channel_id: str) -> None:
        """Connect, and read in the background."""
        self.socket = await websockets.connect(url, ping_interval=None, max_size=None, proxy=None)
        await self.socket.send(channel_id)
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        """Read texts until the end."""
        try:
            async for text in self.socket:
                self.texts.append(str(text))
            closed: Any = self.socket.protocol.close_exc
        except websockets.ConnectionClosed as error:
            closed = error
        self.end = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")

    async def settle(self) -> None:
        """Wait until it has what is due."""
        for _ in range(PATIENCE * 100):
            if len(self.texts) >= len(self.due) and (self.end or not self.due_end):
                return
            await asyncio.sleep(0.01)


class Player:
    """Plays one capture into one monitor.

    Attributes:
        urls: where each client of the recording follows: there is one for each.
        remembered: texts that this monitor keeps over its stop, and the recorded one lost.
    """

    def __init__(self, monitor: Monitor, *, has_history: bool = False) -> None:
        self.monitor = monitor
        self.urls = [monitor.url]
        self.has_history = has_history
        self.remembered: list[str] = []
        self.clients: dict[str, Client] = {}
        self.brokers: dict[int, Broker] = {}
        self.broker_of_peer: dict[int, int] = {}

    async def play(self, records: list[dict[str, Any]]) -> list[str]:
        """Play it; returns what differs from the recording."""
        try:
            for record in records:
                handle = getattr(self, f"on_{record['type']}", None)
                if handle is not None:
                    await handle(record)
            await self.settle()
            await asyncio.sleep(0.3)  # for anything that must not come
            return [name for name, one in self.clients.items() if not self.as_recorded(one)]
        finally:
            await self.close()

    @staticmethod
    def as_recorded(client: Client) -> bool:
        """Whether it got exactly what was recorded."""
        return (client.texts, client.end) == (client.due, client.due_end)

    async def settle(self) -> None:
        """Wait until every client has what is due."""
        await asyncio.gather(*(client.settle() for client in self.clients.values()))

    async def close(self) -> None:
        """Stop everything."""
        for client in self.clients.values():
            client.reading.cancel()
            await client.socket.close()
        for broker in self.brokers.values():
            await asyncio.to_thread(broker.close)
        await asyncio.to_thread(self.stop_monitor)

    def stop_monitor(self) -> None:
        """Stop the monitor, if it was started."""
        if hasattr(self.monitor, "process"):
            self.monitor.stop()

    async def on_monitor(self, record: dict[str, Any]) -> None:
        """Start or stop the monitor."""
        if record["event"] == "start":
            await asyncio.to_thread(self.monitor.start)
        else:
            await self.settle()
            if self.has_history:
                self.remembered = max((one.due for one in self.clients.values()), key=len)
            number = getattr(signal, record["signal"])
            await asyncio.to_thread(self.monitor.stop, number)

    async def on_peer(self, record: dict[str, Any]) -> None:
        """Note which broker a connection belongs to."""
        if record["event"] == "open":
            self.broker_of_peer[record["peer"]] = record["broker"]

    async def on_broker(self, record: dict[str, Any]) -> None:
        """Start or stop a broker."""
        if record["event"] == "start":
            self.brokers[record["broker"]] = Broker(self.monitor.broker)
        else:
            await self.settle()
            await asyncio.to_thread(self.brokers.pop(record["broker"]).close)

    async def on_zmq(self, record: dict[str, Any]) -> None:
        """Send a message of the broker."""
        broker = self.brokers[self.broker_of_peer[record["peer"]]]
        await asyncio.to_thread(broker.send, *map(decoded, record["frames"]))

    async def on_ws(self, record: dict[str, Any]) -> None:
        """Open a client, or note what it has to get."""
        if record["event"] == "open":
            await self.settle()
            for url in self.urls:
                client = self.clients[f"{record['client']} at {url}"] = Client()
                client.due += self.remembered
                await client.follow(url, decoded(record["channel"]).decode())
            return
        for client in (self.clients[f"{record['client']} at {url}"] for url in self.urls):
            if record["event"] == "text":
                client.due.append(record["text"])
            elif record["event"] == "close":
                client.due_end = (record["code"], record["reason"])


class CaptureTests(SynchronousTestCase):
    """Every capture, in every way to run a monitor."""

    def play_all(self, way: str, *, has_history: bool = False) -> None:
        """Play all captures and compare."""
        self.assertEqual(asyncio.run(self.differing(way, has_history)), {})
        self.assertEqual(len(CAPTURES), 17)

    async def differing(self, way: str, has_history: bool) -> dict[str, list[str]]:
        """The captures whose clients did not get what was recorded, and which clients."""
        running = asyncio.Semaphore(TOGETHER)

        async def play(capture: Path) -> tuple[str, list[str]]:
            records = [json.loads(line) for line in capture.read_text().splitlines()]
            folder = Path(self.mktemp())
            folder.mkdir(parents=True)
            history = {"history": {"file": str(folder.absolute() / "history.db")}}
            monitor = Monitor(str(folder.absolute()), way, **(history if has_history else {}))
            async with running:
                return capture.stem, await Player(monitor, has_history=has_history).play(records)

        played = await asyncio.gather(*map(play, CAPTURES))
        return {name: clients for name, clients in played if clients}

    def test_command(self) -> None:
        """``recodex-monitor -c FILE`` gives every client what was recorded."""
        self.play_all("command")

    def test_history(self) -> None:
        """It also does with a history file; after a restart clients get what came before it."""
        self.play_all("command", has_history=True)

    def test_twistd(self) -> None:
        """``twistd recodex-monitor --config FILE`` does, too."""
        self.play_all("twistd")

    def test_tac(self) -> None:
        """``twistd -ny monitor.tac`` does, too."""
        self.play_all("tac")
