"""A plain monitor on asyncio, `websockets` and pyzmq, which does only what the original does.

It binds a ROUTER socket for the broker. A thread reads it and hands each message to the main
thread's loop with ``call_soon_threadsafe``, as the original does (in its ``zeromq_connection.py``
and ``main.py``). Each message becomes a JSON text, is added to its channel's list and put into the
queue of every client of that channel. A client sends the channel id, gets the list and then what
comes into its queue, and is closed after ``FINISHED``. A finished channel is removed after five
minutes. It logs nothing.

Usage: python original.py [--deflate] WEBSOCKET_PORT ZMQ_PORT
"""

import argparse
import asyncio
import json
import resource
from collections import defaultdict
from threading import Thread

import zmq
from websockets.asyncio.server import ServerConnection, serve

RETENTION = 5 * 60.0
KEYS = ("command", "task_id", "task_state")

Queue = asyncio.Queue[str | None]


class Channels:
    """The messages of each channel, and the queues of its clients."""

    def __init__(self) -> None:
        self._messages: dict[str, list[str | None]] = defaultdict(list)
        self._clients: dict[str, set[Queue]] = defaultdict(set)

    def publish(self, channel: str, text: str | None) -> None:
        """Keep a message and queue it for every client; None ends the channel."""
        self._messages[channel].append(text)
        for queue in self._clients[channel]:
            queue.put_nowait(text)
        if text is None:
            asyncio.get_running_loop().call_later(RETENTION, self._remove, channel)

    def join(self, channel: str) -> Queue:
        """Return a new client's queue, which holds all messages so far."""
        queue: Queue = asyncio.Queue()
        for text in self._messages.get(channel, ()):
            queue.put_nowait(text)
        self._clients[channel].add(queue)
        return queue

    def leave(self, channel: str, queue: Queue) -> None:
        """Remove a client."""
        self._clients[channel].discard(queue)

    def _remove(self, channel: str) -> None:
        self._messages.pop(channel, None)
        self._clients.pop(channel, None)


def read_broker(channels: Channels, port: int, loop: asyncio.AbstractEventLoop) -> None:
    """Hand each message of the broker to the loop, for ever."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    socket.setsockopt(zmq.IDENTITY, b"recodex-monitor")
    socket.bind(f"tcp://127.0.0.1:{port}")
    while True:
        _, *parts = socket.recv_multipart()
        channel, *frames = [part.decode() for part in parts]
        message = dict(zip(KEYS, frames, strict=False))
        text = json.dumps(message, sort_keys=True)
        loop.call_soon_threadsafe(channels.publish, channel, text)
        if message["command"] == "FINISHED":
            loop.call_soon_threadsafe(channels.publish, channel, None)


async def serve_client(channels: Channels, client: ServerConnection) -> None:
    """Send a client its channel's messages, to the end or until it disconnects."""
    channel = str(await client.recv())
    queue = channels.join(channel)
    try:
        while (text := await queue.get()) is not None:
            await client.send(text)
    finally:
        channels.leave(channel, queue)


async def run(websocket_port: int, zmq_port: int, compression: str | None) -> None:
    """Serve until a signal ends the process."""
    channels, loop = Channels(), asyncio.get_running_loop()
    Thread(target=read_broker, args=(channels, zmq_port, loop), daemon=True).start()
    server = await serve(
        lambda client: serve_client(channels, client),
        "127.0.0.1",
        websocket_port,
        compression=compression,
        backlog=4096,
    )
    await server.serve_forever()


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--deflate", action="store_true")
    parser.add_argument("websocket_port", type=int)
    parser.add_argument("zmq_port", type=int)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    compression = "deflate" if options.deflate else None
    asyncio.run(run(options.websocket_port, options.zmq_port, compression))


if __name__ == "__main__":
    main()
