"""The site of the public port: pages, and channels as event streams and as snapshots."""

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from twisted.logger import Logger
from twisted.web import http

from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.channels.trials import is_trial
from recodex_monitor.clients.access import may_follow, token_of
from recodex_monitor.clients.admission import Refused, Unauthorized
from recodex_monitor.clients.connections import Connections
from recodex_monitor.clients.delivery import resume_point
from recodex_monitor.clients.forwarded import source_of_request
from recodex_monitor.clients.handshake import Handshake, handshake_of, is_handshake
from recodex_monitor.clients.http_connection import HttpConnection
from recodex_monitor.clients.jobs_stream import followed_in
from recodex_monitor.clients.opening import Opening
from recodex_monitor.clients.origins import allow_origin, answer_preflight
from recodex_monitor.clients.paths import FOLDER, OWN_FILES, PAGES, id_of, not_found, parse_path
from recodex_monitor.clients.refusals import METHODS, STOPPING, refusal, refusal_of
from recodex_monitor.clients.snapshots import MAX_WAIT
from recodex_monitor.clients.stream_factory import StreamFactory
from recodex_monitor.clients.streams import Stream
from recodex_monitor.clients.watch_page import Asked, WatchPage
from recodex_monitor.network.static import File, read_common, read_file
from recodex_monitor.network.tokens import TokenRefused
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import TimeSlices
from recodex_monitor.timing.timeouts import Timeouts

_log = Logger()

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_INDEX = "index.html"
_NO_FOLLOW = (
    "The path must end with a channel id, as in /events/CHANNEL, or the query must name from 1 to "
    "{most} channels, as in /events?follow=CHANNEL&follow=CHANNEL@AFTER."
)
_BUG = Refused(500, "internal error", "The monitor could not answer, because of a bug in it.")


class Site:
    """Makes the connections that speak plain HTTP, and answers their requests.

    It is the ``http_connection.Server`` of its connections.
    """

    def __init__(
        self,
        streams: StreamFactory,
        connections: Connections,
        settings: LiveSettings,
        clock: Clock,
        to_websocket: Callable[[HttpConnection, Handshake], None],
    ) -> None:
        """Begin without connections.

        Args:
            streams: makes the answers that follow channels.
            connections: knows all connections, and admits clients.
            settings: have the limits of the connections.
            clock: tells the time.
            to_websocket: continues a connection that has sent a handshake as a WebSocket.
        """
        self._streams = streams
        self._connections = connections
        self._settings = settings
        self._seconds = clock.seconds
        self._to_websocket = to_websocket
        own = {name: read_file(FOLDER / (name or _INDEX)) for name in ("", *OWN_FILES)}
        pages = {name: read_file(FOLDER / f"{name}.html") for name in PAGES}
        self._files = own | pages | read_common()
        self._watch_page = WatchPage(FOLDER)
        self._finishing = Timeouts[HttpConnection](lambda: settings.limits.finish_timeout)
        self._roots: dict[str, Callable[[Any, str], None]] = {
            "events": self._events,
            "channels": self._messages,
            "watch": self._watch,
        }
        self.sweep = TimeSlices(clock, self._sweep_steps)
        """Cuts the clients that read too slowly; call it every second."""

    def buildProtocol(self) -> HttpConnection:
        """Make a connection that is to begin with a request."""
        return HttpConnection(self, self._settings.limits.max_handshake_size)

    def lost(self, connection: HttpConnection) -> None:
        """Called when a connection has ended; see Server."""
        self._finishing.discard(connection)
        if connection.stream is not None:
            connection.stream.lost()
        if connection.address is not None:
            self._connections.release(connection.address)
        self._connections.lost(connection)

    def refused(self, refused: Refused) -> None:
        """Count a request that is not understood; see Server."""
        self._connections.refuse(refused)

    def finishing(self, connection: HttpConnection) -> None:
        """Wait until the client has read the rest; see Server."""
        self._finishing.put_once(connection, self._seconds())

    def received(self, request: Any) -> None:
        """Answer a request, whatever it asks for; see Server."""
        connection = request.channel
        self._connections.head_received(connection.transport)
        request.setHeader(b"Date", http.datetimeToString())
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        try:
            self._answer(request)
        except TokenRefused as refused:
            _refuse(request, Unauthorized(refused.detail))
        except Refused as refused:
            if not _is_for_trial(request):
                self._connections.refuse(refused)
            _refuse(request, refused)
        except NoRoom as error:
            told = refusal_of(error)
            self._connections.refused.add(told.reason, error)
            _refuse(request, told)
        except Exception:
            _log.failure("answering an HTTP request failed")
            if request.startedWriting or connection.stream is not None:
                connection.cut()
            else:
                _refuse(request, _BUG)

    def _answer(self, request: Any) -> None:
        if is_handshake(request):
            _check(request)
            self._to_websocket(request.channel, handshake_of(request))
            return
        allow_origin(request, self._connections)
        _check(request)
        if request.method not in METHODS.encode().split(b", "):
            raise Refused(405, "other method", f"The methods are {METHODS}.")
        if request.method == b"OPTIONS":
            answer_preflight(request, self._connections)
        else:
            self._admit(request)
            self._serve(request)

    def _admit(self, request: Any) -> None:
        connection = request.channel
        source = source_of_request(request)
        connection.address = self._connections.admit(connection.transport, source)

    def _serve(self, request: Any) -> None:
        path = parse_path(request.path)
        if path is None:
            raise not_found(request.path)
        if path.name in self._files:
            _send_file(request, self._files[path.name])
        elif path.name == "events" and not path.quoted_id:
            self._jobs(request)
        else:
            self._roots[path.name](request, id_of(path, self._settings.limits.max_channel_id))

    def _watch(self, request: Any, channel_id: str) -> None:
        wanted = _text(_argument(request, b"lang"))
        accepted = _text(request.getHeader(b"Accept-Language") or b"")
        asked = Asked(
            self._watch_page.language(wanted, accepted),
            _text(_argument(request, b"tasks")),
            _text(_argument(request, b"back")),
        )
        channel = self._streams.hub.retention.find(channel_id)
        if not may_follow(self._streams.access, request, channel_id):
            channel = None
        present = self._streams.announcements.present(channel)
        page = self._settings.page
        request.setHeader(b"Vary", b"Origin, Accept-Language")
        request.setHeader(b"Content-Language", asked.language.encode())
        file = self._watch_page.render(channel_id, channel, present, asked, page)
        _send_file(request, file)

    def _jobs(self, request: Any) -> None:
        follows = followed_in(request.uri)
        most = self._settings.limits.max_channels_per_request
        if not 0 < len(follows) <= most:
            raise Refused(400, "bad follow", _NO_FOLLOW.format(most=most))
        token = token_of(self._streams.access, request)
        self._streams.jobs_stream(request, follows, token).begin(_last_event_id(request))

    def _events(self, request: Any, channel_id: str) -> None:
        last = _last_event_id(request)
        token = token_of(self._streams.access, request, channel_id)
        if request.method == b"HEAD":
            _check_room(self._streams, channel_id)
            if self._streams.is_over(channel_id, last):
                request.setResponseCode(204)
        stream = self._streams.event_stream(request, channel_id)
        stream.token = token
        self._open(request, stream, channel_id, last)

    def _messages(self, request: Any, channel_id: str) -> None:
        wait = _argument(request, b"wait") or b"0"
        if not re.fullmatch(rb"[0-9]{1,2}", wait) or int(wait) > MAX_WAIT:
            text = f"wait must be a whole number of seconds from 0 to {MAX_WAIT}."
            raise Refused(400, "bad wait", text)
        token = token_of(self._streams.access, request, channel_id)
        if request.method == b"HEAD" and int(wait):
            _check_room(self._streams, channel_id)
        stream = self._streams.snapshot(request, channel_id, int(wait))
        stream.token = token
        self._open(request, stream, channel_id, _resume_point(request))

    def _open(self, request: Any, stream: Stream, channel_id: str, after: str) -> None:
        def refuse(refused: Refused) -> None:
            if refused is not STOPPING:
                self._connections.refuse(refused)
            _refuse(request, refused)

        opening = Opening(request, stream, after, refuse)
        opening.begin(self._streams.hub.source, channel_id)

    def _sweep_steps(self) -> Iterator[None]:
        for connection in self._finishing.pop_due(self._seconds()):
            connection.cut()
            yield


