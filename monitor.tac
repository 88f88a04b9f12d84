"""The monitor as an application for ``twistd -ny monitor.tac``.

Its settings are those of the file named in RECODEX_MONITOR_CONFIG, else of
/etc/recodex/monitor/config.yml if it exists, else the defaults.
"""

from recodex_monitor.system import signals

signals.hold()

from twisted.application.service import Application  # noqa: E402

from recodex_monitor.tap import file_from_environment, makeService  # noqa: E402

application = Application("recodex-monitor")
makeService({"config": file_from_environment()}).setServiceParent(application)
