"""From YAML to settings, and what is said about mistakes."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.export import dump, shown
from recodex_monitor.settings.parsing import load, parse
from recodex_monitor.settings.readers import LEVELS
from recodex_monitor.settings.schema import (
    Channels,
    ConfigError,
    History,
    Logger,
    Settings,
    Tls,
    Zeromq,
)

ORIGINAL = """\
---
websocket_uri:          # where browsers (or the reverse proxy) connect
    - "127.0.0.1"       # IPv4, IPv6 or host name
    - 4567
zeromq_uri:             # where the broker connects
    - "127.0.0.1"
    - 7894
logger:
    file: "/var/log/recodex/monitor.log"
    level: "debug"      # debug, info, warning, error, critical
    max-size: 1048576   # bytes before rotation
    rotations: 3        # rotated files kept
...
"""

MISTAKES = (
    ("a: 1", "1: a: is not known, there are websocket_uri, zeromq_uri, logger,"),
    ("\nlogger:\n  levle: info", "3: logger.levle: is not known, did you mean level?"),
    ("logger:\n  max_size: 1", "2: logger.max_size: is not known, did you mean max-size?"),
    ("[1]: x", "1: a list: is not known, "),
    ('"a\\nb": x', "1: a?b: is not known, "),
    ("- x", "1: a list is not a mapping of keys"),
    ("\ntext", "2: 'text' is not a mapping of keys"),
    ("logger: text", "1: logger: 'text' is not a mapping of keys"),
    ("logger: [level]", "1: logger: a list is not a mapping of keys"),
    ("logger: {}\nlogger: {}", "2: logger: is given twice, keep one"),
    ("zeromq:\n  allow_exit: no\n  allow_exit: no", "3: zeromq.allow_exit: is given twice"),
    ("--- {}\n--- {}", "2: a second document begins, only one is read"),
    ("logger:\n\tlevel: info", "2: is not YAML: "),
    ("logger: {", "1: is not YAML: "),
    ("logger: *name", "1: is not YAML: found undefined alias"),
    ("# é é é é é é\n# é é é é\n# é\nlogger: \x01", "4: is not YAML: "),
    ("history: {file: [a]}", "1: history.file: a list is not a text, write it in quotes"),
    ("history: {sync: 1}", "1: history.sync: '1' is neither true nor false"),
    ("zeromq: {allowed_networks: 10.0.0.0/8}", "1: zeromq.allowed_networks: '10.0.0.0/8' is not a"),
    ("zeromq: {curve_key: 1}", "1: zeromq.curve_key: '1' is not a text, write it in quotes"),
    ("logger: {format: xml}", "1: logger.format: 'xml' is not a format, use one of text, json"),
    ("status_uri: 4568", "1: status_uri: '4568' is not an address, write [\"127.0.0.1\", 4567]"),
    ("status_uri: unix:x", "1: status_uri: 'unix:x' is not an absolute path, write"),
    ("status_token: short", "1: status_token: is not a token, write 16 or more ASCII letters"),
    ("status_hosts: [a b]", "1: status_hosts: 'a b' is not a host, use an IP address, a host name"),
    ("show_addresses: 1", "1: show_addresses: '1' is neither true nor false"),
    (
        '\nstatus_uri: ["192.0.2.1", 4568]',
        "2: status_uri: others can connect there, and it shows the ids of jobs, write a status_to",
    ),
    ("zeromq: {allow_exit: 1}", "1: zeromq.allow_exit: '1' is neither true nor false"),
    ("logger: {file: 1}", "1: logger.file: '1' is not a text, write it in quotes"),
    ("logger: {file: ''}", "1: logger.file: '' is not a text"),
    ("logger: {file: {}}", "1: logger.file: a mapping is not a text"),
    ("logger: {file: }", "1: logger.file: '' is not a text"),
    ('logger: {file: "a\\0"}', "1: logger.file: 'a\\x00' is not a text"),
    ('logger: {file: "\\ud800"}', "1: logger.file: '\\ud800' is not a text"),
    ("logger: {level: all}", "1: logger.level: 'all' is not a level, use one of debug, info, "),
    ("logger: {rotations: 1.5}", "1: logger.rotations: '1.5' is not a whole number from 0 to 1000"),
    ("logger: {rotations: true}", "1: logger.rotations: 'true' is not a whole number"),
    ("logger: {max-size: -1}", "1: logger.max-size: '-1' is not a whole number"),
    ("channels: {retention: 5m}", "1: channels.retention: '5m' is not a number of seconds from 0"),
    ("channels: {idle_timeout: 0}", "1: channels.idle_timeout: '0' is not a number of seconds"),
    ("channels: {retention: .nan}", "1: channels.retention: '.nan' is not a number of seconds"),
    ("channels: {retention: true}", "1: channels.retention: 'true' is not a number of seconds"),
    ("zeromq_uri: tcp://a", "1: zeromq_uri: 'tcp://a' is not an address, write ["),
    ("zeromq_uri: unix:/a", "1: zeromq_uri: 'unix:/a' is not an address, write ["),
    ("zeromq_uri: ipc:a", "1: zeromq_uri: 'ipc:a' is not an absolute path, write \"ipc:/PATH\""),
    ('websocket_uri: "unix:/\\0"', "1: websocket_uri: 'unix:/\\x00' is not an absolute path"),
    (f"websocket_uri: unix:/{'a' * 107}", "1: websocket_uri: 'unix:/aaa"),
    ("websocket_tls: x.pem", "1: websocket_tls: 'x.pem' is not a mapping of keys"),
    ("websocket_tls: {cert: a}", "1: websocket_tls.cert: is not known, there are certificate, "),
    ("zeromq_uri: []", "1: zeromq_uri: a list is not an address, write ["),
    ("zeromq_uri: [a, 1, 2]", "1: zeromq_uri: a list is not an address"),
    ("zeromq_uri: [a b, 1]", "1: zeromq_uri: 'a b' is not a host, use an IP address, "),
    ("zeromq_uri: [10.0.0.256, 1]", "1: zeromq_uri: '10.0.0.256' is not a host"),
    ("zeromq_uri: [-a, 1]", "1: zeromq_uri: '-a' is not a host"),
    ("zeromq_uri: [1, 1]", "1: zeromq_uri: '1' is not a host"),
    ("zeromq_uri: [a, 65536]", "1: zeromq_uri: '65536' is not a port, use a number from 0 to"),
    ("zeromq_uri: [a, -1]", "1: zeromq_uri: '-1' is not a port"),
    ("zeromq_uri: [a, http]", "1: zeromq_uri: 'http' is not a port"),
    ("zeromq_uri: [a, '¹']", "1: zeromq_uri: '¹' is not a port"),
    (f"zeromq_uri: [a, '{'9' * 5000}']", "1: zeromq_uri: '9999"),
    ("zeromq_uri: [a, true]", "1: zeromq_uri: 'true' is not a port"),
    ("logger: {rotations: !!int ''}", "1: logger.rotations: '' is not a whole number"),
    ("channels: {retention: !!float ''}", "1: channels.retention: '' is not a number of seconds"),
    ("zeromq: {allow_exit: !!bool maybe}", "1: zeromq.allow_exit: 'maybe' is neither true nor"),
    ("logger: {level: !!timestamp now}", "1: logger.level: 'now' is not a level"),
    ('logger:\n  level: "\\UFFFFFFFF"', "1: is not YAML: "),
    (f"%YAML 1.{'9' * 5000}\n--- {{}}", "1: is not YAML: "),
    ("[" * 10000, "1: is nested too deeply"),
)
"""YAML, and how what is said about it goes on after the file's name."""

