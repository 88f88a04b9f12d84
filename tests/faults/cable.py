"""A TCP connection that can be cut."""

import contextlib
import selectors
import socket
import threading

from tests.faults.clients import abort


class Cable:
    """Passes TCP connections on to a target, and can reset them."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._over = False
        self._cut = threading.Event()
        self._thread = threading.Thread(target=self._pass_on)
        self._thread.start()

    def cut(self) -> None:
        """Reset the connections on both sides."""
        self._cut.set()

    def close(self) -> None:
        """Stop."""
        self._over = True
        self._thread.join()
        self._reset()
        self._listener.close()

    def _pass_on(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.01):
                if key.fileobj is self._listener:
                    self._join()
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._copy(key.fileobj, key.data)
            if self._cut.is_set():
                self._cut.clear()
                self._reset()

    def _join(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._target)
        self._selector.register(near, selectors.EVENT_READ, far)
        self._selector.register(far, selectors.EVENT_READ, near)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            data = source.recv(65536)
            target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (source, target):
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(one)
                # Close without a reset: what was sent before still has to arrive.
                one.close()

    def _reset(self) -> None:
        for key in tuple(self._selector.get_map().values()):
            if key.fileobj is not self._listener:
                assert isinstance(key.fileobj, socket.socket)
                self._selector.unregister(key.fileobj)
                abort(key.fileobj)
