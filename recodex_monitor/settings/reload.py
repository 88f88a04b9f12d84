"""Reload: settings that are read again while the monitor runs, and those that need a restart."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.logger import Logger

from recodex_monitor.settings import parsing, places, schema
from recodex_monitor.settings.export import changes
from recodex_monitor.settings.schema import Settings, Tls

_log = Logger()

AT_START = ("high_water_mark", "max_frame_size")
"""Limits that need a restart: the broker's socket must have them before it is bound."""


def read_again(
    file: str, running: Settings, prepare: Callable[[Settings], None]
) -> Settings | None:
    """Read the settings again; returns those to use from now on.

    None if there are mistakes: then the log has each of them, and nothing has changed.

    Args:
        file: what is read.
        running: the settings in use.
        prepare: called with the new settings, to do what may fail. It raises ConfigError, or
            OSError if the log cannot be written.
    """
    try:
        read = parsing.load(file)
        settings = in_force(running, read)
        prepare(settings)
    except schema.ConfigError as error:
        problems = places.located(error.problems, file)
    except OSError as error:
        problems = [f"logger.file: cannot write {error.filename}: {error.strerror}"]
    else:
        log_changes(running, settings, read)
        return settings
    for problem in problems:
        _log.error("keeping the old settings: {why}", event="settings_refused", why=problem)
    return None


def in_force(running: Settings, read: Settings) -> Settings:
    """The running settings, with everything that was read and needs no restart."""
    kept = {name: getattr(running.limits, name) for name in AT_START}
    # A listening port can neither gain nor lose TLS.
    has_tls = Tls() not in (running.websocket_tls, read.websocket_tls)
    return replace(
        running,
        logger=read.logger,
        channels=read.channels,
        limits=replace(read.limits, **kept),
        clients=read.clients,
        access=read.access,
        page=read.page,
        websocket_tls=read.websocket_tls if has_tls else running.websocket_tls,
    )


def log_changes(old: Settings, now: Settings, read: Settings) -> None:
    """Log what has changed, and what was read but needs a restart.

    Args:
        old: the settings until now.
        now: the settings from now on.
        read: the settings as they are in the file.
    """
    for key, before, after in changes(old, now):
        _log.info(
            "{key} changed from {old} to {value}",
            event="setting_changed",
            key=key,
            value=_text(after),
            old=_text(before),
        )
    for key, before, after in changes(now, read):
        text = "{key} stays {value} until a restart makes it {new}"
        _log.warn(text, event="setting_waits", key=key, value=_text(before), new=_text(after))
    if read == old:
        _log.info("no setting has changed")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "not set" if value is None else str(value)
