"""The formats of the metrics, and who gets which."""

from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.status.exposition import openmetrics_version
from recodex_monitor.status.metrics import PREFIX, Metrics
from tests.status.support import InspectionTestCase

OPEN, PLAIN = "application/openmetrics-text", "text/plain"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class NegotiationTests(SynchronousTestCase):
    """Which format a header Accept prefers."""

    def test_each(self) -> None:
        """OpenMetrics is for those who name it, unless they prefer plain text."""
        cases: dict[str, str | None] = {
            PROMETHEUS_2: "1.0.0",
            PROMETHEUS_3: "1.0.0",
            OPEN: "1.0.0",
            f'{OPEN.upper()} ; Version="0.0.1"': "0.0.1",
            f"{OPEN};version=0.0.1;q=0.9, {OPEN};version=1.0.0;q=0.3": "0.0.1",
            f"{PLAIN}, {OPEN}": "1.0.0",
            f"{PLAIN};q=0.1, {OPEN};q=0.2": "1.0.0",
            f"*/*, {PLAIN};q=0.1, {OPEN};q=0.2": "1.0.0",
            f"{PLAIN};q=0.5, {OPEN};q=0.4": None,
            f"text/*, {OPEN};q=0.9": None,
            f"*/*, {OPEN};q=0.9": None,
            f"{OPEN};q=0": None,
            f"{OPEN};q=0.000, */*": None,
            f"{OPEN};q=nan": None,
            f"{OPEN};q=": None,
            f"{OPEN};q=2": None,
            f"{OPEN};version=2.0.0": None,
        }
        cases |= dict.fromkeys(("", "*/*", PLAIN, "text/html,*/*;q=0.8", ",;,=;q", "application/*"))
        self.assertEqual({accept: openmetrics_version(accept) for accept in cases}, cases)


class FormatTests(InspectionTestCase):
    """What each client gets."""

    def setUp(self) -> None:
        """Let things happen, so that all metrics have values."""
        super().setUp()
        self.metrics = Metrics(self.statistics, "1.2.3")
        self.metrics.delay.observe(0.02)
        self.say("job", "STARTED", "FINISHED", "STARTED")
        self.follow("job").lose()

    def samples(self, families: Any) -> dict[tuple[str, ...], float]:
        """The values of our samples, by name and labels."""
        return {
            (one.name, *map(str, sorted(one.labels.items()))): one.value
            for family in families
            for one in family.samples
            if one.name.startswith(PREFIX) and not one.name.endswith("_created")
        }

    def test_content_types(self) -> None:
        """Each format has its own content type."""
        for accept, content_type in (
            ("", "text/plain; version=0.0.4; charset=utf-8"),
            (OPEN, f"{OPEN}; version=1.0.0; charset=utf-8"),
            (f"{OPEN};version=0.0.1", f"{OPEN}; version=0.0.1; charset=utf-8"),
        ):
            self.assertEqual(self.metrics.expose(accept).content_type, content_type.encode())

    def test_openmetrics(self) -> None:
        """OpenMetrics' strict parser takes it, and it has the same samples as the other format."""
        text = self.metrics.expose(OPEN).content.decode()
        self.assertTrue(text.endswith("\n# EOF\n"))
        families = list(parse_openmetrics(text))
        kinds = {family.name: family.type for family in families}
        self.assertEqual(kinds[PREFIX + "messages"], "counter")
        self.assertEqual(kinds[PREFIX.rstrip("_")], "info")
        self.assertFalse([name for name in kinds if name.endswith("_total")])
        plain = self.samples(parse_plain(self.metrics.expose().content.decode()))
        self.assertEqual(self.samples(families).keys(), plain.keys())
        self.assertEqual(plain[PREFIX + "info", "('version', '1.2.3')"], 1)
