"""The files of pages: read once, sent with their type and ETag."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

_CONTENT_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
}


class File(NamedTuple):
    """A file that is served as it is."""

    content: bytes
    content_type: bytes
    etag: bytes


def read_file(path: Path) -> File:
    """Read a file that is served.

    Raises:
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    etag = b'"%b"' % sha256(content).hexdigest()[:16].encode()
    return File(content, _CONTENT_TYPES[path.suffix], etag)
