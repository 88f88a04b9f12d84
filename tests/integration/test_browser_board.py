"""``/board``, with a real monitor, in a real Chromium."""

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import (
    BEGIN,
    END,
    TASKS,
    WATCHED,
    chromium_missing,
    http_url,
    open_page,
    say,
    until,
)
from tests.integration.support import connected_broker, running_monitor


class BoardTests(SynchronousTestCase):
    """Many jobs at a glance."""

    skip = chromium_missing()

    def test_states(self) -> None:
        """Those that failed come first; the sum counts each kind; ids are in the address."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, "good", *BEGIN, TASKS[0], *END)
            say(broker, "neutral", *BEGIN, *TASKS, *END)
            say(broker, "bad", "DOWNLOADED", "FAILED", "FINISHED")
            say(broker, "open,1", *BEGIN, *TASKS)
            page.goto(http_url(monitor, "/board#waiting,good,open%2C1,neutral,bad"))
            rows = page.locator("tbody tr th")
            expected = ["bad", "neutral", "open,1", "waiting", "good"]
            until(lambda: rows.all_inner_texts() == expected)
            sums = (
                "5 evaluations: 1 failed, 1 not fully completed, 1 completed, "
                "1 under way, 1 waiting"
            )
            page.get_by_text(sums).wait_for()
            page.get_by_text("Evaluation over: 1 of 3 tasks failed").wait_for()
            self.assertEqual(page.title(), "✗ 2 · 3/5 · Evaluations at a glance")
            say(broker, "open,1", *END)
            until(lambda: rows.all_inner_texts()[:3] == ["bad", "neutral", "open,1"])
            page.get_by_role("button", name="Remove all that are over").click()
            until(lambda: rows.all_inner_texts() == ["waiting"])

    def test_pasted(self) -> None:
        """Pasted ids are added to the address; a range stands for its ids."""
        with running_monitor() as monitor, open_page(locale="cs") as page:
            page.goto(http_url(monitor, "/board?lang=constructor"))  # no language, so the browser's
            page.get_by_text("Vložte identifikátory").wait_for()
            page.get_by_label("Identifikátory vyhodnocení").fill("a\n b; job-8..10 a")
            page.get_by_role("button", name="Sledovat").click()
            rows = page.locator("tbody tr th")
            until(lambda: rows.all_inner_texts() == ["a", "b", "job-8", "job-9", "job-10"])
            self.assertEqual(page.evaluate("location.hash"), "#a,b,job-8..10")
            self.assertEqual(page.locator("html").get_attribute("lang"), "cs")

    def test_many(self) -> None:
        """500 jobs are one connection, and the page does not stand still while they go on."""
        names = [f"job-{number}" for number in range(1, 501)]
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            open_page(viewport={"width": 320, "height": 600}) as page,
        ):
            page.add_init_script(WATCHED)
            page.goto(http_url(monitor, "/board#job-1..500"))
            page.get_by_text("500 waiting").wait_for()
            page.evaluate(
                """() => {
                  window.longest = 0;
                  let before = performance.now();
                  setInterval(() => {
                    longest = Math.max(longest, performance.now() - before);
                    before = performance.now();
                  }, 10);
                }"""
            )
            for message in (*BEGIN, *TASKS, *END):
                for name in names:
                    say(broker, name, message)
            page.get_by_text("500 not fully completed").wait_for()
            self.assertEqual(page.evaluate("held.sockets.length"), 1)
            self.assertLess(page.evaluate("longest"), 10_000)
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), 320)
