"""The keys, their defaults, and the values that each may have."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.export import dump
from recodex_monitor.settings.parsing import parse
from recodex_monitor.settings.schema import (
    Channels,
    ConfigError,
    Limits,
    LiveSettings,
    Settings,
    key_of,
)

RANGES = {
    "logger.max-size": (0, 2**40),
    "logger.rotations": (0, 1000),
    "logger.buffer": (4096, 2**30),
    "channels.retention": (0, 86400),
    "channels.failed_grace": (0, 3600),
    "channels.idle_timeout": (1, 30 * 86400),
    "cluster.lease": (0.2, 60),
    "cluster.patience": (1, 3600),
    "zeromq.peer_timeout": (4, 3600),
    "limits.max_connections": (1, 10**6),
    "limits.max_connections_per_address": (1, 10**6),
    "limits.backlog": (1, 65535),
    "limits.handshake_timeout": (1, 600),
    "limits.subscribe_timeout": (1, 3600),
    "limits.ping_interval": (1, 3600),
    "limits.ping_timeout": (1, 3600),
    "limits.heartbeat": (1, 3600),
    "limits.event_comment": (1, 3600),
    "limits.stall_timeout": (1, 3600),
    "limits.finish_timeout": (1, 86400),
    "limits.close_timeout": (1, 3600),
    "limits.stop_timeout": (0, 3600),
    "limits.max_handshake_size": (1024, 2**20),
    "limits.max_channel_id": (44, 65536),
    "limits.max_client_message": (44, 2**20),
    "limits.ignored_messages": (0, 10**6),
    "limits.client_interval": (1, 3600),
    "limits.max_client_messages": (1, 10**6),
    "limits.max_client_bytes": (1024, 2**30),
    "limits.max_channels_per_client": (1, 10**5),
    "limits.max_channels_per_request": (1, 10**4),
    "limits.max_tombstones": (0, 10**6),
    "limits.max_channels": (1, 10**7),
    "limits.max_channel_messages": (1, 10**9),
    "limits.max_channel_bytes": (1024, 2**40),
    "limits.max_history_bytes": (1024, 2**50),
    "limits.messages_a_turn": (1, 10**6),
    "limits.high_water_mark": (1, 10**6),
    "limits.max_frame_size": (1024, 2**31),
}
"""The keys with numbers, and the lowest and highest of each."""

MISTAKES = {
    "websocket_uri": ("ipc:/a", "is not an address"),
    "access.key_file": ("[a, b, c]", "3 files are listed; write two at most"),
    "access.required": ("1", "is neither true nor false"),
    "zeromq_uri": ("unix:/a", "is not an address"),
    "logger.file": ("''", "is empty"),
    "logger.level": ("all", "is not a level; use one of debug, info, warning, error, critical"),
    "logger.format": ("xml", "is not a format; use one of text, json"),
    "zeromq.allow_exit": ("1", "is neither true nor false"),
    "zeromq.allowed_networks": ("[a]", "is not a network"),
    "zeromq.curve_key": ("1", "is not a string"),
    "zeromq.curve_clients": ("1", "is not a string"),
    "clients.fail_browsers": ("1", "is neither true nor false"),
    "cluster.engine": ("http://a", "is not the address of a Valkey or Redis server"),
    "cluster.name": ("a b", "is not a name"),
    "cluster.owner": ("always", "is not a role; use one of auto, never"),
    "cluster.prefix": ("a:b", "is not a name"),
    "cluster.password_file": ("1", "is not a string"),
    "page.name": ("''", "is empty"),
    "page.link": ("recodex.example.org", "is not the address of a page"),
    "history.file": ("[a]", "is not a string"),
    "history.sync": ("1", "is neither true nor false"),
    "websocket_tls.certificate": ("1", "is not a string"),
    "websocket_tls.key": ("1", "is not a string"),
    "websocket_tls.chain": ("1", "is not a string"),
    "limits.trusted_proxies": ("10.0.0.0/8", "is not a list"),
    "limits.allowed_origins": ("[a]", "is not an origin"),
    "status_uri": ("ipc:/a", "is not an address"),
    "status_token": ("short", "is not a token"),
    "status_hosts": ("[a b]", "is not a host"),
    "show_addresses": ("1", "is neither true nor false"),
    "websocket_proxy_protocol": ("1", "is neither true nor false"),
}
"""The other keys, and of each a wrong value and what is wrong with it."""


def keys(section: Any = Settings, path: str = "") -> Iterator[str]:
    """All keys, as ``section.key``."""
    for one in fields(section):
        if is_dataclass(one.default_factory):
            yield from keys(one.default_factory, f"{path}{key_of(one)}.")
        else:
            yield path + key_of(one)


def yaml_of(key: str, value: object) -> bytes:
    """The YAML of one key."""
    section, _, name = key.rpartition(".")
    return (f"{section}: {{{name}: {value}}}" if section else f"{name}: {value}").encode()


class ShownTests(SynchronousTestCase):
    """What ``check`` prints of values that have other names."""

    def test_became(self) -> None:
        """Values of the original are shown as what they became."""
        text = b"""
            websocket_uri: ["", "4567"]
            logger: {level: WARN, max-size: "1000", rotations: "2"}
        """
        shown = yaml.safe_load(dump(parse(text, "F")))
        self.assertEqual(shown["websocket_uri"], ["*", 4567])
        expected = {"level": "warning", "max-size": 1000, "rotations": 2}
        self.assertEqual({key: shown["logger"][key] for key in expected}, expected)
        for empty in (b"logger: {level: ''}", b"logger:\n  level:\n"):
            self.assertEqual(parse(empty, "F"), Settings())


class KeyTests(SynchronousTestCase):
    """Each key takes the values that it should, and no others."""

    def refused(self, key: str, value: object) -> str:
        """What is said about this value of a key."""
        error: ConfigError = self.assertRaises(ConfigError, parse, yaml_of(key, value), "F")
        (problem,) = error.problems
        self.assertTrue(problem.startswith(f"F:1: {key}: "), problem)
        return problem

    def test_all_keys_are_here(self) -> None:
        """The tables of this file have every key, and no other."""
        self.assertEqual(sorted(keys()), sorted([*RANGES, *MISTAKES]))

    def test_ranges(self) -> None:
        """The lowest and the highest number are allowed, and what is beyond them is not."""
        for key, (low, high) in RANGES.items():
            for number in (low, high):
                parse(yaml_of(key, number), "F")
            for number in (low - 1, high + 1):
                self.assertIn(f"from {low} to {high}", self.refused(key, number))

    def test_mistakes(self) -> None:
        """A wrong value is a mistake of its kind."""
        for key, (value, why) in MISTAKES.items():
            self.assertIn(why, self.refused(key, value))

    def test_defaults_are_allowed(self) -> None:
        """The default of a number is one that may be written."""
        for key, (low, high) in RANGES.items():
            section, name = key.split(".")
            default = getattr(getattr(Settings(), section), name.replace("-", "_"))
            self.assertTrue(low <= default <= high, key)


class LiveSettingsTests(SynchronousTestCase):
    """Settings that change while the monitor runs."""

    def test_defaults(self) -> None:
        """Without arguments they are those of an empty file."""
        settings, live = Settings(), LiveSettings()
        self.assertEqual((live.channels, live.limits), (settings.channels, settings.limits))

    def test_adopt(self) -> None:
        """New settings replace whole sections; the old sections stay what they were."""
        old = Limits(max_channels=1)
        live = LiveSettings(limits=old)
        live.adopt(Settings(channels=Channels(1, 2, 3), limits=Limits(max_channels=2)))
        self.assertEqual(live, LiveSettings(Channels(1, 2, 3), Limits(max_channels=2)))
        self.assertEqual(old.max_channels, 1)


class ConfigErrorTests(SynchronousTestCase):
    """Mistakes as one error."""

    def test_lines(self) -> None:
        """Its text has a line for each problem."""
        self.assertEqual(str(ConfigError(["one", "two"])), "one\ntwo")
