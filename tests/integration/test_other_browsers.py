"""The module, the page, the element and the board in Firefox and in WebKitGTK."""

import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import BEGIN, END, JOB, TASKS, http_url, say
from tests.integration.other_browsers import (
    Page,
    firefox,
    firefox_missing,
    shows,
    webkit,
    webkit_missing,
)
from tests.integration.support import connected_broker, running_monitor

OVER = "Evaluation over: 1 of 3 tasks failed"
ELEMENT = """import("/progress-element.js").then(() => {
  const made = document.createElement("recodex-progress");
  for (const [name, value] of Object.entries(%s)) made.setAttribute(name, value);
  document.body.append(made);
})"""


class BrowserTests(SynchronousTestCase):
    """What works in Chromium works in another browser."""

    browser: Callable[[], AbstractContextManager[Page]]

    def test_restart(self) -> None:
        """The page of a job resumes through a restart of the monitor, and tells its end."""
        with tempfile.TemporaryDirectory() as folder:
            history = {"file": str(Path(folder) / "history.db")}
            with (
                running_monitor(history=history) as monitor,
                connected_broker(monitor) as broker,
                self.browser() as page,
            ):
                say(broker, JOB, *BEGIN, *TASKS[:1])
                page.goto(http_url(monitor, f"/watch/{JOB}?lang=en"))
                shows(page, "Live", "1 task done")
                monitor.stop()
                shows(page, "Connection lost")
                say(broker, JOB, *TASKS[1:], *END)
                monitor.start()
                shows(page, OVER, "3 tasks done")

    def test_without_websocket(self) -> None:
        """Where WebSocket is blocked, the page follows by an event stream."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            self.browser() as page,
        ):
            page.goto(http_url(monitor))
            page.evaluate("void (sessionStorage[location.origin] = 'events')")
            page.goto(http_url(monitor, f"/watch/{JOB}?lang=en"))
            shows(page, "Live without WebSocket")
            say(broker, JOB, *BEGIN, *TASKS, *END)
            shows(page, OVER)

    def test_element_and_board(self) -> None:
        """The element shows a job in another page, and the board many jobs."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            self.browser() as page,
        ):
            for number in range(1, 51):
                say(broker, f"job-{number}", *BEGIN, *TASKS)
            page.goto(http_url(monitor))
            attributes = {"src": monitor.url, "channel": "job-1", "tasks": "12", "lang": "cs"}
            page.evaluate(ELEMENT % json.dumps(attributes))
            shows(page, "Hotovo 3 z 12 kroků")
            page.goto(http_url(monitor, "/board?lang=en#job-1..50"))
            shows(page, "50 under way")
            for number in range(1, 51):
                say(broker, f"job-{number}", *END)
            shows(page, "50 not fully completed")


class FirefoxTests(BrowserTests):
    """Firefox."""

    skip = firefox_missing()
    browser = staticmethod(firefox)


class WebKitTests(BrowserTests):
    """WebKitGTK, whose engine is Safari's."""

    skip = webkit_missing()
    browser = staticmethod(webkit)


del BrowserTests
