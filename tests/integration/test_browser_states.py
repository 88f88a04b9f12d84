"""What the page of a job says in each state and language, in a real Chromium."""

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import (
    BEGIN,
    END,
    JOB,
    TASKS,
    WATCHED,
    chromium_missing,
    http_url,
    open_page,
    say,
    until,
)
from tests.integration.support import connected_broker, running_monitor


class StateTests(SynchronousTestCase):
    """``/watch/CHANNEL``, and its element in other pages."""

    skip = chromium_missing()

    def test_honest(self) -> None:
        """It says when the last news came, that nobody knows more, and never ``Live`` then."""
        with running_monitor() as monitor, open_page() as page:
            with connected_broker(monitor) as broker:
                say(broker, JOB, *BEGIN, *TASKS)
                page.goto(http_url(monitor, f"/watch/{JOB}?tasks=12"))
                page.get_by_text("3 of 12 tasks done").first.wait_for()
                page.get_by_text("Live", exact=True).wait_for()
            page.reload()
            page.get_by_text("No contact with the evaluation").wait_for()
            page.get_by_text("Last news").wait_for()
            self.assertEqual(page.get_by_text("Live", exact=True).count(), 0)
            bar = page.get_by_role("progressbar")
            values = [bar.get_attribute(f"aria-value{one}") for one in ("now", "max")]
            self.assertEqual(values, ["3", "12"])
            self.assertRegex(page.title(), "^3/12 · ")
            page.context.set_offline(True)
            page.get_by_text("You are offline").wait_for()

    def test_forgotten(self) -> None:
        """A job that is no longer kept is told to be over, and where its results are."""
        page_settings = {"link": "https://recodex.example.org/"}
        with (
            running_monitor(channels={"retention": 0}, page=page_settings) as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            say(broker, JOB, *BEGIN, *TASKS, *END)
            found = http_url(monitor, f"/channels/{JOB}")
            until(lambda: "forgotten" in page.request.get(found).text())
            page.goto(http_url(monitor, f"/watch/{JOB}?back=https://recodex.example.org/a/1"))
            page.get_by_role("heading", name="This evaluation ended").wait_for()
            link = page.get_by_role("link", name="Open results in ReCodEx")
            self.assertEqual(link.get_attribute("href"), "https://recodex.example.org/a/1")

    def test_exhausted(self) -> None:
        """A job that was given up after three attempts tells how many they were."""
        with (
            running_monitor(channels={"failed_grace": 0.5}) as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            say(broker, JOB, *3 * (*BEGIN, TASKS[0], "ABORTED"), "FAILED")
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="The evaluation failed after 3 attempts").wait_for()
            self.assertEqual(page.locator(".earlier summary").count(), 3)

    def test_tests(self) -> None:
        """Tasks of a test are one row, which opens; the newest test comes first."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            tasks = [
                f"TASK test_{one}.{step} COMPLETED" for one in "12" for step in ("run", "judge")
            ]
            say(broker, JOB, *BEGIN, *tasks)
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="Tests").wait_for()
            rows = page.locator(".list > ol > li")
            self.assertEqual(rows.all_inner_texts(), [f"test_{one}\ncompleted" for one in "21"])
            rows.first.locator("summary").click()
            inner = rows.first.locator("ul bdi")
            until(lambda: inner.all_inner_texts() == ["test_2.run", "test_2.judge"])
            say(broker, JOB, *END)
            page.get_by_role("heading", name="Evaluation over: all 2 tests").wait_for()
            until(lambda: rows.first.inner_text() == "test_1\ncompleted")

    def test_languages(self) -> None:
        """Texts are Czech for a Czech browser, or as the address says, with the right plurals."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            open_page(locale="cs-CZ") as page,
        ):
            ended = ("1 krok.", "2 kroky.", "5 kroků.")
            for count, text in zip((1, 2, 5), ended, strict=True):
                job = f"{JOB}-{count}"
                say(broker, job, *BEGIN, *(f"TASK t{n} COMPLETED" for n in range(count)))
                page.goto(http_url(monitor, f"/watch/{job}"))
                page.locator(".summary", has_text=text).wait_for()
            self.assertEqual(page.locator("html").get_attribute("lang"), "cs")
            page.goto(http_url(monitor, f"/watch/{JOB}?lang=en"))
            page.get_by_role("heading", name="Waiting for the evaluation").wait_for()

    def test_notification(self) -> None:
        """Who asked for it is notified at the end."""
        notify = (
            "window.Notification = class { static requestPermission() { return 'granted'; }"
            " constructor(text) { (window.notes ??= []).push(text); } };"
        )
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.add_init_script(notify)
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("switch", name="Notify me at the end").check()
            say(broker, JOB, *BEGIN, *END)
            until(lambda: page.evaluate("window.notes?.length"))
            self.assertEqual(page.evaluate("notes"), ["Evaluation over"])

    def test_without_script(self) -> None:
        """A browser without JavaScript gets the present state, in its language."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            open_page(java_script_enabled=False, locale="cs") as page,
        ):
            say(broker, JOB, *BEGIN, *TASKS)
            found = http_url(monitor, f"/channels/{JOB}")
            until(lambda: "SKIPPED" in page.request.get(found).text())
            page.goto(http_url(monitor, f"/watch/{JOB}?tasks=12"))
            self.assertEqual(page.locator("h2").inner_text(), "Řešení se vyhodnocuje")
            self.assertIn("3 z 12 kroků", page.locator(".now").inner_text())

    def test_element(self) -> None:
        """The element follows once it knows what, starts anew for another job, and leaves."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.add_init_script(WATCHED)
            say(broker, JOB, *BEGIN, *TASKS)
            page.goto(http_url(monitor))
            page.evaluate(
                """async ([src, channel]) => {
                  await import("/progress-element.js");
                  const made = document.createElement("recodex-progress");
                  document.body.append(made);
                  const attributes = Object.entries({ lang: "cs", channel, src });
                  attributes.forEach((one) => made.setAttribute(...one));
                }""",
                [monitor.url, JOB],
            )
            page.get_by_role("heading", name="Řešení se vyhodnocuje").wait_for()
            page.evaluate("document.querySelector('recodex-progress').setAttribute('channel', 'x')")
            page.get_by_role("heading", name="Čeká se na začátek").wait_for()
            page.evaluate("document.querySelector('recodex-progress').remove()")
            until(lambda: page.evaluate("held.sockets.every((one) => one.readyState >= 2)"))