KEYS = {
    "logger": ("file", "level", "max-size", "rotations"),
    "zeromq": ("allow_exit",),
    "channels": ("retention", "failed_grace", "idle_timeout"),
    "history": ("file", "sync"),
    "websocket_tls": ("certificate", "key", "chain"),
}
ALL_KEYS = ("websocket_uri", "zeromq_uri", *KEYS, *(key for keys in KEYS.values() for key in keys))
TOKENS = (
    *ALL_KEYS,
    *("\n", "\n  ", ": ", "- ", ", ", "[", "]", "{", "}", "? ", "| ", "> ", "#", '"', "'"),
    *("&a ", "*a", "<<", "!!int ", "!x ", "--- ", "...", "%YAML 1.", "%TAG ! x", "\\U", "0", "\t"),
)

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()
)
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda tree: st.lists(tree) | st.dictionaries(st.sampled_from(ALL_KEYS) | SCALARS, tree),
    max_leaves=20,
)

TYPES = ("str", "int", "float", "bool", "timestamp", "binary", "set", "null")
TAGS = ("", "!x", *(f"!!{tag}" for tag in TYPES))
TAGGED = st.builds("{}|{}".format, st.sampled_from(TAGS), st.text(max_size=3))


def with_tags(tree: Any) -> str:
    """The tree as YAML; in its texts, what is before a bar becomes a tag."""
    return re.sub(r'"(!?!?[a-z]*)\|', r'\1 "', json.dumps(tree))


