"""Tests of the command, without a running monitor."""

import base64
import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import yaml
from twisted.logger import globalLogBeginner
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import __version__, checks, cli, monitor
from recodex_monitor.history import database
from recodex_monitor.monitor import CannotStart
from recodex_monitor.tools import demo, simulate, status, watch
from recodex_monitor.tools.local_monitor import LocalMonitor, MonitorError
from recodex_monitor.tools.progress import Progress
from recodex_monitor.tools.status_client import CannotAsk


class CommandTestCase(SynchronousTestCase):
    """Runs the command in this process."""

    def setUp(self) -> None:
        """Take no notice of ports: a monitor may run on this machine with the default ones."""
        self.patch(checks, "_address", lambda key, address: [])

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Run it; returns its exit code, its output and its errors."""
        output, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        try:
            code = cli.main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        return code, output.getvalue(), errors.getvalue()


class OutputTests(SynchronousTestCase):
    """What becomes of a reader of the output that wants no more of it."""

    def test_closed(self) -> None:
        """A command says nothing of it, whenever it notices."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            for command in ("check", "--help"):
                text = "from recodex_monitor import cli; import sys; sys.exit(cli.main())"
                done = subprocess.run(
                    [sys.executable, "-c", text, command],
                    stdout=writing,
                    stderr=subprocess.PIPE,
                    timeout=60,
                    check=False,
                )
                self.assertEqual(done.stderr, b"")
        finally:
            os.close(writing)


class HelpTests(CommandTestCase):
    """What the command says of itself."""

    def test_version(self) -> None:
        """The version is one line."""
        expected = (0, f"recodex-monitor {__version__}\n", "")
        self.assertEqual(self.run_command("--version"), expected)

    def test_help(self) -> None:
        """Every command has its help, with its exit codes."""
        _, text, _ = self.run_command("--help")
        for name in ("check", "doctor", "simulate", "watch", "status", "demo"):
            self.assertIn(name, text)
            code, helped, _ = self.run_command(name, "--help")
            self.assertEqual(code, 0)
            self.assertIn("Exit codes: 0 ", " ".join(helped.split()))

    def test_wrong_usage(self) -> None:
        """An unknown command is wrong usage."""
        code, output, errors = self.run_command("chekc")
        self.assertEqual((code, output), (2, ""))
        self.assertIn("chekc", errors)


