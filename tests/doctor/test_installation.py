"""The settings as the monitor's user can use them."""

import os
import pwd
import subprocess
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import checks
from recodex_monitor.checks import Finding
from recodex_monitor.doctor import installation
from recodex_monitor.doctor.context import Context
from tests.doctor.support import context, levels, said


class SettingsTests(SynchronousTestCase):
    """Whether they can be used."""

    def find(self, *findings: Finding) -> Context:
        """Let the checks find this; returns a context."""
        self.patch(checks, "find", lambda _settings: iter(findings))
        return context()

    def test_usable(self) -> None:
        """Ports in use are normal, other notes are told."""
        made = self.find(Finding("websocket_uri: x is in use, perhaps", is_mistake=False))
        self.assertEqual(levels(list(installation.settings(made, None))), {"settings": "ok"})
        made = self.find(Finding("zeromq_uri: IPv6 alone", is_mistake=False))
        self.assertIn("IPv6 alone", said(list(installation.settings(made, None)), "settings"))

    def test_mistakes(self) -> None:
        """What keeps a monitor from starting is a failure, and so is a file with mistakes."""
        made = self.find(Finding("logger.file: no permission"))
        self.assertEqual(levels(list(installation.settings(made, None))), {"settings": "FAIL"})
        made = Context(made.direct, problems=("config.yml:1: limts: unknown",))
        self.assertIn("limts", said(list(installation.settings(made, None)), "settings"))
        made = Context(made.direct, problems=("config.yml: cannot be read: Permission denied",))
        self.patch(os, "geteuid", lambda: 1)
        self.assertEqual(levels(list(installation.settings(made, None))), {"settings": "warn"})

    def test_place(self) -> None:
        """A mistake names file and line of its key, as `check` does."""
        file = self.mktemp()
        Path(file).write_text("---\nstatus_uri: [127.0.0.1, 4568]\n")
        made = self.find(Finding("status_uri: needs an extra"))
        made.file = file
        told = [one.seen for one in installation.settings(made, None)]
        self.assertEqual(told, [f"{file}:2: status_uri: needs an extra"])

    def test_another_user(self) -> None:
        """Root checks as the monitor's user; others say that they could not."""
        made = self.find()
        asked: list[list[str]] = []

        def run(command: list[str], **_: object) -> SimpleNamespace:
            asked.append(command)
            return SimpleNamespace(
                returncode=1, stderr="history.file: cannot write x: no permission\n"
            )

        self.patch(subprocess, "run", run)
        self.patch(os, "geteuid", lambda: 0)
        found = list(installation.settings(made, "recodex"))
        self.assertIn("chown recodex", said(found, "settings"))
        self.assertEqual(asked[0][-5:], ["check", "--user", "recodex", "-c", "config.yml"])
        self.patch(os, "geteuid", lambda: 1)
        self.patch(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="me"))
        found = list(installation.settings(made, "recodex"))
        self.assertIn("checked as me", said(found, "settings"))

    def test_user(self) -> None:
        """The unit says who it is."""
        loaded = {"LoadState": "loaded"}
        self.assertEqual(installation.user_of({**loaded, "User": "recodex"}, None), "recodex")
        self.assertEqual(installation.user_of(loaded, None), "root")
        self.assertIsNone(installation.user_of({}, None))
