"""The log: the logger's settings become an observer of ``twisted.logger``.

Lines, levels and rotation are those of Python's ``logging``, which the original monitor used:
``[time] [recodex-monitor] [level] text``.
"""

import logging
import logging.handlers
import sys
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent
from zope.interface import implementer

from recodex_monitor import config

NAME = "recodex-monitor"
STDERR = "-"
"""The file name that stands for standard error."""

_FORMAT = f"[%(asctime)s] [{NAME}] [%(levelname)s] %(message)s"
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


@implementer(ILogObserver)
class Log:
    """Writes what is logged from a level on, one event a line.

    A line break or other control character in an event's text is escaped, so that nothing from
    outside can look like a line of the log; a traceback follows in indented lines.
    """

    def __init__(self, handler: _File | _Stderr, level: str) -> None:
        handler.setFormatter(logging.Formatter(_FORMAT))
        self._handler = handler
        self._threshold = logging.getLevelNamesMapping()[level.upper()]

    def __call__(self, event: dict[str, Any]) -> None:
        """Called by ``twisted.logger`` for every event."""
        level = _LEVELS.get(event.get("log_level"), logging.INFO)
        if level < self._threshold:
            return
        record = logging.LogRecord(NAME, level, "", 0, _text(event), None, None)
        self._handler.handle(record)

    @property
    def on_stderr(self) -> bool:
        """Whether standard error is the log."""
        return isinstance(self._handler, _Stderr)

    def reopen(self) -> None:
        """Open the file anew, after logrotate has moved it."""
        self._handler.reopen()


def open_log(settings: config.Logger) -> Log:
    """Open the log that the settings ask for.

    Where they name no file and the default one cannot be written, the log goes to standard
    error, and its first line says so.

    Raises:
        OSError: the file that the settings name cannot be written.
    """
    if settings.file == STDERR:
        return Log(_Stderr(sys.__stderr__), settings.level)
    try:
        return Log(_file(settings.file or config.DEFAULT_LOG, settings), settings.level)
    except OSError as error:
        if settings.file is not None:
            raise
        _say(f"cannot write {config.DEFAULT_LOG} ({error.strerror}), logging to standard error")
        return Log(_Stderr(sys.__stderr__), settings.level)


def _file(path: str, settings: config.Logger) -> _File:
    # As Python's logging has it: no rotation without a size, or without files to rotate to.
    size = settings.max_size if settings.rotations else 0
    return _File(path, maxBytes=size, backupCount=settings.rotations, encoding="utf-8")


def _text(event: dict[str, Any]) -> str:
    text = formatEvent(event).translate(_CONTROLS)
    if "log_failure" in event:
        traceback = event["log_failure"].getTraceback().rstrip().split("\n")
        text = "\n    ".join([text, *(line.translate(_CONTROLS) for line in traceback)])
    return text


def _say(text: str) -> None:
    """Tell standard error, past any redirection by twistd."""
    if sys.__stderr__ is not None:
        print(f"{NAME}: {text}", file=sys.__stderr__, flush=True)