MISTAGGED = st.fixed_dictionaries(
    {"zeromq_uri": st.tuples(TAGGED, TAGGED)},
    optional={
        section: TAGGED | st.dictionaries(st.sampled_from(keys), TAGGED)
        for section, keys in KEYS.items()
    },
).map(with_tags)

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,20}(\.[a-z0-9][a-z0-9-]{0,20}){0,3}\.?", fullmatch=True)
ADDRESSES = st.builds(
    Address, st.just("*") | st.ip_addresses().map(str) | NAMES, st.integers(0, 65535)
)

PATHS = st.from_regex(r"/[a-zé][^/\0\ud800-\udfff]{0,20}", fullmatch=True)


def endpoints(scheme: str) -> st.SearchStrategy[Address | SocketFile]:
    """Where to listen, for a key that takes sockets' files with this scheme."""
    return ADDRESSES | st.builds(SocketFile, PATHS, st.just(scheme))


def seconds(low: int, high: int) -> st.SearchStrategy[float]:
    """Numbers of seconds, with and without a fraction."""
    return st.integers(low, high) | st.floats(low, high)


SETTINGS = st.builds(
    Settings,
    endpoints("unix"),
    endpoints("ipc"),
    st.builds(
        Logger,
        st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        st.sampled_from(LEVELS),
        st.integers(0, 2**40),
        st.integers(0, 1000),
    ),
    st.builds(Zeromq, st.booleans()),
    st.builds(Channels, seconds(0, 86400), seconds(0, 3600), seconds(1, 30 * 86400)),
)


def read(text: str) -> Settings:
    """The settings of a YAML text."""
    return parse(text.encode(), "F")


class ParseTests(SynchronousTestCase):
    """What is right."""

    def test_defaults(self) -> None:
        """Nothing configured is the defaults, and so is a heading with nothing below it."""
        for text in ("", "# nothing\n", "---\n", "{}", "logger:\nchannels:\n", "logger: {}"):
            self.assertEqual(read(text), Settings(), text)
        self.assertEqual(load(None), Settings())

    def test_original(self) -> None:
        """A file of the original monitor says here what it said there."""
        self.assertEqual(
            read(ORIGINAL),
            Settings(
                Address("127.0.0.1", 4567),
                Address("127.0.0.1", 7894),
                Logger("/var/log/recodex/monitor.log", "debug", 1048576, 3),
            ),
        )

    def test_our_own_sections(self) -> None:
        """The keys that the original does not have are read too."""
        text = "zeromq: {allow_exit: yes}\nchannels: {retention: 1, failed_grace: 2.5}"
        self.assertEqual(read(text), Settings(zeromq=Zeromq(True), channels=Channels(1, 2.5, 3600)))
        text = "history: {file: history.db, sync: yes}"
        self.assertEqual(read(text), Settings(history=History("history.db", True)))

    def test_status(self) -> None:
        """Where others could connect the status needs a token; on this machine it needs none."""
        token = "0123456789abcdef"
        for uri in ("[127.0.0.1, 1]", "['::1', 1]", "[localhost, 1]", "unix:/run/status"):
            self.assertIs(read(f"status_uri: {uri}").status_token, None)
        found = read(f'status_uri: ["*", 1]\nstatus_token: "{token}"\nstatus_hosts: [example.org]')
        self.assertEqual((found.status_token, found.status_hosts), (token, ("example.org",)))
        self.assertNotIn(token, str(shown(found)))

    def test_level_in_capitals(self) -> None:
        """A level may be written in capitals."""
        self.assertEqual(read("logger: {level: WARNING}").logger.level, "warning")

    def test_hosts(self) -> None:
        """A host may be an IPv4 or IPv6 address, a name, or ``*``."""
        for host in ("0.0.0.0", "::1", "fe80::1%eth0", "localhost", "a-1_b.example.org.", "*"):
            self.assertEqual(read(f'zeromq_uri: ["{host}", 1]').zeromq_uri, Address(host, 1))

    def test_socket_files(self) -> None:
        """An address may be a Unix socket's file, with one slash or with three as in a URL."""
        for slashes in ("/", "///"):
            made = read(f"{{websocket_uri: 'unix:{slashes}a/b', zeromq_uri: 'ipc:{slashes}c'}}")
            self.assertEqual(made.websocket_uri, SocketFile("/a/b", "unix"))
            self.assertEqual(made.zeromq_uri, SocketFile("/c", "ipc"))
            self.assertEqual(str(made.zeromq_uri), "ipc:/c")

    def test_tls(self) -> None:
        """TLS has up to three files."""
        made = read("websocket_tls: {certificate: /c, key: /k, chain: /h}")
        self.assertEqual(made.websocket_tls, Tls("/c", "/k", "/h"))

    def test_ports(self) -> None:
        """A port may be written as a text."""
        for port, number in (("'4567'", 4567), ("0", 0), ("65535", 65535), ("'0'", 0)):
            self.assertEqual(read(f"zeromq_uri: [a, {port}]").zeromq_uri, Address("a", number))

    def test_encodings(self) -> None:
        """A file may have a byte order mark."""
        settings = parse("logger: {file: é}".encode("utf-8-sig"), "F")
        self.assertEqual(settings.logger.file, "é")

    @settings(deadline=None)
    @given(SETTINGS)
    def test_dump(self, made: Settings) -> None:
        """Settings that are dumped are parsed to the same settings."""
        self.assertEqual(read(dump(made)), made)

    def test_address_text(self) -> None:
        """An address is shown as in a URL, an IPv6 one in brackets."""
        self.assertEqual(str(Address("localhost", 1)), "localhost:1")
        self.assertEqual(str(Address("::1", 1)), "[::1]:1")


