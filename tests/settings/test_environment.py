"""Settings that come from the environment."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import environment
from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.parsing import parse
from recodex_monitor.settings.schema import ConfigError, Settings

TOKEN = "correct-horse-battery"


def read(file: str = "", **variables: str) -> Settings:
    """Settings of a file, and of variables without their prefix."""
    environ = {f"RECODEX_MONITOR_{name}": text for name, text in variables.items()}
    return parse(file.encode(), "F", environ)


class ReadTests(SynchronousTestCase):
    """What variables mean."""

    def test_values(self) -> None:
        """Values are YAML, ``__`` stands between section and key, ``_`` for a hyphen."""
        made = read(
            WEBSOCKET_URI='["*", 80]',
            ZEROMQ_URI="ipc:/run/broker",
            LOGGER__FILE="-",
            LOGGER__MAX_SIZE="0",
            LIMITS__ALLOWED_ORIGINS="['https://recodex.example.org']",
            SHOW_ADDRESSES="true",
            STATUS_TOKEN=TOKEN,
        )
        self.assertEqual(made.websocket_uri, Address("*", 80))
        self.assertEqual(made.zeromq_uri, SocketFile("/run/broker", "ipc"))
        self.assertEqual((made.logger.file, made.logger.max_size), ("-", 0))
        self.assertEqual(made.limits.allowed_origins, ("https://recodex.example.org",))
        self.assertEqual((made.show_addresses, made.status_token), (True, TOKEN))

    def test_wins(self) -> None:
        """The environment wins over the file, key by key; an empty variable is none."""
        file = "limits: {backlog: 5, max_channels: 6}"
        limits = read(file, LIMITS__BACKLOG="7", LIMITS__MAX_CHANNELS=" ").limits
        self.assertEqual((limits.backlog, limits.max_channels), (7, 6))

    def test_null(self) -> None:
        """``null`` gives a key of the file its default back."""
        made = read(
            "history: {file: F}\nlimits: {backlog: 5}", HISTORY__FILE="null", LIMITS__BACKLOG="~"
        )
        self.assertEqual(made, Settings())

    def test_default(self) -> None:
        """Without variables of settings nothing changes."""
        self.assertEqual(read(CONFIG="F", PLAIN_LOOP="1", SERVICE_HOST="10.0.0.1"), Settings())

    def test_together(self) -> None:
        """What is checked of several keys holds for file and environment together."""
        file = "status_uri: ['*', 80]"
        self.assertEqual(read(file, STATUS_TOKEN=TOKEN).status_token, TOKEN)
        (problem,) = self.assertRaises(ConfigError, read, file).problems
        self.assertTrue(problem.startswith("F:1: status_uri: others can connect"), problem)
        (problem,) = self.problems(STATUS_URI="['*', 80]")
        place = "RECODEX_MONITOR_STATUS_URI: status_uri: others can connect"
        self.assertTrue(problem.startswith(place), problem)

    def test_mistakes(self) -> None:
        """Each mistake has the variable's name as its place; all are told, also the file's."""
        found = self.problems("x: 1", LIMITS__BACKLOG="many", LOGGER__LEVEL="[", SHOW_ADDRESSES="2")
        places = [problem.partition(": ")[0] for problem in found]
        names = ("LOGGER__LEVEL", "LIMITS__BACKLOG", "SHOW_ADDRESSES")
        self.assertEqual(places, ["F:1", *(f"RECODEX_MONITOR_{name}" for name in names)])
        self.assertIn("limits.backlog: 'many' is not a whole number from 1 to 65535", found[2])
        self.assertIn("logger.level: is not YAML: ", found[1])

    def test_bad_yaml(self) -> None:
        """Whatever a variable holds, it is a mistake of that variable."""
        for text in (
            "[",
            "a: b: c",
            "\x00",
            "\x07",
            "# nothing",
            "*alias",
            "!!python/none",
            "[" * 5000,
        ):
            (problem,) = self.problems(LOGGER__FILE=text)
            self.assertTrue(problem.startswith("RECODEX_MONITOR_LOGGER__FILE: logger.file: "))

    def test_secret(self) -> None:
        """An error does not show a token."""
        for text in (f"*{TOKEN}", f"@{TOKEN}", f"[{TOKEN}", f"{TOKEN} {TOKEN}"):
            (problem,) = self.problems(STATUS_TOKEN=text)
            self.assertNotIn(TOKEN, problem)

    def problems(self, file: str = "", **variables: str) -> Any:
        """The mistakes that are found."""
        return self.assertRaises(ConfigError, read, file, **variables).problems


class NameTests(SynchronousTestCase):
    """The names of variables."""

    def test_keys(self) -> None:
        """Each key has a variable of its own."""
        keys = list(environment.keys())
        self.assertIn("logger.max-size", keys)
        self.assertIn("status_uri", keys)
        names = set(map(environment.variable, keys))
        self.assertEqual(len(names), len(keys))
        self.assertFalse(names & {f"RECODEX_MONITOR_{one}" for one in environment.NOT_SETTINGS})

    def test_unknown(self) -> None:
        """Of variables that are no settings there is a note, with the nearest one."""
        environ = {
            "RECODEX_MONITOR_CONFIG": "F",
            "RECODEX_MONITOR_LIMITS__BACKLOGS": "1",
            "RECODEX_MONITOR_SERVICE_HOST": "10.0.0.1",
            "RECODEX_MONITOR_LIMITS__BACKLOG": "1",
            "HOME": "/",
        }
        first, second = environment.unknown(environ)
        self.assertTrue(first.endswith("did you mean RECODEX_MONITOR_LIMITS__BACKLOG?"), first)
        self.assertIn("RECODEX_MONITOR_SERVICE_HOST: is not the variable of a setting", second)

    def test_without_settings(self) -> None:
        """A child can have an environment without settings."""
        environ = {
            "RECODEX_MONITOR_STATUS_TOKEN": TOKEN,
            "RECODEX_MONITOR_CONFIG": "F",
            "HOME": "/",
        }
        expected = {"RECODEX_MONITOR_CONFIG": "F", "HOME": "/"}
        self.assertEqual(environment.without_settings(environ), expected)
