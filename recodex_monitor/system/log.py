"""The log: an observer of ``twisted.logger`` that writes by the settings of the section ``logger``.

Lines, levels and rotation are those of Python's ``logging``, which the original monitor used:
``[time] [recodex-monitor] [level] text``. With the format ``json`` each line is a JSON object.
"""

import atexit
import json
import logging
import string
import time
from collections import Counter
from datetime import UTC, datetime
from types import NoneType
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent
from zope.interface import implementer

from recodex_monitor.settings import schema
from recodex_monitor.system.opening import Opener
from recodex_monitor.system.outputs import Descriptor, Output, Stream, open_output, stderr, tell
from recodex_monitor.system.writer import Writer

NAME = "recodex-monitor"

STOP = 1.0
"""Seconds that the end of the process waits for the log at most."""

FORMER = 0.1
"""Seconds that a reload waits for the log that it replaces; its thread goes on writing it."""

_NOTICE = "dropped {count} lines of the log: nothing took them for {seconds} s"
_LINE = f"[%(asctime)s] [{NAME}] [%(levelname)s] %(message)s"
_LEVELS = {
    LogLevel.debug: logging.DEBUG,
    LogLevel.info: logging.INFO,
    LogLevel.warn: logging.WARNING,
    LogLevel.error: logging.ERROR,
    LogLevel.critical: logging.CRITICAL,
}
_UNSAID = ("event", "reason")
"""Values that JSON has although the message lacks them: the event's name, a count's reason."""

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def _text(event: dict[str, Any]) -> str:
    """The text of an event; the lines of a traceback follow, indented.

    Line breaks and other control characters are escaped, so that input cannot forge a line of the
    log.
    """
    lines = [formatEvent(event), *_traceback(event)]
    return "\n    ".join(line.translate(_CONTROLS) for line in lines)


def _json(event: dict[str, Any]) -> str:
    """An event as a JSON object: ``time``, ``level``, ``room``, ``message``, perhaps ``traceback``.

    ``room`` is the full name of the module that logs, ``traceback`` a list of lines. The values in
    the message are there too, by their names, and those of ``_UNSAID``.
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


_FORMATS = {"text": (_text, logging.Formatter(_LINE)), "json": (_json, logging.Formatter())}
"""By format: what makes the text of an event, and what makes a line of the text."""


def _level(event: dict[str, Any]) -> int:
    """The event's level; what libraries log below a warning counts as debug."""
    level = _LEVELS.get(event.get("log_level"), logging.INFO)
    is_ours = str(event.get("log_namespace")).startswith("recodex_monitor.")
    return level if is_ours or level > logging.INFO else logging.DEBUG


def _traceback(event: dict[str, Any]) -> list[str]:
    if "log_failure" not in event:
        return []
    lines: list[str] = event["log_failure"].getTraceback().rstrip().split("\n")
    return lines


def _values(event: dict[str, Any]) -> dict[str, Any]:
    """The values in an event's message, by name, each as JSON can hold it."""
    names = [name for _, name, _, _ in string.Formatter().parse(event.get("log_format") or "")]
    names = [*(name for name in _UNSAID if name not in names), *names]
    values = {name: event[name] for name in names if name in event and name != "log_text"}
    plain = (str, int, float, NoneType)
    return {name: one if isinstance(one, plain) else str(one) for name, one in values.items()}


@implementer(ILogObserver)
class Log:
    """Writes events of a level or above to a file or to standard error, each as one line.

    Once it is started, an event never waits for the disk or for a reader: a thread writes it.

    Attributes:
        has_debug: whether events of level debug are written.
        dropped: how many lines were dropped because nothing took them, by reason.
    """

    def __init__(self, settings: schema.Logger) -> None:
        """Open the log; see ``adopt``."""
        self.dropped: Counter[str] = Counter()
        self._is_started = False
        self._opener = Opener()
        self._stops_at: float | None = None
        self._settings = settings
        self._choose(settings)
        self._writer = self._new_writer(settings)

    def start(self) -> None:
        """Write in a thread from now on; call it once the process no longer forks."""
        self._is_started = True
        self._writer.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Wait until everything is written, for ``STOP`` seconds at most.

        What is logged meanwhile is waited for too, within the same time.
        """
        atexit.unregister(self.stop)
        if self._stops_at is None:
            self._stops_at = time.monotonic() + STOP
        self._flush()

    def adopt(self, settings: schema.Logger) -> None:
        """Continue with these settings.

        If they name no file and the default one cannot be written, the log goes to standard error,
        where a line says so.

        Raises:
            OSError: the file that they name cannot be written, or its disk hangs; nothing has
                changed.
        """
        if _where(settings) != _where(self._settings):
            # The old one may be stalled, so the new one has a thread of its own.
            old, self._writer = self._writer, self._new_writer(settings)
            old.end(FORMER)
        self._settings = settings
        self._choose(settings)
        self._writer.size = settings.buffer

    def _choose(self, settings: schema.Logger) -> None:
        self._text, self._formatter = _FORMATS[settings.format]
        self._threshold = logging.getLevelNamesMapping()[settings.level.upper()]
        self.has_debug = self._threshold <= logging.DEBUG

    def _new_writer(self, settings: schema.Logger) -> Writer:
        output = self._open_promptly(settings) if self._is_started else _opened(settings)
        writer = Writer(output, settings.buffer, self._notice, self.dropped)
        if self._is_started:
            writer.start()
        return writer

    def _open_promptly(self, settings: schema.Logger) -> Output:
        path = settings.file or schema.DEFAULT_LOG
        return self._opener.open(path, lambda: _opened(settings))

    def __call__(self, event: dict[str, Any]) -> None:
        """Called by ``twisted.logger`` for every event."""
        level = _level(event)
        if level >= self._threshold:
            self._writer.write(self._line(event))
            if self._stops_at is not None:
                self._flush()

    def _line(self, event: dict[str, Any]) -> bytes:
        record = logging.LogRecord(NAME, _level(event), "", 0, self._text(event), None, None)
        # File names need not be UTF-8, and a terminal may have another encoding.
        line, encoding = f"{self._formatter.format(record)}\n", self._writer.output.encoding
        return line.encode(encoding, errors="backslashreplace")

    def _notice(self, count: int, seconds: float) -> bytes:
        """The line that reports dropped lines; called in the thread."""
        event = {
            "log_time": time.time(),
            "log_level": LogLevel.warn,
            "log_namespace": __name__,
            "log_format": _NOTICE,
            "count": count,
            "seconds": round(seconds, 1),
        }
        return self._line(event)

    def _flush(self) -> None:
        assert self._stops_at is not None
        self._writer.flush(max(0, self._stops_at - time.monotonic()))

    @property
    def on_stderr(self) -> bool:
        """Whether the log is standard error."""
        output, error = self._writer.output, stderr()
        if isinstance(output, Descriptor) and isinstance(error, Descriptor):
            return output.number == error.number
        return isinstance(output, Stream)

    def reopen(self) -> None:
        """Open the file again, after logrotate has moved it."""
        self._writer.reopen()


def _where(settings: schema.Logger) -> tuple[str | None, int, int]:
    """The settings with which the output has to be opened again."""
    return settings.file, settings.max_size, settings.rotations


def _opened(settings: schema.Logger) -> Output:
    path, rotation = settings.file or schema.DEFAULT_LOG, (settings.max_size, settings.rotations)
    try:
        return open_output(path, *rotation)
    except OSError as error:
        if settings.file is not None:
            raise
        tell(f"{NAME}: cannot write {path} ({error.strerror}), logging to standard error")
        return stderr()
