"""Index, refusals and status pages in all states: WCAG 2, valid HTML, not wider than a phone."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.integration.accessibility import (
    Checks,
    checked,
    checks_missing,
    open_without_scripts,
)
from tests.integration.browser import (
    BEGIN,
    END,
    TASKS,
    http_url,
    open_page,
    say,
    until,
)
from tests.integration.support import Monitor, connected_broker, free_ports, running_monitor

if TYPE_CHECKING:
    from playwright.sync_api import Page

JOBS = {
    "running": (*BEGIN, *TASKS),
    "interrupted": (*BEGIN, *TASKS, "ABORTED", "DOWNLOADED"),
    "failing": (*BEGIN, "FAILED"),
    "failed": (*BEGIN, "FAILED", "FINISHED"),
    "finished": (*BEGIN, *TASKS, *END),
    "long" * 50: (*BEGIN, f"TASK {'long' * 50} COMPLETED"),
}
"""The jobs on the page of the status, and their messages."""

TOKEN = "correct-horse-battery"


class PublicTests(SynchronousTestCase):
    """The pages of the public port."""

    skip = checks_missing()

    def test_others(self) -> None:
        """The page about this address, and refusals."""
        paths = {"index": "/", "not found": "/none", "no id": "/watch/", "bad id": "/watch/%ff"}
        with (
            checked() as checks,
            running_monitor() as monitor,
            open_page() as page,
        ):
            for name, path in paths.items():
                page.goto(http_url(monitor, path))
                checks.look(page, name)


class StatusTests(SynchronousTestCase):
    """The pages of the private port."""

    skip = checks_missing()

    def test_status(self) -> None:
        """The status, and each job: before the broker comes, idle, busy, after it has gone."""
        (port,) = free_ports(1)
        limits = {"allowed_origins": ["https://good.example"]}
        with ExitStack() as stack:
            checks = stack.enter_context(checked())
            uri = ["127.0.0.1", port]
            monitor = stack.enter_context(running_monitor(status_uri=uri, limits=limits))
            page = stack.enter_context(open_page())
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_text("has never connected", exact=True).wait_for()
            checks.look(page, "status never connected")
            with connected_broker(monitor) as broker:
                say(broker, "first", *END)
                page.get_by_text("last message", exact=False).first.wait_for()
                checks.look(page, "status idle")
                self.fill(monitor, stack)
                for job, messages in JOBS.items():
                    say(broker, job, *messages)
                until(lambda: page.locator("#jobs tbody tr").count() > len(JOBS))
                page.locator("details summary").click()
                checks.look(page, "status busy")
                page.get_by_role("button", name="failed 1", exact=True).click()
                until(lambda: page.locator("#jobs tbody tr").count() == 1)
                checks.look(page, "status filtered")
                page.get_by_label("Find").fill("none")
                page.get_by_text("There is no such job").wait_for()
                checks.look(page, "status nothing found")
                for job in ("unknown", "waits", *JOBS):
                    self.look_at_job(checks, page, port, job)
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_text("away", exact=True).wait_for()
            checks.look(page, "status broker gone")
            monitor.stop()
            page.get_by_text("no news for").wait_for()
            checks.look(page, "status no news")

    def fill(self, monitor: Monitor, stack: ExitStack) -> None:
        """Follow jobs, one of which has no message, and be refused once."""
        for job in ("waits", "running"):
            client = stack.enter_context(connect(monitor.url, proxy=None))
            client.send(job)
        with self.assertRaises(InvalidStatus):
            connect(monitor.url, proxy=None, origin=Origin("https://bad.example"))

    def look_at_job(self, checks: Checks, page: "Page", port: int, job: str) -> None:
        """Check the page of a job."""
        page.goto(f"http://127.0.0.1:{port}/channels/{job}")
        page.get_by_text("live").wait_for()
        checks.look(page, f"job {job[:20]}")

    def test_sign_in(self) -> None:
        """The page that asks for the token, also after a wrong one."""
        (port,) = free_ports(1)
        with (
            checked() as checks,
            running_monitor(status_uri=["127.0.0.1", port], status_token=TOKEN),
            open_page() as page,
        ):
            page.goto(f"http://127.0.0.1:{port}/")
            checks.look(page, "sign-in")
            page.get_by_label("Token").fill("wrong")
            page.get_by_role("button", name="Sign in").click()
            page.get_by_label("Token").wait_for()
            checks.look(page, "sign-in wrong token")

    def test_without_scripts(self) -> None:
        """Without JavaScript both pages say what to do, and do not say that they connect."""
        (port,) = free_ports(1)
        with (
            checked() as checks,
            running_monitor(status_uri=["127.0.0.1", port]),
            open_page() as page,
        ):
            for name, path in {"status": "/", "job": "/channels/job"}.items():
                open_without_scripts(page, f"http://127.0.0.1:{port}{path}")
                said = page.locator("body").inner_text()
                self.assertIn("recodex-monitor status", said)
                self.assertNotIn("connecting", said)
                checks.look(page, f"{name} without JavaScript")
