"""The pages of jobs, in each state and language, by axe-core's rules in a real Chromium."""

from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.accessibility import AXE, checks_missing
from tests.integration.browser import (
    BEGIN,
    END,
    JOB,
    TASKS,
    http_url,
    open_page,
    say,
    until,
)
from tests.integration.support import connected_broker, running_monitor

if TYPE_CHECKING:
    from playwright.sync_api import Page

TESTS = [f"TASK test_{one}.{step} COMPLETED" for one in "12" for step in ("run", "judge")]
STATES = {
    "waiting": (),
    "prepared": ("DOWNLOADED",),
    "running": (*BEGIN, *TASKS),
    "interrupted": (*BEGIN, *TASKS, "ABORTED"),
    "second": (*BEGIN, *TASKS, "ABORTED", *BEGIN, *TESTS),
    "completed": (*BEGIN, *TESTS, *END),
    "failing": (*BEGIN, *TESTS, *TASKS, *END),
    "build": ("DOWNLOADED", "FAILED", "FINISHED"),
    "rejected": ("FAILED",),
    "lost": (*BEGIN, *TESTS, "FAILED"),
    "exhausted": (*3 * (*BEGIN, *TESTS, "ABORTED"), "FAILED"),
}
"""Jobs by their states, with their messages."""


class AccessibleTests(SynchronousTestCase):
    """No rule of axe-core is broken, and nothing is wider than the smallest phone."""

    skip = checks_missing()

    def check(self, page: "Page", where: str) -> None:
        """Check what a page shows now, in both colour schemes."""
        page.evaluate(AXE.read_text())
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found = page.evaluate(
                """async () => (await axe.run()).violations.map(
                  ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200))}`,
                )"""
            )
            self.assertEqual(found, [], f"{where}, {scheme}")
        self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), 320, where)

    def test_states(self) -> None:
        """The page of a job, in each state and both languages, and the board of all."""
        with (
            running_monitor(
                channels={"failed_grace": 0.1}, page={"link": "https://recodex.example.org/"}
            ) as monitor,
            connected_broker(monitor) as broker,
            open_page(viewport={"width": 320, "height": 640}) as page,
        ):
            for name, messages in STATES.items():
                say(broker, f"{JOB}-{name}", *messages)
            last = http_url(monitor, f"/channels/{JOB}-exhausted")
            until(lambda: '"end": "failed"' in page.request.get(last).text())
            for language in ("en", "cs"):
                for name in STATES:
                    page.goto(http_url(monitor, f"/watch/{JOB}-{name}?lang={language}&tasks=9"))
                    page.locator("recodex-progress h2:not(:empty)").wait_for()
                    for summary in page.locator("recodex-progress summary").all():
                        summary.click()
                    self.check(page, f"{name}, {language}")
                ids = ",".join(f"{JOB}-{name}" for name in STATES)
                page.goto(http_url(monitor, f"/board?lang={language}#{ids}"))
                page.locator("tr.good").wait_for()
                self.check(page, f"board, {language}")

    def test_lost_contact(self) -> None:
        """Without a broker, and offline; and an empty board."""
        with (
            running_monitor() as monitor,
            open_page(viewport={"width": 320, "height": 640}) as page,
        ):
            page.goto(http_url(monitor, "/board"))
            page.get_by_role("textbox").wait_for()
            self.check(page, "empty board")
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_text("No contact with the evaluation").wait_for()
            self.check(page, "no contact")
            page.context.set_offline(True)
            page.get_by_text("You are offline").wait_for()
            self.check(page, "offline")