def _check(request: Any) -> None:
    """Refuse a request that is wrong, whatever it asks for."""
    hosts = request.requestHeaders.getRawHeaders(b"Host", ())
    if len(hosts) > 1 or (not hosts and request.clientproto == b"HTTP/1.1"):
        raise Refused(400, "bad request", "The header Host is missing, or there are several.")
    if request.channel.has_body:
        raise Refused(413, "request with a body", "The request has a body. Send it without one.")


def _is_for_trial(request: Any) -> bool:
    """Whether the request is a test by ``doctor``, which no statistics count."""
    path = parse_path(request.path)
    return path is not None and is_trial(path.quoted_id.decode("latin-1"))


def _check_room(streams: StreamFactory, channel_id: str) -> None:
    """Let HEAD be refused like GET, which would open the channel."""
    if not streams.hub.retention.has_room(channel_id):
        raise NoRoom(f"max_channels, which left no room for {channel_id!r}")


def _refuse(request: Any, refused: Refused) -> None:
    headers, content = refusal(refused, (request.getHeader(b"Accept") or b"").decode("latin-1"))
    request.setResponseCode(refused.status, HTTPStatus(refused.status).phrase.encode())
    request.setHeader(b"Content-Security-Policy", _POLICY)
    request.setHeader(b"Referrer-Policy", b"no-referrer")
    for name, value in headers:
        request.setHeader(name.encode(), value.encode())
    request.write(content)
    request.finish()


def _last_event_id(request: Any) -> str:
    return _text(request.getHeader(b"Last-Event-ID") or b"") or _resume_point(request)


def _resume_point(request: Any) -> str:
    return resume_point(request.uri.decode("latin-1")) or ""


def _argument(request: Any, name: bytes) -> bytes:
    value: bytes = request.args.get(name, [b""])[-1]
    return value


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _send_file(request: Any, file: File) -> None:
    request.setHeader(b"Content-Type", file.content_type)
    request.setHeader(b"Content-Security-Policy", _POLICY)
    request.setHeader(b"Referrer-Policy", b"no-referrer")
    request.setHeader(b"Cache-Control", b"no-cache")
    request.setHeader(b"ETag", file.etag)
    known = request.requestHeaders.getRawHeaders(b"If-None-Match", ())
    if file.is_known(b",".join(known)):
        request.setResponseCode(304)
        request.finish()
    else:
        _send(request, file.content)


def _send(request: Any, content: bytes) -> None:
    request.setHeader(b"Content-Length", b"%d" % len(content))
    request.write(content)
    request.finish()
