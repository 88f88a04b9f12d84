"""Dialing: finds the server to use among those that the settings name, and connects to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory

from recodex_monitor.relay.connection import EngineAway, EngineConnection, EngineError
from recodex_monitor.relay.layout import VERSION, Keys
from recodex_monitor.settings.engines import EngineAddress

OLDEST = (6, 2)
"""The oldest version of Redis that has all commands used here."""

GRACE = 0.25
"""Seconds that other servers have to answer once one has that may be used."""


class Unfit(EngineAway):
    """The server can be reached, but must not be used; the text says why and what to do."""


class Facts(NamedTuple):
    """What a server says about itself.

    Attributes:
        version: of Redis, with which Valkey is compatible.
        run: an id that is new at every start of the server.
        replication: an id of the data's line of history.
        role: ``master`` or ``slave``, as the server writes it.
        policy: what it does when its memory is full.
        memory: bytes that it uses.
        replicas: how many are connected.
        uptime: seconds since its start.
        name: of the program, with its own version.
    """

    version: str = ""
    run: str = ""
    replication: str = ""
    role: str = ""
    policy: str = ""
    memory: int = 0
    replicas: int = 0
    uptime: int = 0
    name: str = ""


def facts_of(info: bytes) -> Facts:
    """Read the reply to INFO."""
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    found = {name: value for name, _, value in lines}
    version = found.get("redis_version", "")
    name = found.get("server_name", "redis").capitalize()
    return Facts(
        version,
        found.get("run_id", ""),
        found.get("master_replid", ""),
        found.get("role", ""),
        found.get("maxmemory_policy", "noeviction"),
        int(found.get("used_memory", 0)),
        int(found.get("connected_slaves", 0)),
        int(found.get("uptime_in_seconds", 0)),
        f"{name} {found.get(f'{name.lower()}_version', version)}",
    )


def why_unfit(facts: Facts) -> str | None:
    """Why a server must not be used; None if it may."""
    if facts.role != "master":
        return "it is a replica, not the primary"
    if tuple(map(int, facts.version.split(".")[:2])) < OLDEST:
        return f"it is {facts.name}; Redis 6.2 is the oldest that can be used"
    if facts.policy != "noeviction":
        return f"it may evict keys ({facts.policy}); set its maxmemory-policy to noeviction"
    return None


class Session(NamedTuple):
    """A pair of connections to one server: what is read on one must not delay the other.

    Attributes:
        commands: for commands.
        messages: for subscriptions.
        address: of the server.
        facts: what the server said when the session began.
        generation: how many owners it has had; see lease.Lease.
    """

    commands: EngineConnection
    messages: EngineConnection
    address: EngineAddress
    facts: Facts
    generation: int = 0

    @property
    def local(self) -> str:
        """The address of this machine by which it reaches the server; empty if it has none."""
        transport: Any = self.commands.transport
        return str(getattr(transport.getHost(), "host", ""))

    def abort(self) -> None:
        """End both connections at once."""
        self.commands.abort()
        self.messages.abort()


class Dialer(NamedTuple):
    """How to reach servers.

    Attributes:
        addresses: of the servers, one of which is the primary.
        password: where the addresses have none; None without one.
        keys: have the key of the layout's version.
        timeout: seconds after which a server that does not reply is given up.
        reactor: connects, and has the time.
    """

    addresses: Sequence[EngineAddress]
    password: str | None
    keys: Keys
    timeout: float
    reactor: Any

    async def dial(self) -> Session:
        """Connect to the server that may be used.

        Of several primaries that is the one which has had the latest owner: another may have been
        cut off while its replica was promoted, and not know that yet.

        Raises:
            EngineAway: none of them can be used; the text has a reason for each.
        """
        found = await self._dial_all()
        sessions = [one for one in found if isinstance(one, Session)]
        if not sessions:
            raise EngineAway("; ".join(map(str, found)))
        best = max(sessions, key=lambda session: session.generation)
        for session in sessions:
            if session is not best:
                session.abort()
        return best

    async def _dial_all(self) -> list[Session | str]:
        """What each server gives; once one can be used, the others have ``GRACE`` seconds."""
        told: dict[EngineAddress, Session | str] = {}
        dials: list[Deferred[None]] = []
        hurrying: list[Any] = []

        def hurry() -> None:
            for dial in dials:
                dial.cancel()

        async def dial_one(address: EngineAddress) -> None:
            told[address] = found = await self._try(address)
            if isinstance(found, Session) and len(told) < len(self.addresses):
                hurrying.append(self.reactor.callLater(GRACE, hurry))

        dials += [ensureDeferred(dial_one(address)) for address in self.addresses]
        await DeferredList(dials)
        for call in hurrying:
            if call.active():
                call.cancel()
        return [told[one] for one in self.addresses]

    async def _try(self, address: EngineAddress) -> Session | str:
        """Connect to a server if it may be used; else returns why it cannot be."""
        opened: list[EngineConnection] = []
        session = ensureDeferred(self._session(address, opened))
        try:
            return await session.addTimeout(self.timeout, self.reactor)
        except Exception as error:
            for connection in opened:
                connection.abort()
            if isinstance(error, (TimedOut, CancelledError)):
                return f"{address}: it does not answer"
            if not isinstance(error, (OSError, EngineAway, EngineError)):
                return f"{address}: {type(error).__name__}: {error}"
            return f"{address}: {error}"

    async def generation_of(self, address: EngineAddress) -> int:
        """How many owners a server has had; -1 if it must not be used.

        Raises:
            OSError: it cannot be reached.
            EngineAway: the connection was lost.
            EngineError: it refuses.
        """
        opened: list[EngineConnection] = []
        try:
            commands = await self._log_in(address, opened)
            if why_unfit(facts_of(await commands.call("INFO"))) is not None:
                return -1
            return int(await commands.call("HGET", self.keys.fence, "generation") or 0)
        finally:
            for connection in opened:
                connection.abort()

    async def _session(self, address: EngineAddress, opened: list[EngineConnection]) -> Session:
        commands = await self._log_in(address, opened)
        facts = facts_of(await commands.call("INFO"))
        why = why_unfit(facts)
        if why is not None:
            raise Unfit(why)
        await commands.call("SET", self.keys.meta, VERSION, "NX")
        version = await commands.call("GET", self.keys.meta)
        if version != VERSION.encode():
            text = version.decode(errors="replace")[:20] if version else "none"
            raise Unfit(f"{self.keys.meta} is {text}, not {VERSION}: choose another prefix")
        generation = int(await commands.call("HGET", self.keys.fence, "generation") or 0)
        messages = await self._log_in(address, opened)
        return Session(commands, messages, address, facts, generation)

    async def _log_in(
        self, address: EngineAddress, opened: list[EngineConnection]
    ) -> EngineConnection:
        endpoint = self._endpoint(address)
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda _: EngineConnection(self.reactor.seconds)  # type: ignore
        connection: EngineConnection = await endpoint.connect(factory)  # type: ignore[assignment]
        opened.append(connection)
        password = address.password or self.password
        if password is not None:
            user = [address.user] if address.user else []
            await connection.call("AUTH", *user, password)
        if address.database:
            await connection.call("SELECT", address.database)
        await connection.call("CLIENT", "SETNAME", "recodex-monitor")
        return connection

    def _endpoint(self, address: EngineAddress) -> IStreamClientEndpoint:
        if address.path:
            return UNIXClientEndpoint(self.reactor, address.path, self.timeout)
        plain = HostnameEndpoint(
            self.reactor, address.host.encode(), address.port, timeout=self.timeout
        )
        if not address.tls:
            return plain
        from twisted.internet.ssl import optionsForClientTLS

        return wrapClientTLS(optionsForClientTLS(address.host), plain)
