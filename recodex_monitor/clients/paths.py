"""The paths of the public port, behind any prefix and with any number of slashes.

A proxy may pass on the path below which it has the monitor (``/ws/events/ID``), or leave two
slashes where it has replaced one (``//events/ID``).
"""

import re
from pathlib import Path as FilePath
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from recodex_monitor.clients.admission import Refused
from recodex_monitor.network.static import COMMON_FILES

MAX_PATH = 200
"""Bytes of an unknown path that are logged and shown."""

FOLDER = FilePath(__file__).with_name("static")
"""Where the files are. Those of the client's package are links to its folder."""

_SUFFIXES = (".js", ".css")
OWN_FILES = tuple(sorted(one.name for one in FOLDER.iterdir() if one.suffix in _SUFFIXES))
FILES = (*OWN_FILES, *COMMON_FILES)
"""Files that are found by their names, in any folder."""

PAGES = ("board",)
"""Pages that are found like files; a channel's id may be such a name."""

ROOTS = ("events", "channels", "watch")
"""Folders in which each name is a channel's id."""

_ROOTS = "|".join(ROOTS).encode()
_FILE = re.compile(
    rb"(?:.*/)?(%b)" % "|".join(map(re.escape, (*FILES, *PAGES))).encode(), re.DOTALL
)
_CHANNEL = re.compile(rb".*/(%b)/+([^/]*)" % _ROOTS, re.DOTALL)
_CHANNEL_WITH_SLASHES = re.compile(rb"/+(%b)/+(.*)" % _ROOTS, re.DOTALL)
_ROOT = re.compile(rb".*/(%b)" % _ROOTS, re.DOTALL)
_HOST = re.compile(rb"^https?://[^/]*", re.IGNORECASE)

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_NO_ID = "The channel id is missing. The path must end with it, as in /{name}/CHANNEL."
_BAD_ID = "The channel id must be percent-encoded UTF-8."
_NOT_FOUND = (
    "There is nothing at this path. Followers of a job connect by WebSocket, at any path, or "
    "request /events/CHANNEL or /channels/CHANNEL; /watch/CHANNEL is a page that shows a job, "
    "and /board one that shows many."
)


class Path(NamedTuple):
    """What a path names.

    Attributes:
        name: one of FILES, PAGES or ROOTS; empty for the page about this address.
        quoted_id: of the channel, as it came; empty where there is none, as for many channels.
    """

    name: str
    quoted_id: bytes = b""


def parse_path(target: bytes) -> Path | None:
    """Find out what a request's target without its query names; None if it is unknown.

    An id has its slashes percent-encoded. Where the path begins with the root it may have others,
    too. Trailing slashes are ignored.
    """
    path = _HOST.sub(b"", target).rstrip(b"/")
    if not path:
        return Path("")
    file, channel = _FILE.fullmatch(path), _CHANNEL.fullmatch(path)
    # A page with too many slashes in its address finds its own files in the folder "watch".
    if file and (channel is None or (channel[1] == b"watch" and file[1].decode() in FILES)):
        return Path(file[1].decode())
    if channel := channel or _CHANNEL_WITH_SLASHES.fullmatch(path):
        return Path(channel[1].decode(), channel[2])
    root = _ROOT.fullmatch(path)
    return Path(root[1].decode()) if root else None


def id_of(path: Path, limit: int) -> str:
    """The channel id that a path must have, of at most ``limit`` bytes.

    Raises:
        Refused: it is missing, too long, or badly encoded.
    """
    if not path.quoted_id:
        raise Refused(400, "bad channel id", _NO_ID.format(name=path.name))
    if len(unquote_to_bytes(path.quoted_id)) > limit:
        raise Refused(414, "long channel id", f"The channel id is longer than {limit} bytes.")
    return unquoted(path.quoted_id)


def unquoted(quoted: bytes) -> str:
    """A percent-encoded channel id as text.

    Raises:
        Refused: it is not UTF-8, or badly encoded.
    """
    try:
        text = unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        raise Refused(400, "bad channel id", _BAD_ID) from None
    if _BAD_ESCAPE.search(quoted):
        raise Refused(400, "bad channel id", _BAD_ID)
    return text


def not_found(target: bytes) -> Refused:
    """The refusal of a path that names nothing; the log shows the path as it came."""
    shown = ascii(target[:MAX_PATH].decode("latin-1"))
    return Refused(404, "not found", _NOT_FOUND, f"not found: {shown}")