class MistakeTests(SynchronousTestCase):
    """What is wrong."""

    def problems(self, text: str) -> list[str]:
        """What is said about a YAML text."""
        error: ConfigError = self.assertRaises(ConfigError, read, text)
        return error.problems

    def test_each(self) -> None:
        """Each mistake is one problem that says file, line, key, and what would be right."""
        wrong = []
        for text, expected in MISTAKES:
            try:
                problems = self.problems(text)
            except Exception as error:
                problems = [repr(error)]
            if len(problems) != 1 or not problems[0].startswith(f"F:{expected}"):
                wrong.append((text[:60], expected, problems))
        self.assertEqual(wrong, [])

    def test_all_at_once(self) -> None:
        """All mistakes of a file are told at once, in its order, a line each."""
        text = "zeromq_uri: 1\nlogger:\n  level: 1\n  x: 1\nchannels:\n  retention: x\ny: 1"
        error = self.assertRaises(ConfigError, read, text)
        starts = [problem.split(": ")[:2] for problem in error.problems]
        self.assertEqual(
            starts,
            [
                ["F:1", "zeromq_uri"],
                ["F:3", "logger.level"],
                ["F:4", "logger.x"],
                ["F:6", "channels.retention"],
                ["F:7", "y"],
            ],
        )
        self.assertEqual(str(error).splitlines(), error.problems)

    def test_long_values(self) -> None:
        """Of a long key or value the beginning is shown."""
        for text in (f"{'k' * 900}: 1", f"logger: {{level: {'v' * 900}}}"):
            self.assertLess(len(self.problems(text)[0]), 250)

    def test_numbers_are_written_out(self) -> None:
        """Bounds are told as people write numbers."""
        self.assertIn("from 1 to 2592000", self.problems("channels: {idle_timeout: 0}")[0])

    @settings(deadline=None)
    @given(
        st.binary()
        | st.text().map(str.encode)
        | st.lists(st.sampled_from(TOKENS)).map("".join).map(str.encode)
        | TREES.map(yaml.safe_dump).map(str.encode)
        | MISTAGGED.map(str.encode)
    )
    def test_nothing_else_is_raised(self, content: bytes) -> None:
        """Any bytes, any YAML and any tree of values are settings or a ConfigError."""
        try:
            self.assertIsInstance(parse(content, "F"), Settings)
        except ConfigError as error:
            self.assertTrue(all(problem.startswith("F:") for problem in error.problems))


class LoadTests(SynchronousTestCase):
    """Files."""

    def test_file(self) -> None:
        """A file is read, and problems call it by the name that was given."""
        path = self.mktemp()
        Path(path).write_text("logger: {level: debug}")
        self.assertEqual(load(path).logger.level, "debug")
        Path(path).write_text("\nx: 1")
        error = self.assertRaises(ConfigError, load, path)
        self.assertTrue(str(error).startswith(f"{path}:2: x: "), str(error))

    def test_cannot_be_read(self) -> None:
        """A missing file, and what cannot be read as one, are problems that say why."""
        missing, folder = self.mktemp(), self.mktemp()
        Path(folder).mkdir()
        for path, why in ((missing, "No such file or directory"), (folder, "Is a directory")):
            error = self.assertRaises(ConfigError, load, path)
            self.assertEqual(error.problems, [f"{path}: cannot be read: {why}"])
