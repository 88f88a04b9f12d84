"""The page of a job in a real Chromium, behind real proxies that leave their prefix on."""

from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import uuid4

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import BEGIN, END, JOB, TASKS, chromium_missing, open_page, say
from tests.integration.prefixed import missing, prefixing
from tests.integration.support import Broker, connected_broker, running_monitor

if TYPE_CHECKING:
    from playwright.sync_api import Page

LIVE = {
    "websocket": "Live",
    "events": "Live without WebSocket",
    "poll": "Live with polling",
}
"""What the page says of its connection, by transport."""


class NginxTests(SynchronousTestCase):
    """``location /ws { proxy_pass http://m; }``; the classes below do the same with others.

    Attributes:
        program: of the proxy.
    """

    program = "nginx"
    skip = chromium_missing() or missing()

    def follow(self, page: "Page", broker: Broker, url: str, transport: str) -> None:
        """Open the page, and follow a job to its end by this transport."""
        job, later = f"{JOB}{uuid4()}", 2000 if transport == "poll" else 0
        answers: list[tuple[str, int]] = []
        page.on("response", lambda answer: answers.append((answer.url, answer.status)))
        say(broker, job, *BEGIN)
        with page.expect_request("**/events/**") if later else nullcontext():
            page.goto(f"{url}/watch/{job}")
        page.clock.fast_forward(3 * later)
        page.get_by_text(LIVE[transport], exact=True).wait_for()
        say(broker, job, *TASKS)
        page.clock.fast_forward(later)
        page.locator(".list li.skipped").wait_for()
        say(broker, job, *END)
        page.clock.fast_forward(later)
        page.get_by_role("heading", name="Evaluation over: 1 of 3 tasks failed").wait_for()
        self.assertIn("1 completed, 1 failed, 1 skipped", page.locator(".summary").inner_text())
        files = {url.rpartition("/")[2] for url, status in answers if status in {200, 304}}
        self.assertLessEqual({job, "watch.js", "watch.css", "progress.js", "common.css"}, files)
        self.assertNotIn(404, {status for _, status in answers})

    def test_page(self) -> None:
        """With one slash and two, by WebSocket, and by streams and polls where that is blocked."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            prefixing(self.program, monitor, passes_upgrade=True) as url,
            prefixing(self.program, monitor, passes_upgrade=False) as without_websocket,
            open_page() as page,
        ):
            page.clock.install()
            for slash in ("", "/"):
                self.follow(page, broker, url + slash, "websocket")
            for slash in ("", "/"):
                self.follow(page, broker, without_websocket + slash, "events")
            page.route("**/events/**", lambda route: None)
            self.follow(page, broker, f"{without_websocket}/", "poll")
            monitor.stop()  # so that no thread of Apache waits for it


class ApacheTests(NginxTests):
    """``ProxyPass /ws http://m/ws``."""

    program = "apache2"


class HaproxyTests(NginxTests):
    """``use_backend m if { path_beg /ws }``."""

    program = "haproxy"


class CaddyTests(NginxTests):
    """``handle /ws* { reverse_proxy m }``."""

    program = "caddy"
