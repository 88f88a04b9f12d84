"""The monitor as an application for ``twistd -ny monitor.tac``.

Settings: the file named in RECODEX_MONITOR_CONFIG, else /etc/recodex/monitor/config.yml where it
exists, else the defaults.
"""

from twisted.application.service import Application

from recodex_monitor.tap import file_from_environment, makeService

application = Application("recodex-monitor")
makeService({"config": file_from_environment()}).setServiceParent(application)
