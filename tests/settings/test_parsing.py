"""From YAML to settings, or to a list of mistakes."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import parsing
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.settings.parsing import installed_file, load, parse
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
    ("a: 1", "1: a: is not a key; the keys are websocket_uri, zeromq_uri, logger,"),
    ("\nlogger:\n  levle: info", "3: logger.levle: is not a key; did you mean level?"),
    ("logger:\n  max_size: 1", "2: logger.max_size: is not a key; did you mean max-size?"),
    ("[1]: x", "1: a list: is not a key; "),
    ('"a\\nb": x', "1: a?b: is not a key; "),
    ("- x", "1: a list is not a mapping of keys"),
    ("\ntext", "2: 'text' is not a mapping of keys"),
    ("logger: text", "1: logger: 'text' is not a mapping of keys"),
    ("logger: [level]", "1: logger: a list is not a mapping of keys"),
    ("logger: {}\nlogger: {}", "2: logger: is given twice; keep one"),
    ("zeromq:\n  allow_exit: no\n  allow_exit: no", "3: zeromq.allow_exit: is given twice"),
    ("--- {}\n--- {}", "2: a second document begins; only one is allowed"),
    ("logger:\n\tlevel: info", "2: is not YAML: "),
    ("logger: {", "1: is not YAML: "),
    ("logger: *name", "1: is not YAML: found undefined alias"),
    ("# é é é é é é\n# é é é é\n# é\nlogger: \x01", "4: is not YAML: "),
    ("zeromq: {allowed_networks: 10.0.0.0/8}", "1: zeromq.allowed_networks: '10.0.0.0/8' is not a"),
    (
        '\nstatus_uri: ["192.0.2.1", 4568]',
        "2: status_uri: others can connect there, and the page shows the ids of jobs; set a statu",
    ),
    ("logger:\n  <<: x", "2: <<: 'x' is not a mapping of keys"),
    ("logger: {<<: [{}, 1]}", "1: <<: '1' is not a mapping of keys"),
    ("logger: {<<: {levle: info}}", "1: logger.levle: is not a key; did you mean level?"),
    ('logger: {"<<": {level: info}}', "1: logger.<<: is not a key; "),
    ("logger: &a {<<: *a}", "1: is nested too deeply"),
    ("websocket_tls: x.pem", "1: websocket_tls: 'x.pem' is not a mapping of keys"),
    ("websocket_tls: {cert: a}", "1: websocket_tls.cert: is not a key; the keys are certificate, "),
    ('logger:\n  level: "\\UFFFFFFFF"', "1: is not YAML: "),
    (f"%YAML 1.{'9' * 5000}\n--- {{}}", "1: is not YAML: "),
    ("[" * 1000, "1: is nested too deeply"),
)
"""YAML, and how the only problem with it goes on after the file's name."""

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
    """The tree as YAML; what is before a bar in its strings becomes a tag."""
    return re.sub(r'"(!?!?[a-z]*)\|', r'\1 "', json.dumps(tree))


MISTAGGED = st.fixed_dictionaries(
    {"zeromq_uri": st.tuples(TAGGED, TAGGED)},
    optional={
        section: TAGGED | st.dictionaries(st.sampled_from(keys), TAGGED)
        for section, keys in KEYS.items()
    },
).map(with_tags)


def read(text: str) -> Settings:
    """The settings of a YAML text."""
    return parse(text.encode(), "F")


