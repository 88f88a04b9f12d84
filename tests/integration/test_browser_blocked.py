"""``progress.js`` where WebSocket is blocked, in a real Chromium."""

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import (
    BEGIN,
    END,
    JOB,
    TASKS,
    Follower,
    chromium_missing,
    http_url,
    open_page,
    say,
    until,
)
from tests.integration.relays import needs_nginx, proxying, relaying
from tests.integration.support import connected_broker, running_monitor


class BlockedTests(SynchronousTestCase):
    """Networks that block WebSocket, or more."""

    skip = chromium_missing()

    def test_events(self) -> None:
        """It falls back to server-sent events; the next job of the session starts with them."""
        needs_nginx()
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            proxying(monitor) as proxy,
            open_page(bypass_csp=True) as page,
        ):
            say(broker, JOB, *BEGIN)
            job = Follower(page, monitor, proxy.url, JOB)
            job.was("live events")
            self.assertEqual(proxy.upgrades, 2)
            for task in TASKS:
                say(broker, JOB, task)
            job.has(*BEGIN, *TASKS)
            say(broker, JOB, *END)
            job.ended("finished")
            job.has(*BEGIN, *TASKS, *END)
            page.reload()
            job = Follower(page, monitor, proxy.url, JOB)
            job.ended("finished")
            job.has(*BEGIN, *TASKS, *END)
            self.assertEqual(proxy.upgrades, 2)

    def test_events_cut(self) -> None:
        """A stream that is cut or silent is resumed; comments are enough to keep one."""
        with (
            running_monitor(limits={"event_comment": 1}) as monitor,
            connected_broker(monitor) as broker,
            relaying(monitor) as relay,
            open_page(bypass_csp=True) as page,
        ):
            page.clock.install()
            page.goto(http_url(monitor))
            relay.url = relay.url.removesuffix("/ws")
            key = relay.url.replace("ws", "http")
            page.evaluate("key => { sessionStorage[key] = 'events'; }", key)
            job = Follower(page, monitor, relay.url, JOB)
            say(broker, JOB, *BEGIN)
            job.has(*BEGIN)
            for _ in range(2):
                # When the second comment comes, the page has long had the first.
                before = relay.passed
                until(lambda before=before: relay.passed >= before + 2)  # type: ignore[misc]
                job.later(30)
            self.assertEqual(job.states, ["connecting events", "live events"])
            relay.cut()
            job.was("reconnecting events")
            say(broker, JOB, TASKS[0])
            job.later(5)
            job.has(*BEGIN, TASKS[0])
            relay.lose()
            say(broker, JOB, *TASKS[1:])
            job.later(41)
            job.was("reconnecting events")
            job.later(5)
            job.has(*BEGIN, *TASKS)

    def test_events_of_an_ended_job(self) -> None:
        """If the stream answers 204, the snapshot says how the job ended."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, *BEGIN, *END)
            page.route("**/events/**", lambda route: route.fulfill(status=204))
            page.goto(http_url(monitor))
            page.evaluate("sessionStorage[location.origin] = 'events'")
            job = Follower(page, monitor, monitor.url, JOB)
            job.ended("finished")
            job.has(*BEGIN, *END)

    def test_polls(self) -> None:
        """If streams are blocked as well, it polls, also through a restart."""
        needs_nginx()
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            proxying(monitor) as proxy,
            open_page(bypass_csp=True) as page,
        ):
            page.clock.install()
            say(broker, JOB, *BEGIN)
            page.route("**/events/**", lambda route: None)
            with page.expect_request("**/events/**"):
                job = Follower(page, monitor, proxy.url, JOB)
            job.later(5)
            job.was("live poll")
            for task in TASKS:
                say(broker, JOB, task)
                job.later(1)
            job.has(*BEGIN, *TASKS)
            monitor.stop()
            job.comes_to("reconnecting poll", 1)
            monitor.start()
            job.comes_to("live poll")
            say(broker, JOB, *END)
            job.comes_to("ended poll", 1)
            job.has(*BEGIN, *TASKS, *END)
            self.assertEqual((job.ends, job.restarts), (["finished"], 1))
