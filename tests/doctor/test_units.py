"""systemd's units."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor import units
from recodex_monitor.settings.endpoints import Address, SocketFile
from tests.doctor.support import levels, said

RUNS = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NRestarts": "0",
    "User": "recodex",
    "Listen": "127.0.0.1:4567 (Stream)",
}


class ServiceTests(SynchronousTestCase):
    """The service."""

    def test_levels(self) -> None:
        """It runs; or it does not, and the journal says why."""
        for changed, level in (
            ({}, "ok"),
            ({"ActiveState": "failed", "Result": "exit-code"}, "FAIL"),
            ({"UnitFileState": "disabled"}, "warn"),
            ({"NRestarts": "3"}, "warn"),
        ):
            self.assertEqual(levels(list(units.service({**RUNS, **changed}))), {"unit": level})
        self.assertEqual(list(units.service({})), [])
        changed = {**RUNS, "NeedDaemonReload": "yes"}
        self.assertIn("daemon-reload", said(list(units.service(changed)), "unit"))


class SocketTests(SynchronousTestCase):
    """The socket."""

    def test_levels(self) -> None:
        """It listens where the monitor does, or elsewhere."""
        for listened, endpoint, level in (
            ("127.0.0.1:4567 (Stream)", Address("127.0.0.1", 4567), "ok"),
            ("[::]:4567 (Stream)", Address("*", 4567), "ok"),
            ("127.0.0.1:4567 (Stream)", Address("localhost", 4567), "ok"),
            ("127.0.0.1:4567 (Stream)\n[::1]:80 (Stream)", Address("::1", 80), "ok"),
            ("/run/m/s (Stream)", SocketFile("/run/m/s", "unix"), "ok"),
            ("127.0.0.1:4567 (Stream)", Address("127.0.0.1", 4568), "FAIL"),
            ("192.0.2.1:4567 (Stream)", Address("127.0.0.1", 4567), "FAIL"),
        ):
            found = list(units.socket({**RUNS, "Listen": listened}, endpoint))
            self.assertEqual(levels(found), {"socket": level}, listened)

    def test_not_used(self) -> None:
        """A unit that is masked is nobody's fault; one that is stopped may be."""
        at = Address("127.0.0.1", 4567)
        self.assertEqual(list(units.socket({"LoadState": "masked"}, at)), [])
        stopped = {**RUNS, "ActiveState": "inactive"}
        self.assertEqual(levels(list(units.socket(stopped, at))), {"socket": "warn"})
