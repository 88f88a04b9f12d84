"""Pages with a real monitor, in a real Chromium."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.paths import FILES
from tests.integration.browser import (
    BEGIN,
    END,
    JOB,
    TASKS,
    chromium_missing,
    http_url,
    open_page,
    say,
    until,
)
from tests.integration.relays import needs_nginx, proxying
from tests.integration.support import connected_broker, running_monitor


class PageTests(SynchronousTestCase):
    """``/watch/CHANNEL``."""

    skip = chromium_missing()

    def test_job(self) -> None:
        """It shows tasks, counts and phases, and keeps its own content security policy."""
        tasks = [
            [b"TASK", "<b>č\u202e\n".encode(), b"COMPLETED"],
            [b"TASK", b"x" * 5000, b"FAILED"],
        ]
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            said: list[str] = []
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(error.message))
            page.on("request", lambda request: said.append(request.url))
            page.goto(http_url(monitor, "/watch/%C4%8D%20%22x%22"))
            broker.send_all([('č "x"'.encode(), *task) for task in ([b"STARTED"], *tasks)])
            page.locator(".list li.failed").wait_for()
            self.assertEqual(page.locator("#job").inner_text(), 'č "x"')
            page.get_by_role("heading", name="The solution is being evaluated").wait_for()
            self.assertIn("1 completed, 1 failed, 0 skipped", page.locator(".summary").inner_text())
            names = page.locator(".list bdi").all_inner_texts()
            self.assertEqual(names[1], "<b>č\u202e␊")
            self.assertLess(len(names[0]), 400)
            self.assertEqual(page.locator(".steps [aria-current]").inner_text(), "Evaluated")
            bar = page.get_by_role("progressbar")
            self.assertIsNone(bar.get_attribute("aria-valuenow"))
            self.assertIn("2 tasks done", bar.get_attribute("aria-valuetext") or "")
            broker.send_all([('č "x"'.encode(), one.encode()) for one in END])
            page.get_by_role("heading", name="Evaluation over: 1 of 2 tasks failed").wait_for()
            self.assertEqual(page.locator(".connection").inner_text(), "Ended")
            self.assertEqual(page.title(), "Evaluation over: 1 of 2 tasks failed")
            requested = {one for one in said if not one.startswith("data:")}
            expected = {"watch/%C4%8D%20%22x%22", *FILES} - {"favicon.ico", "board.js", "board.css"}
            self.assertEqual(requested, {http_url(monitor, f"/{file}") for file in expected})

    def test_behind_a_proxy(self) -> None:
        """Below a prefix it finds its files and its monitor, and says how it is connected."""
        needs_nginx()
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            proxying(monitor) as proxy,
            open_page() as page,
        ):
            say(broker, JOB, *BEGIN)
            page.goto(f"{proxy.http}/watch/{JOB}")
            page.get_by_role("heading", name="The solution is being evaluated").wait_for()
            page.get_by_text("Live without WebSocket").wait_for()

    def test_failed_job(self) -> None:
        """A job that could not be built has failed, whatever FINISHED says."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, "DOWNLOADED", "FAILED", "FINISHED")
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="The evaluation could not be set up").wait_for()
            page.get_by_text("Tell your teacher").wait_for()
            page.get_by_text("Ended", exact=True).wait_for()
            self.assertEqual(page.locator(".bar .cut").count(), 1)

    def test_lost_job(self) -> None:
        """A job that expired is not called finished."""
        with (
            running_monitor(channels={"idle_timeout": 1}) as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            say(broker, JOB, *BEGIN)
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="Nothing has come for a long time").wait_for()
            self.assertEqual(page.locator(".steps .done").count(), 2)

    def test_job_starts_again(self) -> None:
        """An interrupted attempt is folded away, and the next one starts from 0."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, *BEGIN, *TASKS, "ABORTED", *BEGIN, TASKS[0])
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.locator(".summary", has_text="Attempt 2. 1 task done").wait_for()
            past = page.locator(".earlier summary")
            self.assertEqual(
                past.inner_text(), "Attempt 1, interrupted: 1 completed, 1 failed, 1 skipped"
            )
            past.click()
            self.assertEqual(page.locator(".earlier li").count(), 3)
            self.assertEqual(page.locator(".tasks li").count(), 1)

    def test_late_abort(self) -> None:
        """The old attempt's tasks and ABORTED, behind the new one's DOWNLOADED, change nothing."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            begin = [*BEGIN, *TASKS, "DOWNLOADED", "TASK d COMPLETED", "ABORTED"]
            say(broker, JOB, *begin, "STARTED", TASKS[0], "ABORTED")
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="Interrupted, the evaluation starts again").wait_for()
            past = page.locator(".earlier summary").all_inner_texts()
            expected = ["1 completed, 1 failed, 1 skipped", "1 completed, 0 failed, 0 skipped"]
            titles = [f"Attempt {n}, interrupted: {text}" for n, text in enumerate(expected, 1)]
            self.assertEqual(past, titles)

    def test_failed_overtakes(self) -> None:
        """What FAILED has overtaken does not make a failed job look as if it went on."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, *BEGIN, "FAILED", TASKS[0], "ABORTED")
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="The evaluation failed").wait_for()
            self.assertEqual(page.locator(".tasks li").count(), 1)
            say(broker, JOB, "DOWNLOADED")
            page.get_by_role("heading", name="The solution is being prepared").wait_for()
            page.get_by_text("Attempt 1, failed").wait_for()

    def test_monitor_restarts(self) -> None:
        """It says that the connection was lost, and continues its list."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.clock.install()
            say(broker, JOB, *BEGIN, *TASKS)
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_text("3 tasks done").first.wait_for()
            monitor.stop()
            page.get_by_text("Connection lost, trying again").wait_for()
            say(broker, JOB, "TASK d COMPLETED")
            monitor.start()
            shown = page.get_by_text("1 task done").first
            until(shown.is_visible, lambda: page.clock.fast_forward(30_000))
            page.get_by_text("Before the monitor was restarted: 1 completed").wait_for()

    def test_keyboard_and_small_screen(self) -> None:
        """The keyboard chooses what is shown; nothing is wider than the smallest phone."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            open_page(viewport={"width": 320, "height": 480}) as page,
        ):
            say(broker, JOB, *BEGIN, *TASKS, f"TASK {'long' * 50} SKIPPED")
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.locator(".list li.failed").wait_for()
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), 320)
            page.keyboard.press("Tab")
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
            self.assertTrue(page.get_by_role("radio", name="Failed").is_checked())
            self.assertEqual(page.locator(".list li:visible").all_inner_texts(), ["b\nfailed"])

    def test_many_tasks(self) -> None:
        """5,000 tasks are shown, and new ones after them."""
        count = 5000
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, *BEGIN, *(f"TASK t{number} COMPLETED" for number in range(count)))
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.locator(".summary", has_text=f"{count} tasks done").wait_for()
            say(broker, JOB, "TASK last FAILED")
            page.locator(".summary", has_text=f"{count + 1} tasks done").wait_for()

    def test_spoken_in_moderation(self) -> None:
        """A screen reader is told at most every 5 seconds, and of the end."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.clock.install()
            say(broker, JOB, *BEGIN)
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="The solution is being evaluated").wait_for()
            spoken = page.get_by_role("status")
            page.clock.fast_forward(5000)
            until(lambda: "No task is done yet" in spoken.inner_text())
            say(broker, JOB, *TASKS)
            page.locator(".summary", has_text="3 tasks done").wait_for()
            self.assertNotIn("3 tasks", spoken.inner_text())
            say(broker, JOB, *END)
            page.get_by_role("heading", name="Evaluation over: 1 of 3 tasks failed").wait_for()
            page.clock.fast_forward(5000)
            until(lambda: "1 of 3 tasks failed. 3 tasks done" in spoken.inner_text())

    def test_front_page(self) -> None:
        """The page at ``/`` says what this is, without a script, under the same policy."""
        with running_monitor() as monitor, open_page(java_script_enabled=False) as page:
            said: list[str] = []
            page.on("console", lambda message: said.append(message.text))
            answer = page.goto(http_url(monitor))
            assert answer is not None
            watch = page.request.get(http_url(monitor, f"/watch/{JOB}"))
            name = "content-security-policy"
            self.assertEqual(answer.headers[name], watch.headers[name])
            self.assertEqual(page.locator("h1").inner_text(), "ReCodEx monitor")
            self.assertEqual((page.locator("script").count(), said), (0, []))
