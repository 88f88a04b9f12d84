"""A browser that has our status page open."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator

from .contestants import ContestantFailed

# What a browser requests, in this order; then it reads the stream.
FILES = ("/", "/common.css", "/status.css", "/status.js", "/status-jobs.js", "/status-parts.js")
STREAM = "/api/events"


@contextlib.contextmanager
def page_open(port: int) -> Iterator[None]:
    """Load the page from a port, and read its stream while the block runs.

    Raises:
        ContestantFailed: a request failed, or the stream ended before the block.
    """
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        for path in FILES:
            _get(client, path).read()
        stream = _get(client, STREAM)
        reader = threading.Thread(target=_read, args=(stream,))
        reader.start()
        try:
            yield
            if not reader.is_alive():
                raise ContestantFailed("the stream of the status page ended")
        finally:
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_RDWR)
            reader.join()


def _get(client: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
    client.request("GET", path)
    response = client.getresponse()
    if response.status != http.client.OK:
        raise ContestantFailed(f"{path} was answered with {response.status}")
    return response


def _read(stream: http.client.HTTPResponse) -> None:
    """Read lines until the stream ends, or nothing comes for 10 seconds."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while stream.readline():
            pass
