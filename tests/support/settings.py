"""Settings for tests, by the names of their keys."""

from dataclasses import fields, replace
from typing import Any

from recodex_monitor.settings.schema import Channels, LiveSettings


def live(**values: Any) -> LiveSettings:
    """The defaults, but for these keys of the sections ``channels`` and ``limits``."""
    settings = LiveSettings()
    change(settings, **values)
    return settings


def change(settings: LiveSettings, **values: Any) -> None:
    """Set these keys, as a reload does it."""
    of_channels = {one.name for one in fields(Channels)} & values.keys()
    channels = {name: values.pop(name) for name in of_channels}
    settings.channels = replace(settings.channels, **channels)
    settings.limits = replace(settings.limits, **values)
