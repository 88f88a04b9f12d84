"""Tests of secrets that others could read."""

from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.schema import Settings, Tls, Zeromq
from recodex_monitor.settings.secrets import exposed


class ExposedTests(SynchronousTestCase):
    """Files with a secret that every user of the machine can read."""

    def file(self, mode: int) -> str:
        """A file with these permissions."""
        path = Path(self.mktemp())
        path.touch()
        path.chmod(mode)
        return str(path)

    def test_configuration(self) -> None:
        """The configuration file counts if a token is in it and others can read it."""
        secret = replace(Settings(), status_token="0123456789abcdef")
        (text,) = exposed(self.file(0o644), secret)
        self.assertRegex(text, "^status_token: every user .* run `chmod o= [^`]+`$")
        for mode in (0o600, 0o640):
            self.assertEqual(exposed(self.file(mode), secret), [])
        self.assertEqual(exposed(self.file(0o644), Settings()), [])
        self.assertEqual(exposed(None, secret), [])

    def test_keys(self) -> None:
        """So do the files of private keys."""
        bad, good = self.file(0o604), self.file(0o600)
        for path, count in ((bad, 2), (good, 0), ("/missing", 0)):
            settings = replace(
                Settings(),
                zeromq=Zeromq(curve_key=path),
                websocket_tls=Tls(certificate=bad, key=path),
            )
            self.assertEqual(len(exposed(None, settings)), count)
