"""Files that are served as they are: pages, scripts and style sheets."""

import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

COMMON_FILES = ("common.css", "favicon.ico")
"""Files of the pages on both ports."""

_COMMON = Path(__file__).with_name("common")
_CONTENT_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".ico": b"image/vnd.microsoft.icon",
}

_ENTITY_TAG = re.compile(rb'(?:W/)?"([^"]*)"')
_COMPRESSED = re.compile(rb"[-;:]+(?:gzip|br|zstd|deflate)$")
"""What proxies that compress, such as Apache, append to the tag."""


class File(NamedTuple):
    """A file to serve.

    Attributes:
        content: all of it.
        content_type: value of the header Content-Type.
        etag: value of the header ETag, quotes included; it changes with the content.
    """

    content: bytes
    content_type: bytes
    etag: bytes

    def is_known(self, if_none_match: bytes) -> bool:
        """Whether a client has this content already.

        Args:
            if_none_match: value of its header If-None-Match. Its tags are compared weakly (RFC
                9110, section 13.1.2), also in the forms into which compressing proxies change them.
        """
        tags = {_COMPRESSED.sub(b"", tag) for tag in _ENTITY_TAG.findall(if_none_match)}
        return if_none_match.strip() == b"*" or self.etag.strip(b'"') in tags


def read_file(path: Path) -> File:
    """Read a file to serve; its suffix must be .html, .js, .css or .ico.

    Raises:
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    etag = b'"%b"' % sha256(content).hexdigest()[:16].encode()
    return File(content, _CONTENT_TYPES[path.suffix], etag)


def read_common() -> dict[str, File]:
    """The COMMON_FILES by their names.

    Raises:
        OSError: one cannot be read.
    """
    return {name: read_file(_COMMON / name) for name in COMMON_FILES}
