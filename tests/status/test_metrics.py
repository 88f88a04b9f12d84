"""What Prometheus reads."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from recodex_monitor.status.metrics import PREFIX, Metrics
from tests.status.test_inspection import ViewTestCase

ROOT = Path(__file__).parents[2]
PROMTOOL = shutil.which("promtool")


class MetricsTestCase(ViewTestCase):
    """Metrics of a view."""

    def setUp(self) -> None:
        """Make them."""
        super().setUp()
        self.metrics = Metrics(self.view, "1.2.3")

    def values(self) -> dict[str, float]:
        """All samples by name and labels."""
        families = text_string_to_metric_families(self.metrics.text().decode())
        samples = [one for family in families for one in family.samples]
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
        self.assertEqual(values["deliveries_total"], 3)
        self.assertEqual(values["dropped_total channel ended message"], 1)
        browser.lose()
        self.assertEqual(self.values()["closes_total 1000 websocket"], 1)

    def test_limits(self) -> None:
        """A limit that was reached is named."""
        self.hub.bounds = replace(self.hub.bounds, max_channels=1)
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
        self.promtool("check", "metrics", text=self.metrics.text())

    def test_alerts(self) -> None:
        """The alerts are rules."""
        self.promtool("check", "rules", str(ROOT / "install/alerts.yml"))

    def test_alerts_fire(self) -> None:
        """The alerts fire when they should and not before."""
        self.promtool("test", "rules", str(ROOT / "tests/status/alerts_test.yml"))


class DocumentTests(MetricsTestCase):
    """What is written about them."""

    def test_dashboard_and_alerts(self) -> None:
        """Dashboard and alerts ask for metrics that exist."""
        known = {one.name for one in text_string_to_metric_families(self.metrics.text().decode())}
        known |= {f"{name}_{end}" for name in known for end in ("total", "bucket", "sum", "count")}
        for file in ("install/grafana-dashboard.json", "install/alerts.yml"):
            for name in re.findall(PREFIX + r"\w+", (ROOT / file).read_text()):
                self.assertIn(name, known, file)
        dashboard = json.loads((ROOT / "install/grafana-dashboard.json").read_text())
        self.assertTrue(all(panel["targets"] for panel in dashboard["panels"]))

    def test_operations(self) -> None:
        """docs/operations.md lists every metric of ours."""
        text = (ROOT / "docs/operations.md").read_text()
        for one in text_string_to_metric_families(self.metrics.text().decode()):
            if one.name.startswith(PREFIX) and not one.name.endswith("_created"):
                self.assertIn(f"`{one.name.removeprefix(PREFIX)}", text)
