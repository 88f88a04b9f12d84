"""An answer over plain HTTP that waits until its channel's messages are loaded."""

from collections.abc import Callable
from typing import Any

from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.channels.source import Source
from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.refusals import ENGINE_AWAY, STOPPING, refusal_of
from recodex_monitor.clients.streams import Stream


def stream_headers(request: Any, content_type: bytes) -> None:
    """Set the headers of an answer that is sent bit by bit."""
    request.setHeader(b"Content-Type", content_type)
    request.setHeader(b"Cache-Control", b"no-store, no-transform")
    # Without these nginx would hold messages back, to fill its buffers or to compress them.
    request.setHeader(b"X-Accel-Buffering", b"no")
    request.setHeader(b"Content-Encoding", b"identity")


class Opening:
    """Begins a stream once the source has loaded its channel.

    Until then it is the connection's stream itself, so that it learns if the connection ends.
    """

    def __init__(
        self,
        request: Any,
        stream: Stream,
        after: str,
        refuse: Callable[[Refused], object],
    ) -> None:
        """Prepare.

        Args:
            request: to be answered.
            stream: see ``begin``.
            after: see ``Stream.begin``.
            refuse: answers that the channel cannot be followed now, or that the monitor stops.
        """
        self._request = request
        self._stream = stream
        self._after = after
        self._refuse_with = refuse
        self._is_over = False

    def begin(self, source: Source, channel_id: str) -> None:
        """Begin the stream, now or later.

        Raises:
            NoRoom: the channel cannot be read, and nothing was written.
        """
        request = self._request
        stream_headers(request, self._stream.content_type)
        if request.method == b"HEAD":
            request.finish()
            return
        source.when_loaded(channel_id, self._begin, self._refuse, self._after)
        if not self._is_over:
            request.channel.stream = self

    def _begin(self) -> None:
        if self._is_over:
            return
        connection = self._request.channel
        was_waiting, connection.stream = connection.stream is self, None
        try:
            self._stream.begin(self._after)
        except NoRoom as error:
            if not was_waiting:
                raise
            self._refuse(error)
        self._is_over = True

    def _refuse(self, error: NoRoom = ENGINE_AWAY) -> None:
        self._end(refusal_of(error))

    def leave(self) -> None:
        """Answer that the monitor stops; see http_connection.Following."""
        self._end(STOPPING)

    def _end(self, refused: Refused) -> None:
        if not self._is_over:
            self._is_over = True
            self._refuse_with(refused)

    def lost(self) -> None:
        """Called when the connection has ended."""
        self._is_over = True
