"""The command, without a monitor."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from recodex_monitor.doctor import command, state
from recodex_monitor.doctor.context import Context
from recodex_monitor.doctor.findings import Finding, fail, ok, warn
from recodex_monitor.doctor.tokens import make_token
from recodex_monitor.network import tokens
from recodex_monitor.settings import parsing
from recodex_monitor.settings.schema import Access
from tests.test_cli import CommandTestCase


class RunTests(CommandTestCase):
    """What is printed, and the exit code."""

    def examine(self, *findings: Finding) -> None:
        """Let the checks find this."""
        self.contexts: list[Context] = []

        def found(context: Context) -> Iterator[Finding]:
            self.contexts.append(context)
            yield from findings

        self.patch(command, "examine", found)

    def test_codes(self) -> None:
        """Only a FAIL is a failure."""
        self.examine(ok("a", "x"), warn("b", "y\x1b"))
        code, output, _ = self.run_command("doctor")
        self.assertEqual(code, 0)
        self.assertEqual(output.splitlines()[-1], "1 ok, 1 warn, 0 FAIL")
        self.assertIn(r"y\x1b", output)
        self.examine(fail("c", "z", "mend it"), fail("d", "z", "mend it"))
        code, output, _ = self.run_command("doctor")
        self.assertEqual((code, output.count("mend it"), output.count("as above")), (1, 1, 1))
        self.assertIn("2 FAIL. Begin with the first, c:", output)

    def test_json(self) -> None:
        """Scripts get all findings and the worst level."""
        self.examine(ok("a", "x"), fail("c", "z", "mend it"))
        code, output, _ = self.run_command("doctor", "--json")
        told = json.loads(output)
        self.assertEqual((code, told["result"]), (1, "FAIL"))
        wanted = {"check": "c", "level": "FAIL", "seen": "z", "remedy": "mend it"}
        self.assertEqual(told["checks"][1], wanted)

    def test_wrong_usage(self) -> None:
        """An address or a number that is none is wrong usage."""
        for arguments in (("--public", "https://h/"), ("--idle", "-1"), ("--remote",)):
            self.assertEqual(self.run_command("doctor", *arguments)[0], 2)

    def test_missing_package(self) -> None:
        """Without the package for WebSocket it says what to install."""
        with mock.patch.dict(sys.modules, {"websockets.sync.client": None}):
            code, _, errors = self.run_command("doctor")
        self.assertEqual(code, 2)
        self.assertIn("recodex-monitor[tools]", errors)

    def test_wrong_settings(self) -> None:
        """Settings that cannot be read are a finding, and the checks go on."""
        self.examine(ok("a", "x"))
        file = Path(self.mktemp())
        file.write_text("limts: {}\n")
        self.run_command("doctor", "-c", str(file))
        (context,) = self.contexts
        self.assertIn("limts", context.problems[0])
        self.assertEqual([one.level for one in state.status(context)], ["warn"])


class TokenTests(CommandTestCase):
    """A follower's token of the doctor's own."""

    def test_made(self) -> None:
        """Where the secret is here, a token for its jobs alone is made of it."""
        file = Path(self.mktemp())
        file.write_text("s" * 40)
        text = f"access: {{key_file: {file.absolute()}, required: true}}"
        made = make_token(parsing.parse(text.encode(), None))
        found = tokens.decode(made, tokens.read_keys(Access((str(file),), True)))
        self.assertTrue(found.covers("doctor_1"))
        self.assertFalse(found.covers("student_1"))

    def test_not_made(self) -> None:
        """Where none is needed, or there is no secret, there is none."""
        self.assertEqual(make_token(parsing.parse(b"", None)), "")
        text = b"access: {key_file: /nowhere, required: true}"
        self.assertEqual(make_token(parsing.parse(text, None)), "")
