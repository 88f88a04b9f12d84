"""Monitors with a status page, and what they tell."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.integration.support import COMMAND, PATIENCE, Monitor, free_ports, running_monitor

TOKEN = "correct-horse-battery"


@contextmanager
def monitored(**settings: Any) -> Iterator[tuple[Monitor, int]]:
    """A monitor with a status listener, during the block, and that port."""
    (port,) = free_ports(1)
    with running_monitor(status_uri=["127.0.0.1", port], **settings) as monitor:
        yield monitor, port


def get(port: int, path: str) -> tuple[int, Any]:
    """The HTTP status and the JSON of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def printed(monitor: Monitor, *arguments: str) -> str:
    """What ``recodex-monitor status`` prints."""
    command = [*COMMAND, "status", "-c", str(monitor.config), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout


def follow(monitor: Monitor, channel_id: str, **options: Any) -> ClientConnection:
    """A browser that follows a job."""
    client: ClientConnection = connect(monitor.url, proxy=None, **options)
    client.send(channel_id)
    return client
