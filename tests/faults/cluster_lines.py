"""TCP relays between the parts of a cluster: they can be held up, cut, or follow the owner."""

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

from tests.faults.clients import abort
from tests.integration.cluster import Node
from tests.integration.support import free_ports

Target = tuple[str, int]

PROBES, PROBE_TIMEOUT, FALL = 0.5, 1.0, 2
"""Seconds between two questions who owns, and for an answer; how many without one are too many."""


class Gate:
    """One direction, which is open or shut: what is sent meanwhile arrives afterwards."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.wait = self._open.wait
        self.open = self._open.set
        self.shut = self._open.clear


class Line:
    """A way over TCP from one who dials to a target.

    Attributes:
        port: where it is dialled.
        there: towards the target; shut, as if all packets were lost.
        back: from the target.
        refused: how many dials are to be refused from now on.
        dials: how many there were.
    """

    def __init__(self, target: Callable[[], Target | None], buffer: int = 0) -> None:
        self.there, self.back = Gate(), Gate()
        self.refused = self.dials = 0
        self._target = target
        self._buffer = buffer
        self._ends: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", free_ports(1)[0]), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self.dials += 1
        self.there.wait()
        target = self._target()
        if self.refused or target is None:
            self.refused = max(0, self.refused - 1)
            abort(near)
            return
        far = socket.socket()
        if self._buffer:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        try:
            far.connect(target)
        except OSError:
            abort(near)
            return
        self._ends.append((near, far))
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pass_on, args=(far, near, self.back), daemon=True)
        back.start()
        self._pass_on(near, far, self.there)
        back.join()
        self._ends.remove((near, far))
        for one in (near, far):
            one.close()

    def _pass_on(self, source: socket.socket, target: socket.socket, gate: Gate) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                gate.wait()
                target.sendall(data)
            gate.wait()
            # What the other side still sends has to arrive, as through any proxy.
            target.shutdown(socket.SHUT_WR)
            return
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Reset all connections."""
        for near, far in tuple(self._ends):
            for one in (near, far):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Let nothing through, in both directions."""
        self.there.shut()
        self.back.shut()

    def release(self) -> None:
        """Let everything through again."""
        self.there.open()
        self.back.open()

    def close(self) -> None:
        """Stop."""
        self._listener.close()
        self.release()
        self.cut()


class Balancer:
    """Brings the broker to the node that owns, as install/proxy/haproxy.cfg does.

    A connection that exists stays where it is until one side ends it, or until its node has
    answered nothing two times.

    Attributes:
        line: where the broker connects.
        address: of the line, for ZeroMQ.
        given_up: how often a connection was cut since its node did not answer.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._owning: dict[Node, bool] = {}
        self._silent = dict.fromkeys(nodes, 0)
        self._talks_to: Node | None = None
        self._over = threading.Event()
        self.given_up = 0
        self.line = Line(self._owner)
        self.address = f"tcp://127.0.0.1:{self.line.port}"
        self._probing = [threading.Thread(target=self._probe, args=(one,)) for one in nodes]
        for one in self._probing:
            one.start()

    def _owner(self) -> Target | None:
        node = next((one for one in self._nodes if self._owning.get(one)), None)
        if node is None:
            return None
        self._talks_to = node
        host, _, port = node.broker.removeprefix("tcp://").rpartition(":")
        return host, int(port)

    def _probe(self, node: Node) -> None:
        while not self._over.wait(PROBES):
            answer = node.asked("/ownerz", PROBE_TIMEOUT)
            self._owning[node] = answer == 200
            self._silent[node] = 0 if answer else self._silent[node] + 1
            if self._silent[node] == FALL and self._talks_to is node:
                self.given_up += 1
                self.line.cut()

    def close(self) -> None:
        """Stop."""
        self._over.set()
        for one in self._probing:
            one.join()
        self.line.close()
