"""Findings as lines."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor.findings import Level, coloured, fail, lines, ok, warn, worst


class FindingTests(SynchronousTestCase):
    """What people read."""

    def test_lines(self) -> None:
        """The level and the check begin the first line, and the remedy has an arrow."""
        shown = list(lines(fail("job", "nothing " * 30, "start it")))
        self.assertTrue(shown[0].startswith("FAIL  job             nothing nothing"))
        self.assertEqual(shown[-1].strip(), "-> start it")
        self.assertTrue(all(len(line) <= 100 for line in shown))
        self.assertEqual(list(lines(ok("job", "x"))), ["ok    job             x"])

    def test_names(self) -> None:
        """Names that are to be copied stay whole."""
        for filling in range(60, 90):
            text = "x" * filling + " `systemctl status recodex-monitor`"
            self.assertIn("recodex-monitor", "\n".join(lines(fail("status", text))))

    def test_coloured(self) -> None:
        """In a terminal the level has a colour, and the line is otherwise the same."""
        (line,) = lines(ok("job", "x"))
        shown = coloured(line, Level.OK)
        self.assertEqual(shown, "\x1b[32;1mok\x1b[0m    job             x")

    def test_worst(self) -> None:
        """One failure is a failure; nothing at all is well."""
        findings = [ok("a", ""), warn("b", "")]
        self.assertEqual(worst(findings), Level.WARN)
        self.assertEqual(worst([*findings, fail("c", "")]), Level.FAIL)
        self.assertEqual(worst([]), Level.OK)
