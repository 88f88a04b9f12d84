"""Today's web application in three engines: its dialog ends, whatever happens to the monitor."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

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
from tests.integration.other_browsers import (
    Page,
    firefox,
    firefox_missing,
    webkit,
    webkit_missing,
)
from tests.integration.support import Broker, Monitor, connected_broker, running_monitor

DIALOG = """void (() => {
  const dialog = (window.dialog = { shows: "connecting", tasks: 0 });
  const socket = new WebSocket("%s");
  socket.onopen = () => { dialog.shows = "progress"; socket.send("%s"); };
  socket.onmessage = ({ data }) => {
    const { command } = JSON.parse(data);
    if (command === "TASK") dialog.tasks += 1;
    if (command === "FINISHED") { dialog.shows = "finished"; socket.close(); }
  };
  socket.onerror = () => { dialog.shows = "connection lost, results soon"; };
})()"""
"""The web application's logic: it has no ``onclose``."""

LOST = "connection lost, results soon"


@contextmanager
def chromium() -> Iterator[Page]:
    """A page of a new Chromium, which runs during the block."""
    with open_page() as page:
        yield cast(Page, page)


class DialogTests(SynchronousTestCase):
    """What the web application's dialog shows."""

    browser: Callable[[], AbstractContextManager[Page]]

    def follow(self, page: Page, monitor: Monitor, broker: Broker) -> None:
        """Open the dialog of a job, and wait until it shows what the job has done so far."""
        page.goto(http_url(monitor))
        page.evaluate(DIALOG % (monitor.url, JOB))
        say(broker, JOB, *BEGIN, *TASKS)
        until(lambda: page.evaluate("dialog.tasks") == len(TASKS))
        self.assertEqual(page.evaluate("dialog.shows"), "progress")

    def shows(self, page: Page, text: str) -> None:
        """Wait until the dialog shows this, with all tasks counted."""
        until(lambda: page.evaluate("dialog.shows") == text)
        self.assertEqual(page.evaluate("dialog.tasks"), len(TASKS))

    def test_ends(self) -> None:
        """It ends with the job; where the monitor stops before, it says so."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            self.browser() as page,
        ):
            self.follow(page, monitor, broker)
            say(broker, JOB, *END)
            self.shows(page, "finished")
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            self.browser() as page,
        ):
            self.follow(page, monitor, broker)
            monitor.process.send_signal(signal.SIGTERM)
            self.shows(page, LOST)


class ChromiumTests(DialogTests):
    """Chromium."""

    skip = chromium_missing()
    browser = staticmethod(chromium)


class FirefoxTests(DialogTests):
    """Firefox."""

    skip = firefox_missing()
    browser = staticmethod(firefox)


class WebKitTests(DialogTests):
    """WebKitGTK, whose engine is Safari's."""

    skip = webkit_missing()
    browser = staticmethod(webkit)


del DialogTests
