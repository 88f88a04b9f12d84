"""Lists the monitor in ``twistd --help``; imports nothing of the monitor, unless it is to run.

Then signals are held as early as twistd allows; see ``recodex_monitor.system.signals``.
"""

import sys

from twisted.application.service import ServiceMaker

recodex_monitor = ServiceMaker(
    "ReCodEx monitor",
    "recodex_monitor.tap",
    "Shows the progress of ReCodEx jobs: from the broker's ZeroMQ to browsers' WebSockets",
    "recodex-monitor",
)

if recodex_monitor.tapname in sys.argv[1:]:
    from recodex_monitor.system import signals

    signals.hold()
