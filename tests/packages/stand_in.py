"""A stand-in for the original monitor: the same files, and a program on the same ports."""

import shutil
from pathlib import Path

import websockets

from tests.packages.machine import Machine, copy_in

PROGRAM = Path(__file__).parents[2] / "benchmarks/original.py"
SCRIPT = """#!/bin/sh
PYTHONPATH=/srv exec python3 /srv/original.py 4567 7894 2>> /var/log/recodex/monitor.log
"""
UNIT = """[Service]
User=recodex
ExecStart=/usr/bin/recodex-monitor -c /etc/recodex/monitor/config.yml
[Install]
WantedBy=multi-user.target
"""
CONFIG = """---
websocket_uri:
    - "127.0.0.1"
    - 4567
zeromq_uri:
    - "127.0.0.1"
    - 7894
logger:
    file: "/var/log/recodex/monitor.log"
    level: "info"
    max-size: 1048576
    rotations: 3
...
"""
INSTALL = """set -e
getent passwd recodex || useradd --system recodex
mkdir -p /var/log/recodex
chown -R recodex /var/log/recodex /etc/recodex
chmod 755 /usr/bin/recodex-monitor
systemctl daemon-reload
systemctl enable --now recodex-monitor.service
"""
FILES = {
    "usr/bin/recodex-monitor": SCRIPT,
    "etc/systemd/system/recodex-monitor.service": UNIT,
    "etc/recodex/monitor/config.yml": CONFIG,
}


def install(machine: Machine) -> None:
    """Install it where the original's setup.py does, and start it."""
    copy_in(machine.root, PROGRAM)
    # Debian's own version of websockets is too old.
    library = Path(websockets.__file__).parent
    shutil.copytree(library, machine.root / "srv/websockets", dirs_exist_ok=True)
    for name, text in FILES.items():
        file = machine.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    machine.run(INSTALL)