class EncodingTests(SynchronousTestCase):
    """Terminals that are not UTF-8 show what they lack escaped."""

    def run_in(self, encoding: str, *arguments: str) -> tuple[str, str]:
        """Run the command with streams of an encoding; returns what came out, as text."""
        streams = {name: io.BytesIO() for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            self.patch(sys, name, io.TextIOWrapper(stream, encoding, write_through=True))
        with contextlib.suppress(SystemExit):
            cli.main(list(arguments))
        output, errors = (stream.getvalue().decode(encoding) for stream in streams.values())
        return output, errors

    def test_watch(self) -> None:
        """The id and the messages of a job that is followed."""

        def follow(
            _url: str, channel: str, progress: Progress, show: watch.Show, *_: object
        ) -> None:
            for command in ("\u8a9e", "FINISHED"):
                message = {"command": command, "task_id": channel}
                progress.feed(message)
                show(progress, message)

        self.patch(watch, "follow", follow)
        for encoding, shown in (("ascii", r"\u017elu\u0165"), ("iso8859-2", "žluť")):
            output, errors = self.run_in(encoding, "watch", "žluť")
            self.assertIn(f"following {shown}", output)
            self.assertIn(r"\u8a9e " + shown, output)
            self.assertEqual(errors, "")

    def test_status(self) -> None:
        """A job's id, also one that the shell passed as bytes that are not UTF-8."""
        asked = mock.Mock(side_effect=CannotAsk("žluť"))
        self.patch(status, "ask", asked)
        _, errors = self.run_in("ascii", "status", "--url", "http://h:1", "a\udcff")
        self.assertEqual(errors, "recodex-monitor status: \\u017elu\\u0165\n")
        self.assertEqual(asked.call_args.args[1], "/api/channels/a%FF")

    def test_simulate(self) -> None:
        """The ids of a capture, and the name of a file that is not there."""
        capture = Path(self.mktemp())
        record = {"type": "zmq", "frames": [{"b64": base64.b64encode("žluť".encode()).decode()}]}
        capture.write_text(json.dumps(record))
        self.patch(simulate, "broker_socket", mock.MagicMock())
        output, errors = self.run_in("ascii", "simulate", "--capture", str(capture))
        self.assertEqual(output, "\\u017elu\\u0165\n")
        _, errors = self.run_in("ascii", "simulate", "--capture", "/žluť")
        self.assertIn(r"/\u017elu\u0165: No such file", errors)

    def test_demo(self) -> None:
        """What the demo prints of its files."""

        async def introduce(exit_at_end: bool, nodes: int) -> None:
            print(demo.introduction(LocalMonitor(Path("/žluť"), 1, 2, 3), 1, 9))
            raise MonitorError("žluť")

        self.patch(demo, "_demo", introduce)
        output, errors = self.run_in("ascii", "demo")
        self.assertIn(r"/\u017elu\u0165/monitor.log", output)
        self.assertIn(r"\u017elu\u0165", errors)

    def test_check(self) -> None:
        """The settings, which stay the same YAML, and the mistakes in a file."""
        folder = Path(self.mktemp()) / "žluť"
        folder.mkdir(parents=True)
        config = folder / "config.yml"
        config.write_text("logger: {file: /tmp/žluť, bad: 1}", encoding="utf-8")
        _, errors = self.run_in("ascii", "check", "-c", str(config))
        self.assertIn(r"\u017elu\u0165/config.yml:1: logger.bad: ", errors)
        config.write_text("logger: {file: žluť}", encoding="utf-8")
        output, _ = self.run_in("ascii", "check", "-c", str(config))
        self.assertEqual(yaml.safe_load(output)["logger"]["file"], "žluť")

    def test_wrong_usage(self) -> None:
        """An argument that is not understood."""
        _, errors = self.run_in("ascii", "žluť")
        self.assertIn(r"\u017elu\u0165", errors)


class BackupTests(CommandTestCase):
    """The command ``backup``."""

    def test_no_history(self) -> None:
        """Without a history that could be copied, the command says why."""
        config, file = Path(self.mktemp()), str(Path(self.mktemp()).absolute())
        config.write_text("{}")
        for text, expected in (
            ("{}", f"history.file is not set in {config}"),
            (f"history: {{file: {file}}}", f"{file} does not exist"),
            ("x: 1", f"{config}:1: x: is not a key"),
        ):
            config.write_text(text)
            code, printed, errors = self.run_command("backup", "-c", str(config), "copy")
            self.assertEqual((code, printed), (1, ""))
            self.assertIn(f"recodex-monitor backup: {expected}", errors)


class CheckTests(CommandTestCase):
    """The command ``check``."""

    def check(self, text: str) -> tuple[int, str, str]:
        """Check a file with this content."""
        self.config = Path(self.mktemp())
        self.config.write_text(text)
        return self.run_command("check", "-c", str(self.config))

    def test_settings(self) -> None:
        """The effective settings are printed as a configuration file that means the same."""
        code, printed, errors = self.check("websocket_uri: [localhost, '80']\n")
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(yaml.safe_load(printed)["websocket_uri"], ["localhost", 80])
        self.assertIn(f"websocket_uri:  # {self.config}:1\n", printed)
        self.assertIn("max_channels: 100000  # default\n", printed)
        again = self.check(printed)[1]
        self.assertEqual(yaml.safe_load(again), yaml.safe_load(printed))

    def test_environment(self) -> None:
        """Variables win over the file, and are named as the place of a value and of a mistake."""
        name = "RECODEX_MONITOR_LIMITS__BACKLOG"
        variables = {name: "7", "RECODEX_MONITOR_PORT": "tcp://10.0.0.1:80"}
        with mock.patch.dict(os.environ, variables):
            code, printed, errors = self.check("limits: {backlog: 5}\n")
            self.assertIn(f"backlog: 7  # {name}\n", printed)
            self.assertEqual(code, 0)
            self.assertRegex(errors, "^RECODEX_MONITOR_PORT: is not the variable of a setting")
            os.environ[name] = "x"
            code, _, errors = self.check("")
            expected = f"{name}: limits.backlog: 'x' is not a whole number from 1 to 65535\n"
            self.assertEqual((code, errors), (1, expected))

    def test_defaults(self) -> None:
        """Without a file the defaults are printed."""
        code, printed, _ = self.run_command("check")
        self.assertEqual(code, 0)
        self.assertEqual(yaml.safe_load(printed)["zeromq_uri"], ["127.0.0.1", 7894])

    def test_broker_by_ipv6(self) -> None:
        """The broker of ReCodEx knows IPv4 only, so IPv6 alone for it is worth a warning."""
        code, printed, errors = self.check("zeromq_uri: ['::1', 7894]\n")
        self.assertEqual((code, yaml.safe_load(printed)["zeromq_uri"]), (0, ["::1", 7894]))
        self.assertIn("warning: zeromq_uri: [::1]:7894 is IPv6 alone", errors)
        self.assertEqual(self.check("zeromq_uri: ['*', 7894]\n")[2], "")

    def test_option_before_command(self) -> None:
        """The file may be named before the command too."""
        _, printed, _ = self.check("limits: {backlog: 5}\n")
        self.assertEqual(self.run_command("-c", str(self.config), "check")[1], printed)

    def test_secret(self) -> None:
        """A token in a file that others can read is a warning."""
        code, output, errors = self.check("status_token: 0123456789abcdef")
        self.assertEqual(code, 0)
        self.assertIn("status_token", output)
        self.assertRegex(errors, "^status_token: every user of this machine can read ")

    def test_mistakes(self) -> None:
        """Each mistake is one line, and nothing is printed as settings."""
        code, printed, errors = self.check("websocket_uri: [localhost, 80000]\nlogger: {level: x}")
        self.assertEqual((code, printed), (1, ""))
        self.assertEqual(len(errors.splitlines()), 2)

    def test_unusable_files(self) -> None:
        """A file that the monitor could not use is named, with its setting."""
        for text, expected in (
            ("websocket_tls: {certificate: /missing, key: /missing}", "websocket_tls.certificate"),
            ("zeromq: {curve_key: /missing}", "zeromq.curve_key"),
            ("history: {file: /missing/file}", "history.file"),
        ):
            code, printed, errors = self.check(text)
            self.assertEqual((code, printed), (1, ""), text)
            self.assertIn(expected, errors)
            self.assertIn("/missing", errors)

    def test_history_in_use(self) -> None:
        """A history file that a running monitor uses is a note, not a mistake."""
        self.patch(database, "check", mock.Mock(side_effect=database.InUse("is in use")))
        code, printed, errors = self.check("history: {file: /var/history}")
        self.assertEqual(code, 0)
        self.assertIn("/var/history", printed)
        self.assertEqual(errors, "history.file: is in use; its content was not checked\n")


class RunTests(CommandTestCase):
    """The command without a command, which runs a monitor."""

    def setUp(self) -> None:
        """Leave the tests' own log and reactor as they are."""
        super().setUp()
        from twisted.internet import reactor

        self.begin = mock.Mock()
        self.patch(globalLogBeginner, "beginLoggingTo", self.begin)
        self.run_reactor, self.trigger = mock.Mock(), mock.Mock()
        self.patch(reactor, "run", self.run_reactor)
        self.patch(reactor, "addSystemEventTrigger", self.trigger)

    def test_runs(self) -> None:
        """The monitor is started, runs until the reactor stops, and is stopped with it."""
        made = mock.Mock()
        make = mock.Mock(return_value=made)
        self.patch(monitor, "make_monitor", make)
        self.assertEqual(self.run_command("-c", "file"), (0, "", ""))
        make.assert_called_once_with("file")
        self.begin.assert_called_once_with([made.log], redirectStandardIO=False)
        made.startService.assert_called_once_with()
        self.trigger.assert_called_once_with("before", "shutdown", made.stopService)
        self.run_reactor.assert_called_once_with()

    def test_cannot_start(self) -> None:
        """A monitor that cannot be made or started is one line, and exit code 1."""
        error = CannotStart("the port is taken")
        unstartable = mock.Mock(startService=mock.Mock(side_effect=error))
        for make in (mock.Mock(side_effect=error), mock.Mock(return_value=unstartable)):
            self.patch(monitor, "make_monitor", make)
            text = "recodex-monitor: cannot start: the port is taken\n"
            self.assertEqual(self.run_command(), (1, "", text))
        self.run_reactor.assert_not_called()


class ToolTests(CommandTestCase):
    """The other commands."""

    def test_status_configuration(self) -> None:
        """``status`` finds the monitor by the configuration file that is named."""
        targets = mock.Mock(side_effect=CannotAsk("nobody is there"))
        self.patch(status, "find_target", targets)
        for arguments in (("-c", "file", "status"), ("status", "-c", "file")):
            code, _, errors = self.run_command(*arguments)
            self.assertEqual((code, errors), (1, "recodex-monitor status: nobody is there\n"))
            self.assertEqual(targets.call_args.args[0].config, "file")
