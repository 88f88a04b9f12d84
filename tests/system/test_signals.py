"""Signals that are held."""

import runpy
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.system import signals


class SignalTests(SynchronousTestCase):
    """Holding and releasing, in this process."""

    def setUp(self) -> None:
        """Leave the process as it is."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, mask)

    def test_held(self) -> None:
        """What comes while they are held is delivered when they are released, once."""
        caught: list[int] = []
        former: Any = signal.signal(signal.SIGHUP, lambda number, _: caught.append(number))
        self.addCleanup(signal.signal, signal.SIGHUP, former)
        signals.hold()
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
        self.assertEqual(caught, [])
        signals.release()
        self.assertEqual(caught, [signal.SIGHUP])

    def test_plugin(self) -> None:
        """Every twistd reads the plugin; it holds them only if the monitor is to run."""
        held: list[list[str]] = []
        plugin = Path(__file__).parents[2] / "twisted/plugins/recodex_monitor_plugin.py"
        for argv in (["twistd", "--help"], ["twistd", "-n", "recodex-monitor", "-c", "file"]):
            self.patch(sys, "argv", argv)
            self.patch(signals, "hold", lambda argv=argv: held.append(argv))
            made = runpy.run_path(str(plugin))
            self.assertEqual(made["recodex_monitor"].tapname, "recodex-monitor")
        self.assertEqual(held, [argv])