class ParseTests(SynchronousTestCase):
    """Files without mistakes."""

    def test_defaults(self) -> None:
        """An empty file gives the defaults, and so does a section without keys."""
        for text in ("", "# nothing\n", "---\n", "{}", "logger:\nchannels:\n", "logger: {}"):
            self.assertEqual(read(text), Settings(), text)
        self.assertEqual(load(None), Settings())

    def test_merged(self) -> None:
        """Merge keys mean what they mean in YAML: own keys first, then earlier mappings."""
        text = """
            channels: &a {retention: 1, failed_grace: 2}
            logger: &b {level: debug, rotations: 7, max-size: 1}
            history: {sync: yes, <<: {sync: no, file: f}}
        """
        found = read(text)
        self.assertEqual(found.history, History("f", True))
        cases = (
            ("{<<: {rotations: 5}, level: error}", Logger(level="error", rotations=5)),
            ("{level: error, <<: {level: debug}}", Logger(level="error")),
            (
                "{<<: [{level: error}, {level: debug, rotations: 1}]}",
                Logger(None, "error", 2**20, 1),
            ),
            (
                "{<<: {<<: {rotations: 1, level: error}, level: debug}}",
                Logger(None, "debug", 2**20, 1),
            ),
            ("{<<: {level: error}, <<: {rotations: 1}}", Logger(None, "error", 2**20, 1)),
            ("{<<: []}", Logger()),
        )
        for text, logger in cases:
            self.assertEqual(read(f"logger: {text}").logger, logger, text)
        aliased = "logger: &a {level: error}\nlimits: {backlog: 1}\n<<: {logger: {level: debug}}"
        self.assertEqual(read(aliased).logger, Logger(level="error"))

    def test_merged_often(self) -> None:
        """Mappings that merge each other many times cost no time."""
        levels = "".join(f", &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}" for n in range(1, 200))
        text = f"logger: {{<<: [&m0 {{level: debug}}{levels}]}}"
        self.assertEqual(read(text).logger.level, "debug")

    def test_original(self) -> None:
        """A configuration of the original monitor means the same here."""
        self.assertEqual(
            read(ORIGINAL),
            Settings(
                Address("127.0.0.1", 4567),
                Address("127.0.0.1", 7894),
                Logger("/var/log/recodex/monitor.log", "debug", 1048576, 3),
            ),
        )

    def test_our_own_sections(self) -> None:
        """Sections that the original monitor does not have are read."""
        text = "zeromq: {allow_exit: yes}\nchannels: {retention: 1, failed_grace: 2.5}"
        self.assertEqual(read(text), Settings(zeromq=Zeromq(True), channels=Channels(1, 2.5, 3600)))
        text = "history: {file: history.db, sync: yes}"
        self.assertEqual(read(text), Settings(history=History("history.db", True)))

    def test_status(self) -> None:
        """The status page needs a token, unless only this machine can connect to it."""
        token = "0123456789abcdef"
        for uri in ("[127.0.0.1, 1]", "['::1', 1]", "[localhost, 1]", "unix:/run/status"):
            self.assertIs(read(f"status_uri: {uri}").status_token, None)
        found = read(f'status_uri: ["*", 1]\nstatus_token: "{token}"\nstatus_hosts: [example.org]')
        self.assertEqual((found.status_token, found.status_hosts), (token, ("example.org",)))

    def test_tls(self) -> None:
        """TLS has up to three files."""
        made = read("websocket_tls: {certificate: /c, key: /k, chain: /h}")
        self.assertEqual(made.websocket_tls, Tls("/c", "/k", "/h"))

    def test_encodings(self) -> None:
        """A file may have a byte order mark."""
        settings = parse("logger: {file: é}".encode("utf-8-sig"), "F")
        self.assertEqual(settings.logger.file, "é")


class MistakeTests(SynchronousTestCase):
    """Files with mistakes."""

    def problems(self, text: str) -> list[str]:
        """The problems of a YAML text."""
        error: ConfigError = self.assertRaises(ConfigError, read, text)
        return error.problems

    def test_each(self) -> None:
        """Each mistake is one problem, with file, line, key, and what to write instead."""
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
        """All mistakes of a file are reported at once, in its order, one line each."""
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
        """Of a long key or value, only the beginning is shown."""
        for text in (f"{'k' * 900}: 1", f"logger: {{level: {'v' * 900}}}"):
            self.assertLess(len(self.problems(text)[0]), 300)

    def test_numbers_are_written_out(self) -> None:
        """The error shows a range in plain digits."""
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
        """Any bytes, any YAML and any tree of values give settings or a ConfigError."""
        try:
            self.assertIsInstance(parse(content, "F"), Settings)
        except ConfigError as error:
            self.assertTrue(all(problem.startswith("F:") for problem in error.problems))


class LoadTests(SynchronousTestCase):
    """Settings from a file."""

    def test_file(self) -> None:
        """A file is read, and its problems begin with the name that was given."""
        path = self.mktemp()
        Path(path).write_text("logger: {level: debug}")
        self.assertEqual(load(path).logger.level, "debug")
        Path(path).write_text("\nx: 1")
        error = self.assertRaises(ConfigError, load, path)
        self.assertTrue(str(error).startswith(f"{path}:2: x: "), str(error))

    def test_cannot_be_read(self) -> None:
        """A missing file, and one that cannot be read, is a problem with its reason."""
        missing, folder = self.mktemp(), self.mktemp()
        Path(folder).mkdir()
        for path, why in ((missing, "No such file or directory"), (folder, "Is a directory")):
            error = self.assertRaises(ConfigError, load, path)
            self.assertEqual(error.problems, [f"{path}: cannot be read: {why}"])

    def test_installed_file(self) -> None:
        """An installed system's configuration is found; without one there is none."""
        path = self.mktemp()
        self.patch(parsing, "DEFAULT_FILE", path)
        self.assertIsNone(installed_file())
        Path(path).touch()
        self.assertEqual(installed_file(), path)
