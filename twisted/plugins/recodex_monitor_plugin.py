"""Lists the monitor in ``twistd --help``; imports nothing of the monitor itself."""

from twisted.application.service import ServiceMaker

recodex_monitor = ServiceMaker(
    "ReCodEx monitor",
    "recodex_monitor.tap",
    "Shows the progress of ReCodEx jobs: from the broker's ZeroMQ to browsers' WebSockets",
    "recodex-monitor",
)
