"""The log: the logger's settings become an observer of ``twisted.logger``.

Lines, levels and rotation are those of Python's ``logging``, which the original monitor used:
``[time] [recodex-monitor] [level] text``; or there is a JSON object a line.
"""

import json
import logging
import logging.handlers
import string
import sys
from datetime import UTC, datetime
from types import NoneType
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent
from zope.interface import implementer

from recodex_monitor.settings import schema

NAME = "recodex-monitor"
STDERR = "-"
"""The file name that stands for standard error."""

_LINE = f"[%(asctime)s] [{NAME}] [%(levelname)s] %(message)s"
_LEVELS = {
    LogLevel.debug: logging.DEBUG,
    LogLevel.info: logging.INFO,
    LogLevel.warn: logging.WARNING,
    LogLevel.error: logging.ERROR,
    LogLevel.critical: logging.CRITICAL,
}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


class _SaysOnce(logging.Handler):
    """Tells standard error once, in a line, when the log cannot be written."""

    _said = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Called by ``logging`` in place of raising."""
        if not self._said:
            self._said = True
            _say(f"cannot write the log: {sys.exc_info()[1]}; the monitor runs on without it")


class _File(_SaysOnce, logging.handlers.RotatingFileHandler):
    def reopen(self) -> None:
        """Go on in a new file where the old one was moved away."""
        self.acquire()
        try:
            if self.stream is not None:
                self.stream.close()
        except OSError:
            self.handleError(logging.LogRecord("", 0, "", 0, "", None, None))
        finally:
            self.stream = None  # emit opens it anew
            self._said = False
            self.release()


class _Stderr(_SaysOnce, logging.StreamHandler[Any]):
    def reopen(self) -> None:
        """Nothing can move standard error away."""


def _text(event: dict[str, Any]) -> str:
    """An event as the original monitor's line has it, with a traceback in indented lines.

    A line break or other control character is escaped, so that nothing from outside can look like
    a line of the log.
    """
    lines = [formatEvent(event), *_traceback(event)]
    return "\n    ".join(line.translate(_CONTROLS) for line in lines)


def _json(event: dict[str, Any]) -> str:
    """An event as an object: ``time``, ``level``, ``room``, ``message``, a ``traceback`` as lines.

    The values that stand in the message are there too, by their names.
    """
    time = datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds")
    own = {
        "time": time,
        "level": logging.getLevelName(_level(event)).lower(),
        "room": event.get("log_namespace"),
        "message": formatEvent(event),
    }
    if traceback := _traceback(event):
        own["traceback"] = traceback
    return json.dumps({**own, **_values(event), **own})


_FORMATS = {"text": (_text, logging.Formatter(_LINE)), "json": (_json, None)}
"""What makes a text of an event, and what makes a line of the text."""


def _level(event: dict[str, Any]) -> int:
    return _LEVELS.get(event.get("log_level"), logging.INFO)


def _traceback(event: dict[str, Any]) -> list[str]:
    if "log_failure" not in event:
        return []
    lines: list[str] = event["log_failure"].getTraceback().rstrip().split("\n")
    return lines


def _values(event: dict[str, Any]) -> dict[str, Any]:
    """What stands in an event's message, by name, as JSON has it."""
    names = [name for _, name, _, _ in string.Formatter().parse(event.get("log_format") or "")]
    values = {name: event[name] for name in names if name in event and name != "log_text"}
    plain = (str, int, float, NoneType)
    return {name: one if isinstance(one, plain) else str(one) for name, one in values.items()}


@implementer(ILogObserver)
class Log:
    """Writes what is logged from a level on, one event a line, to a file or to standard error.

    Attributes:
        has_debug: whether events of the level debug are written.
    """

    def __init__(self, settings: schema.Logger) -> None:
        """Open it; see ``adopt``."""
        self._handler: _File | _Stderr = _Stderr(sys.__stderr__)
        self.adopt(settings)

    def adopt(self, settings: schema.Logger) -> None:
        """Go on by these settings.

        Where they name no file and the default one cannot be written, the log goes to standard
        error, which is told so.

        Raises:
            OSError: the file that they name cannot be written; all stays as it was.
        """
        old, self._handler = self._handler, _opened(settings)
        self._text, formatter = _FORMATS[settings.format]
        self._handler.setFormatter(formatter)
        self._threshold = logging.getLevelNamesMapping()[settings.level.upper()]
        self.has_debug = self._threshold <= logging.DEBUG
        old.close()

    def __call__(self, event: dict[str, Any]) -> None:
        """Called by ``twisted.logger`` for every event."""
        level = _level(event)
        if level >= self._threshold:
            record = logging.LogRecord(NAME, level, "", 0, self._text(event), None, None)
            self._handler.handle(record)

    @property
    def on_stderr(self) -> bool:
        """Whether standard error is the log."""
        return isinstance(self._handler, _Stderr)

    def reopen(self) -> None:
        """Open the file anew, after logrotate has moved it."""
        self._handler.reopen()


def _opened(settings: schema.Logger) -> _File | _Stderr:
    if settings.file == STDERR:
        return _Stderr(sys.__stderr__)
    try:
        return _file(settings.file or schema.DEFAULT_LOG, settings)
    except OSError as error:
        if settings.file is not None:
            raise
        _say(f"cannot write {schema.DEFAULT_LOG} ({error.strerror}), logging to standard error")
        return _Stderr(sys.__stderr__)


def _file(path: str, settings: schema.Logger) -> _File:
    # As Python's logging has it: no rotation without a size, or without files to rotate to.
    size = settings.max_size if settings.rotations else 0
    return _File(path, maxBytes=size, backupCount=settings.rotations, encoding="utf-8")


def _say(text: str) -> None:
    """Tell standard error, past any redirection by twistd."""
    if sys.__stderr__ is not None:
        print(f"{NAME}: {text}", file=sys.__stderr__, flush=True)
