"""What Prometheus reads."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from recodex_monitor.status import cluster
from recodex_monitor.status.metrics import PREFIX, Metrics
from recodex_monitor.status.statistics import Statistics
from tests.status.support import InspectionTestCase
from tests.status.test_cluster import Relay, report
from tests.support.settings import change

ROOT = Path(__file__).parents[2]
PROMTOOL = shutil.which("promtool")


class MetricsTestCase(InspectionTestCase):
    """Metrics of the statistics."""

    def setUp(self) -> None:
        """Make them."""
        super().setUp()
        self.metrics = Metrics(self.statistics, "1.2.3")

    def families(self) -> Iterable[Metric]:
        """All metrics."""
        return text_string_to_metric_families(self.metrics.expose().content.decode())

    def values(self) -> dict[str, float]:
        """All samples by name and labels."""
        samples = [one for family in self.families() for one in family.samples]
        return {
            " ".join((one.name.removeprefix(PREFIX), *sorted(one.labels.values()))): one.value
            for one in samples
        }


class ValueTests(MetricsTestCase):
    """Numbers."""

    def test_channels(self) -> None:
        """Messages, channels and deliveries are what has happened."""
        self.say("job", "STARTED", "odd", "FINISHED")
        self.say("job", "STARTED")
        browser = self.follow("job")
        values = self.values()
        self.assertEqual(values["messages_total STARTED"], 2)
        self.assertEqual(values["messages_total other"], 1)
        self.assertEqual(values["channels ended"], 1)
        self.assertEqual(values["ends_total finished"], 1)
        self.assertEqual(values["ends_total expired"], 0)
        self.assertEqual(values["outcomes_total finished"], 1)
        self.assertEqual(values["deliveries_total"], 3)
        self.assertEqual(values["dropped_total channel ended message"], 1)
        browser.lose()
        self.assertEqual(self.values()["closes_total 1000 websocket"], 1)

    def test_limits(self) -> None:
        """A limit that was reached is named."""
        change(self.hub.settings, max_channels=1)
        self.follow("a"), self.follow("b")
        self.assertEqual(self.values()["limits_reached_total max_channels"], 1)

    def test_histograms(self) -> None:
        """Delays are those that were observed."""
        self.metrics.delay.observe(0.02)
        values = self.values()
        self.assertEqual(values["delivery_delay_seconds_bucket 0.01"], 0)
        self.assertEqual(values["delivery_delay_seconds_bucket 0.025"], 1)

    def test_labels_are_bounded(self) -> None:
        """Whatever comes from outside makes no label of its own."""
        before = len(self.values())
        for number in range(50):
            self.say(f"job {number}", f"command{number}")
        browser = self.follow("job 1")
        browser.send(b"\x88\x82abcd" + bytes((0x0F ^ 97, 0xA1 ^ 98)))  # closed with 4001
        browser.lose()
        self.assertLess(len(self.values()) - before, 4)

    def test_delay_of_a_delivery(self) -> None:
        """The hub tells once how long the way of messages to their readers took."""
        delays: list[float] = []
        self.hub.on_delivered = delays.append
        self.follow("job")
        self.hub.publish([], more=False)
        self.assertEqual(delays, [])
        self.say("job", "STARTED")
        self.say("job", "ENDED")
        self.assertEqual(delays, [0])


class PromtoolTests(MetricsTestCase):
    """What Prometheus' own tool says."""

    skip = None if PROMTOOL else "promtool is not installed"

    def promtool(self, *arguments: str, text: bytes = b"") -> None:
        """Run it."""
        done = subprocess.run(
            [str(PROMTOOL), *arguments], input=text, capture_output=True, timeout=60
        )
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())

    def test_metrics(self) -> None:
        """It finds nothing to say about names and units."""
        self.say("job", "STARTED", "FINISHED", "STARTED")
        self.follow("job").lose()
        self.promtool("check", "metrics", text=self.metrics.expose().content)

    def test_alerts(self) -> None:
        """The alerts are rules."""
        self.promtool("check", "rules", str(ROOT / "install/alerts.yml"))

    def test_alerts_fire(self) -> None:
        """The alerts fire when they should and not before."""
        self.promtool("test", "rules", str(ROOT / "tests/status/alerts_test.yml"))


class DocumentTests(MetricsTestCase):
    """What is written about them; those of a cluster are among them."""

    def setUp(self) -> None:
        """Make all."""
        super().setUp()
        parts = (self.hub, self.side.connections, self.broker, self.clock)
        self.metrics = Metrics(Statistics(*parts, cluster=Relay(report())), "1.2.3")

    def test_dashboard_and_alerts(self) -> None:
        """Dashboard and alerts ask for metrics that exist."""
        known = {
            one.name
            for one in text_string_to_metric_families(self.metrics.expose().content.decode())
        }
        known |= {f"{name}_{end}" for name in known for end in ("total", "bucket", "sum", "count")}
        for file in ("install/grafana-dashboard.json", "install/alerts.yml"):
            for name in re.findall(PREFIX + r"\w+", (ROOT / file).read_text()):
                self.assertIn(name, known, file)
        dashboard = json.loads((ROOT / "install/grafana-dashboard.json").read_text())
        self.assertTrue(all(panel["targets"] for panel in dashboard["panels"]))

    def test_dashboard_by_node(self) -> None:
        """The dashboard can show some nodes only, and has all metrics of a cluster."""
        dashboard = json.loads((ROOT / "install/grafana-dashboard.json").read_text())
        (node,) = (one for one in dashboard["templating"]["list"] if one["name"] == "node")
        self.assertTrue(node["multi"] and node["includeAll"])
        asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        for expression in asked:
            found = re.findall(r"\b(?:recodex_monitor|process)_\w+(\{[^}]*\})?", expression)
            self.assertTrue(found, expression)
            self.assertTrue(all('instance=~"$node"' in one for one in found), expression)
        shown = " ".join(asked)
        for name in (*cluster.GAUGES, *(f"cluster_{name}_total" for name in cluster.COUNTERS)):
            self.assertIn(f"{PREFIX}{name}{{", shown)
        places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
        self.assertEqual(len(places), len(set(places)))
        numbers = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(numbers), len(set(numbers)))

    def test_operations(self) -> None:
        """docs/monitoring.md lists every metric of ours."""
        text = (ROOT / "docs/monitoring.md").read_text()
        for one in self.families():
            if one.name.startswith(PREFIX) and not one.name.endswith("_created"):
                self.assertIn(f"`{one.name.removeprefix(PREFIX)}", text)
