"""Signals of the start: held from the first line on, until the monitor can handle them.

By default SIGHUP, which ``systemctl reload`` sends, would kill a process that is still starting.
It imports nothing of ours, since it is the first module that is imported.
"""

import signal

HELD = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
"""The signals that a monitor handles when it runs."""


def hold() -> None:
    """Let the system keep these signals from now on, instead of killing the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


def release() -> None:
    """Deliver what was held, and from now on deliver signals at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
