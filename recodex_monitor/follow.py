"""Follow a job from a program: every message once and in order, also over lost connections.

::

    async for message in follow_job("wss://recodex.example.org/ws", "student_..."):
        print(message["command"], message.get("task_id", ""))

It needs the extra ``tools``: ``pip install 'recodex-monitor[tools]'``.
"""

import asyncio
import json
import math
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Required, TypedDict, cast
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

SILENCE = 40.0
"""Seconds without a message after which a connection counts as dead; heartbeats come every 25."""

_DELAY = (1.0, 5.0)  # seconds until it connects again
_REFUSALS = (1003, 1008, 1009)

Token = str | Callable[[], str]
"""A follower's token, or what makes a new one for each connection."""


class Message(TypedDict, total=False):
    """A message of the job, as docs/protocol.md describes them; ``command`` is always there.

    ``restarted`` is true in the first message after the monitor has lost what it had: all that it
    knows follows, from the beginning. ``id`` is missing with a monitor that sends no ids.
    """

    command: Required[str]
    task_id: str
    task_state: str
    id: str
    restarted: bool


class Refused(Exception):
    """The monitor does not let this job be followed: a wrong id, or no right to it.

    Attributes:
        code: the close code.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason or f"refused by code {code}")
        self.code = code


async def follow_job(
    url: str, channel: str, *, token: Token | None = None, patience: float = math.inf
) -> AsyncIterator[Message]:
    """Yield the messages of a job until it is over.

    A lost connection is replaced after 1 to 5 seconds and resumed, so nothing is missing and
    nothing comes twice. A monitor that sends no ids, such as the original, cannot resume.

    Args:
        url: the monitor's address, such as ``wss://HOST/ws``.
        channel: the id of the job's channel.
        token: the follower's, where the monitor asks for one.
        patience: seconds for which a lost monitor is looked for before the error is raised.

    Raises:
        Refused: the job must not be followed.
        ValueError: the channel's id is not Unicode, or the server is not a monitor.
        OSError, websockets.exceptions.WebSocketException: there is no connection: from the
            beginning, or for as long as ``patience``, or with a monitor that cannot resume.
    """
    from websockets.exceptions import WebSocketException

    _check(channel)
    log, clock = Log(), asyncio.get_running_loop().time
    heard = -math.inf
    while True:
        try:
            async with _connect(url, log.last, token) as connection:
                await connection.send(channel)
                while not log.is_over:
                    text = await asyncio.wait_for(connection.recv(), log.silence)
                    heard = clock()
                    for message in log.take(decode(text)):
                        yield message
                return
        except (OSError, WebSocketException) as error:
            log.is_renewed = _is_expired(error, callable(token) and not log.is_renewed)
            if not log.is_renewed and (not log.can_resume or clock() - heard >= patience):
                raise
        await asyncio.sleep(random.uniform(*_DELAY))


def _check(channel: str) -> None:
    # Python passes bytes of the command line that are not UTF-8 as lone surrogates.
    if any("\ud800" <= char <= "\udfff" for char in channel):
        raise ValueError("the channel id is not UTF-8")


def decode(text: str | bytes) -> dict[str, object]:
    """Read one message of the monitor.

    Raises:
        ValueError: it is not a JSON object in a text message.
    """
    try:
        message = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ValueError("the server there is not a ReCodEx monitor")
    return message


class Log:
    """What has come of a job.

    Attributes:
        last: the id of the last message; empty before the first one.
        can_resume: whether the monitor sends ids.
        is_over: whether nothing more will come.
        is_renewed: whether the token is a second one, since the first had expired.
    """

    def __init__(self) -> None:
        """Begin without messages."""
        self.last = ""
        self.can_resume = self.is_over = self.is_renewed = False
        self._is_new = False

    @property
    def silence(self) -> float | None:
        """Seconds for which a connection may be silent; None if it may for ever."""
        return SILENCE if self.can_resume else None

    def take(self, message: Mapping[str, Any]) -> list[Message]:
        """Take what came; returns the job's message in it, if there is one."""
        match message.get("command"):
            case "SUBSCRIBED" if "recovered" in message:
                self.can_resume, self.is_renewed = True, False
                self._is_new = bool(self.last) and not message["recovered"]
            case "END" if self.can_resume:
                self.is_over = True
            case "PING" if self.can_resume:
                pass
            case _:
                return [self._added(dict(message))]
        return []

    def _added(self, message: dict[str, Any]) -> Message:
        self.last = message.get("id", "")
        self.is_over = not self.can_resume and message.get("command") == "FINISHED"
        if self._is_new:
            message["restarted"], self._is_new = True, False
        return cast(Message, message)


def _connect(
    url: str, after: str, token: Token | None
) -> "AbstractAsyncContextManager[ClientConnection]":
    from websockets.asyncio.client import connect

    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, f"after={quote(after, safe='')}")))
    made = token() if callable(token) else token
    return connect(
        urlunsplit(parts._replace(query=query)),
        additional_headers={"Authorization": f"Bearer {made}"} if made else None,
        proxy=None,
        max_size=None,
        compression=None,
        close_timeout=1,
    )


def _is_expired(error: Exception, can_renew: bool) -> bool:
    """Whether a new token may help; raises Refused if that is what an error means otherwise."""
    from websockets.exceptions import ConnectionClosed

    if isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code in _REFUSALS:
        if error.rcvd.reason == "token: expired" and can_renew:
            return True
        raise Refused(error.rcvd.code, error.rcvd.reason) from error
    return False
