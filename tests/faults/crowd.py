"""Thousands of clients on one epoll."""

import contextlib
import resource
import select
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.faults.clients import Address, Browser, made_socket
from tests.support.frames import CLOSE, frame


class Crowd:
    """Many clients on one epoll; they read and write only within ``run``."""

    def __init__(self, address: Address) -> None:
        # Each of them needs a descriptor in this process, too.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.members: list[Browser] = []
        self._address = address
        self._epoll = select.epoll()
        self._by_number: dict[int, Browser] = {}
        self._pending: dict[int, bytes] = {}

    def connect(self, first: Iterable[bytes], source: str = "") -> list[Browser]:
        """Connect clients at once; each sends its first bytes as soon as it is connected."""
        joined = []
        for data in first:
            made = made_socket(source)
            made.setblocking(False)
            client = Browser(made)
            made.connect_ex(self._address)
            number = made.fileno()
            self._by_number[number], self._pending[number] = client, data
            self._epoll.register(number, select.EPOLLOUT)
            joined.append(client)
        self.members += joined
        return joined

    def run(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Read and write until a condition holds; returns whether it does."""
        deadline = time.monotonic() + seconds
        while not holds():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for number, events in self._epoll.poll(min(left, 0.05), 1000):
                self._turn(self._by_number[number], number, events)
        return True

    def run_handshakes(self, clients: Sequence[Browser], seconds: float = 20) -> bool:
        """Run until these clients have an answer to their handshakes."""
        return self.run(lambda: all(one.status or one.ended for one in clients), seconds)

    def run_to_close(self, seconds: float) -> bool:
        """Run until all clients have got a close frame."""
        return self.run(lambda: all(one.code or one.ended for one in self.members), seconds)

    def run_to_end(self, seconds: float) -> bool:
        """Run until all connections have ended."""
        return self.run(lambda: all(one.ended for one in self.members), seconds)

    def run_for(self, seconds: float) -> None:
        """Run for a time."""
        self.run(lambda: False, seconds)

    def _turn(self, client: Browser, number: int, events: int) -> None:
        first = self._pending.pop(number, None)
        try:
            if first is not None:
                client.socket.sendall(first)
                self._epoll.modify(number, select.EPOLLIN)
                return
            data = client.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self._end(client, number, "reset")
            return
        if data:
            client.take(data)
        else:
            self._end(client, number, "closed")

    def _end(self, client: Browser, number: int, how: str) -> None:
        client.ended = how
        self._forget(client, number)
        client.socket.close()

    def _forget(self, client: Browser, number: int) -> None:
        if self._by_number.pop(number, None) is not None:
            self._epoll.unregister(number)
            self._pending.pop(number, None)

    def leave(self, clients: Sequence[Browser] | None = None) -> None:
        """Disconnect some or all clients at once: in turn by a close frame, a FIN and a reset."""
        for turn, client in enumerate(tuple(self.members if clients is None else clients)):
            if client.socket.fileno() >= 0:
                self._forget(client, client.socket.fileno())
                if turn % 3 == 0:
                    client.send(frame(CLOSE, b"\x03\xe8"))
                if turn % 3 == 2:
                    client.abort()
                client.socket.close()
        gone = None if clients is None else set(map(id, clients))
        self.members = [one for one in self.members if gone is not None and id(one) not in gone]

    def close(self) -> None:
        """Disconnect all."""
        self.leave()
        self._epoll.close()


@contextlib.contextmanager
def crowd(address: Address) -> Iterator[Crowd]:
    """A crowd that is disconnected after the block."""
    made = Crowd(address)
    try:
        yield made
    finally:
        made.close()
