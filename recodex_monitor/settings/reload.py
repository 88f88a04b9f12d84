"""Settings that are read again while the monitor runs: which change, and which have to wait."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.logger import Logger

from recodex_monitor.settings import parsing, schema
from recodex_monitor.settings.export import changes
from recodex_monitor.settings.schema import Settings, Tls

_log = Logger()

AT_START = ("high_water_mark", "max_frame_size")
"""Limits of the broker's socket, which gets them before it is bound."""


def read_again(
    file: str, running: Settings, prepare: Callable[[Settings], None]
) -> Settings | None:
    """The settings to go on by; None, and the log says why, where something is wrong with them.

    Args:
        file: is read.
        running: the settings until now.
        prepare: called with the new ones, to do what may fail; raises ConfigError, or OSError
            where the log cannot be written.
    """
    try:
        read = parsing.load(file)
        settings = in_force(running, read)
        prepare(settings)
    except schema.ConfigError as error:
        problems = error.problems
    except OSError as error:
        problems = [f"logger.file: cannot write {error.filename}: {error.strerror}"]
    else:
        tell(running, settings, read)
        return settings
    for problem in problems:
        _log.error("goes on with the old settings: {why}", why=problem)
    return None


def in_force(running: Settings, read: Settings) -> Settings:
    """What was read, as far as it can change while the monitor runs."""
    kept = {name: getattr(running.limits, name) for name in AT_START}
    # What speaks TLS is loaded at the start, if at all.
    has_tls = Tls() not in (running.websocket_tls, read.websocket_tls)
    return replace(
        running,
        logger=read.logger,
        channels=read.channels,
        limits=replace(read.limits, **kept),
        websocket_tls=read.websocket_tls if has_tls else running.websocket_tls,
    )


def tell(old: Settings, now: Settings, read: Settings) -> None:
    """Log each change from old settings to those of now, and those that were read and wait."""
    for key, before, after in changes(old, now):
        _log.info(
            "{key} is {value} now, it was {old}", key=key, value=_text(after), old=_text(before)
        )
    for key, before, after in changes(now, read):
        text = "{key} stays {value} until a restart, which makes it {new}"
        _log.warn(text, key=key, value=_text(before), new=_text(after))
    if read == old:
        _log.info("the settings are as they were")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "not set" if value is None else str(value)
