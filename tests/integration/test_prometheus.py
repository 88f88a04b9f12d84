"""What a real Prometheus makes of the metrics."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.status import monitored
from tests.integration.support import PATIENCE, ROOT, connected_broker, free_ports

PROMETHEUS = shutil.which("prometheus")
CONFIG = """
scrape_configs:
  - job_name: recodex-monitor
    scrape_interval: 5s
    scrape_timeout: 5s
    static_configs: [{targets: ["127.0.0.1:%d"]}]
"""


@contextmanager
def prometheus(target: int) -> Iterator[str]:
    """The address of a Prometheus that scrapes this port, during the block."""
    (port,) = free_ports(1)
    with TemporaryDirectory() as folder:
        config = Path(folder, "prometheus.yml")
        config.write_text(CONFIG % target)
        command = [str(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        with subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def ask(url: str) -> Any:
    """The data of an answer of Prometheus' API; None while it is not there yet."""
    try:
        with urlopen(url, timeout=PATIENCE) as answer:
            return json.load(answer)["data"]
    except URLError:
        return None


class PrometheusTests(SynchronousTestCase):
    """Prometheus scrapes a monitor by its own header Accept, which asks for OpenMetrics."""

    skip = None if PROMETHEUS else "prometheus is not installed"

    def test_scrape(self) -> None:
        """It takes the answer without an error, and has the counters and the version."""
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(b"job", b"STARTED")
            with prometheus(port) as url:
                query = f"{url}/api/v1/query?query=recodex_monitor_messages_total"
                deadline = time.monotonic() + PATIENCE
                while not (found := ask(query)) or not found["result"]:
                    self.assertLess(time.monotonic(), deadline, ask(f"{url}/api/v1/targets"))
                    time.sleep(0.1)
                (target,) = ask(f"{url}/api/v1/targets")["activeTargets"]
                self.assertEqual((target["health"], target["lastError"]), ("up", ""))
                version = ask(f"{url}/api/v1/query?query=recodex_monitor_info")["result"]
                self.assertIn("version", version[0]["metric"])
                kinds = ask(f"{url}/api/v1/metadata?metric=recodex_monitor")
                self.assertEqual(kinds["recodex_monitor"][0]["type"], "info")
                self.check_dashboard(url)

    def check_dashboard(self, url: str) -> None:
        """Prometheus understands all that the dashboard asks, and the nodes to choose from."""
        dashboard = json.loads((ROOT / "install/grafana-dashboard.json").read_text())
        targets = [one for panel in dashboard["panels"] for one in panel["targets"]]
        for expression in (target["expr"] for target in targets):
            asked = expression.replace("$node", ".*").replace("$__rate_interval", "1m")
            self.assertIsNotNone(ask(f"{url}/api/v1/query?query={quote(asked)}"), asked)
        asked = "label/instance/values?match[]=recodex_monitor_followers"
        self.assertEqual(len(ask(f"{url}/api/v1/{asked}")), 1)
