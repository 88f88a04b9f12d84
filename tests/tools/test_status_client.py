"""Which status page is asked, and what is said where it does not answer."""

import argparse
import errno
import os
import socket
import ssl
from http.client import BadStatusLine, IncompleteRead, InvalidURL, RemoteDisconnected
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import parsing, schema
from recodex_monitor.tools import status_client
from recodex_monitor.tools.status_client import (
    Answer,
    CannotAsk,
    Target,
    explain,
    find_target,
    read,
)

TOKEN = "correct-horse-battery"


def target(token: str | None = None) -> Target:
    """A status page whose address is in the settings."""
    connection: Any = mock.Mock()
    return Target(
        connection, "http://127.0.0.1:4568", "status_uri in F", token, "status_token in F"
    )


def error(number: int) -> OSError:
    """The error that the system gives with this number."""
    return OSError(number, os.strerror(number))


class TargetTests(SynchronousTestCase):
    """Which monitor is asked."""

    def find(self, text: str | None = None, **arguments: Any) -> Target:
        """The status page of these arguments and settings."""
        arguments = {"url": None, "token": None, "config": None, **arguments}
        if text is not None:
            arguments["config"] = self.mktemp()
            Path(arguments["config"]).write_text(text)
        return find_target(argparse.Namespace(**arguments))

    def fails(self, *texts: str, **arguments: Any) -> str:
        """The error says all this."""
        why = str(self.assertRaises(CannotAsk, self.find, **arguments))
        for text in texts:
            self.assertIn(text, why)
        return why

    def test_wrong_url(self) -> None:
        """The error for a wrong address shows the form of a right one."""
        for url in ("ftp://host", "host:80", "http://", "http://[", "http://host:x"):
            self.fails("write http://HOST:PORT", url=url)

    def test_url_and_token(self) -> None:
        """A URL and a token are used as given."""
        got = self.find(url="http://[::1]:81", token="secret")
        self.assertEqual((got.connection.host, got.connection.port), ("::1", 81))
        self.assertEqual((got.token, got.token_source), ("secret", "--token"))

    def test_settings(self) -> None:
        """The settings say where and with what token, and their file is named."""
        got = self.find(f"status_uri: [127.0.0.1, 81]\nstatus_token: {TOKEN}")
        self.assertEqual((got.url, got.token), ("http://127.0.0.1:81", TOKEN))
        self.assertTrue(got.source.startswith("status_uri in "))
        self.assertTrue(got.token_source.startswith("status_token in "))

    def test_all_addresses(self) -> None:
        """A monitor that listens on all addresses is asked on this machine, by IPv6 too."""
        for host, asked in (("*", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")):
            got = self.find(f"status_uri: ['{host}', 81]\nstatus_token: {TOKEN}")
            self.assertEqual(got.connection.host, asked)
        self.assertEqual(got.url, "http://[::1]:81")

    def test_unix(self) -> None:
        """The file of a Unix socket is shown as the settings write it."""
        self.assertEqual(self.find("status_uri: unix:/run/x/status").url, "unix:/run/x/status")

    def test_not_configured(self) -> None:
        """Without status_uri it is said in which file it is missing, or that there is none."""
        self.fails("status_uri is not configured in F", "-c FILE", config=self.empty("F"))
        self.patch(parsing, "DEFAULT_FILE", "/nowhere/config.yml")
        self.patch(schema, "DEFAULT_FILE", "/nowhere/config.yml")
        self.fails("there is no /nowhere/config.yml")

    def empty(self, name: str) -> str:
        """An empty file."""
        Path(name).write_text("")
        self.addCleanup(os.unlink, name)
        return name

    def test_unreadable(self) -> None:
        """Who may not read the settings is told who may; a missing file is only named."""
        self.patch(Path, "read_bytes", mock.Mock(side_effect=error(errno.EACCES)))
        self.fails("F: cannot be read: Permission denied", "sudo", config="F")
        self.patch(Path, "read_bytes", mock.Mock(side_effect=error(errno.ENOENT)))
        self.assertNotIn("sudo", self.fails("No such file", config="F"))


class NoAnswerTests(SynchronousTestCase):
    """What is said where there is no answer."""

    def test_every_kind(self) -> None:
        """Each kind of failure names the address, where it comes from, and what to look at."""
        runs, port = "systemctl status recodex-monitor", "Is this the port of status_uri?"
        cases: list[tuple[Exception, tuple[str, ...]]] = [
            (error(errno.ECONNREFUSED), ("nothing listens at", "Is the monitor running", runs)),
            (error(errno.ENOENT), ("there is no socket", runs)),
            (error(errno.EACCES), ("may not connect", "sudo")),
            (error(errno.EHOSTUNREACH), ("No route to host", runs)),
            (error(errno.ECONNRESET), ("closed the connection", port)),
            (error(errno.EPIPE), ("closed the connection", port)),
            (RemoteDisconnected("no response"), ("closed the connection", port)),
            (TimeoutError("timed out"), ("within 10 s", "firewall", port)),
            (socket.gaierror(-2, "Name or service not known"), ("cannot be resolved",)),
            (ssl.SSLCertVerificationError(1, "self-signed"), ("not trusted: self-signed",)),
            (ssl.SSLError(1, "wrong version number"), ("does not speak TLS", "write http://")),
            (BadStatusLine("\x15\x03\x01"), ("does not speak HTTP", "https://", port)),
            (IncompleteRead(b"x"), ("is broken", port)),
            (InvalidURL("control characters"), ("is broken",)),
            (UnicodeEncodeError("latin-1", "ž", 0, 1, "x"), ("characters", "status_token in F")),
        ]
        for failure, texts in cases:
            told = explain(failure, target())
            for text in ("http://127.0.0.1:4568 (status_uri in F)", *texts):
                self.assertIn(text, told)
            self.assertNotIn("Errno", told)

    def test_raised(self) -> None:
        """Asking raises what is explained, and closes the connection."""
        connection = mock.Mock()
        connection.request.side_effect = error(errno.ECONNREFUSED)
        one = target()._replace(connection=connection)
        self.assertRaises(CannotAsk, status_client.ask, one, "/api/status")
        connection.close.assert_called_once_with()


class AnswerTests(SynchronousTestCase):
    """What is said of answers."""

    def fails(self, status: int, body: bytes, *texts: str, **options: Any) -> None:
        """Such an answer is an error that says all this."""
        got = Answer(status, body, options.get("location"))
        why = str(self.assertRaises(CannotAsk, read, got, target(options.get("token"))))
        for text in ("http://127.0.0.1:4568 (status_uri in F)", *texts):
            self.assertIn(text, why)
        self.assertNotIn(TOKEN, why)

    def test_right(self) -> None:
        """The monitor's JSON is returned."""
        self.assertEqual(read(Answer(200, b'{"now": 1}'), target()), {"now": 1})

    def test_token(self) -> None:
        """A missing token and a wrong one are different errors; the token is not shown."""
        body = b'{"error": "x"}'
        self.fails(401, body, "asks for a token", "--token TOKEN")
        self.fails(401, body, "token of status_token in F", "it is wrong", token=TOKEN)

    def test_refused(self) -> None:
        """What the monitor says of a wrong host, or of an error of its own, is passed on."""
        self.fails(421, b'{"error": "see status_hosts"}', "answers 421: see status_hosts")

    def test_others(self) -> None:
        """Another server is told from a proxy without a monitor, and from a redirect."""
        port = "Is this the port of status_uri?"
        for status, body in ((200, b"<html>"), (404, b"{}"), (200, b"[]"), (400, b"TLS only")):
            self.fails(status, body, "is not the status page", f"answers {status}", port)
        self.fails(502, b"", "does not reach the monitor", "systemctl status recodex-monitor")
        self.fails(403, b"<html>", "in front of")
        moved = "https://monitor.example/"
        self.fails(301, b"", f"redirects to {moved}", "--url", location=moved)
