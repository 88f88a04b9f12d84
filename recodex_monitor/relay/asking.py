"""Asking: an owner that cannot reach the engine asks the other nodes whether one of them owns.

It cannot tell an engine that is down, in which case it is to keep the broker, from a link that is
cut, in which case another node has taken over by now.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

TIMEOUT = 2.0
"""Seconds to wait for a node's answer."""

MOST = 1024
"""Bytes of an answer that are looked at."""

Ask = Callable[[str], Coroutine[Any, Any, bool]]
"""Asks the node with this status address whether it owns; raises nothing."""


class _Question(TwistedProtocol):
    """A request for /ownerz."""

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()
        self._came = b""

    def connectionMade(self) -> None:
        """Called by Twisted: ask."""
        self.transport.write(b"GET /ownerz HTTP/1.0\r\n\r\n")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with a part of the answer."""
        self._came += data
        if len(self._came) > MOST:
            self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the answer is whole."""
        self.answer.callback(self._came)


def make_ask(reactor: Any) -> Ask:
    """What asks over the network."""

    async def ask(address: str) -> bool:
        host, _, port = address.rpartition(":")
        endpoint = HostnameEndpoint(reactor, host.strip("[]").encode(), int(port), timeout=TIMEOUT)
        question: Any = None
        try:
            question = await endpoint.connect(Factory.forProtocol(_Question))
            answer = await question.answer.addTimeout(TIMEOUT, reactor)
        except Exception as error:
            _log.debug("{address} does not say whether it owns: {why}", address=address, why=error)
            if question is not None:
                question.answer.addErrback(lambda _: None)
                question.transport.abortConnection()
            return False
        return b" 200 " in answer.partition(b"\r\n")[0]

    return ask


class Owner(Protocol):
    """What can give up ownership."""

    def step_down(self, why: str) -> None:
        """Become an edge."""


class Asking:
    """Asks the other nodes, and steps down if one of them owns."""

    def __init__(self, owner: Callable[[], Owner | None], ask: Ask) -> None:
        """Ask nobody yet.

        Args:
            owner: gives what steps down.
            ask: asks one node.
        """
        self.ask = ask
        self._owner = owner
        self._is_busy = False

    def begin(self, addresses: Iterable[str]) -> None:
        """Ask the nodes at these addresses, unless that is under way; empty ones are left out."""
        if not self._is_busy:
            self._is_busy = True
            ensureDeferred(self._ask_all([one for one in addresses if one]))

    async def _ask_all(self, addresses: list[str]) -> None:
        try:
            answers = await gatherResults([ensureDeferred(self.ask(one)) for one in addresses])
            owner = self._owner()
            if any(answers) and owner is not None:
                owner.step_down("another node does, and the engine is out of reach")
        finally:
            self._is_busy = False
