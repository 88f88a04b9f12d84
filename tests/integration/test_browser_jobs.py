"""``followJobs`` with a real monitor, in a real Chromium."""

from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import (
    BEGIN,
    COUNTS,
    END,
    TASKS,
    WATCHED,
    chromium_missing,
    http_url,
    open_page,
    say,
    until,
)
from tests.integration.relays import original_monitor, relaying
from tests.integration.support import Monitor, connected_broker, running_monitor

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLLOW = """async ([url, channels]) => {
  const { followJobs } = await import("/progress.js");
  const got = (window.got = {});
  const of = (channel) => (got[channel] ??= { messages: [], counts: null, states: [], ends: [] });
  window.jobs = followJobs({
    url,
    channels,
    onMessage(channel, { command, task_id, task_state }, counts) {
      of(channel).messages.push([command, task_id, task_state].filter(Boolean).join(" "));
      of(channel).counts = counts;
    },
    onState: (channel, { state, transport }) => of(channel).states.push(`${state} ${transport}`),
    onEnd: (channel, { outcome }) => of(channel).ends.push(outcome),
  });
}"""
WHOLE = [*BEGIN, *TASKS, *END]


class JobsTests(SynchronousTestCase):
    """Many jobs on one connection."""

    skip = chromium_missing()

    def follow(self, page: "Page", monitor: Monitor, url: str, *channels: str) -> None:
        """Follow these channels in a page."""
        page.add_init_script(WATCHED)
        page.goto(http_url(monitor))
        page.evaluate(FOLLOW, [url, list(channels)])

    def got(self, page: "Page", channel: str, key: str) -> Any:
        """What has come of a channel."""
        return page.evaluate("([channel, key]) => got[channel]?.[key]", [channel, key])

    def has(self, page: "Page", channel: str, *messages: str) -> None:
        """Wait until so many messages have come, and check them."""
        until(lambda: len(self.got(page, channel, "messages") or ()) >= len(messages))
        self.assertEqual(self.got(page, channel, "messages"), list(messages))

    def test_whole_jobs(self) -> None:
        """All messages of each channel come, and its end, by one connection."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            names = [f"job{number}" for number in range(20)]
            self.follow(page, monitor, monitor.url, *names)
            for name in names:
                say(broker, name, *WHOLE)
            for name in names:
                self.has(page, name, *WHOLE)
                until(lambda name=name: self.got(page, name, "ends"))  # type: ignore[misc]
                self.assertEqual(self.got(page, name, "ends"), ["finished"])
                self.assertEqual(self.got(page, name, "counts"), COUNTS)
                states = [f"{one} websocket" for one in ("connecting", "live", "ended")]
                self.assertEqual(self.got(page, name, "states"), states)
            self.assertEqual(page.evaluate("held.sockets.length"), 1)
            until(lambda: page.evaluate("held.sockets[0].readyState") == 3)
            self.assertEqual(page.evaluate("held.timers.size"), 0)

    def test_follow_and_unfollow(self) -> None:
        """Channels come and go; what was unfollowed says nothing more."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            self.follow(page, monitor, monitor.url, "a")
            say(broker, "a", *BEGIN)
            self.has(page, "a", *BEGIN)
            page.evaluate("jobs.follow('b'); jobs.unfollow('a')")
            say(broker, "b", *BEGIN)
            self.has(page, "b", *BEGIN)
            say(broker, "a", *TASKS)
            say(broker, "b", *TASKS)
            self.has(page, "b", *BEGIN, *TASKS)
            self.has(page, "a", *BEGIN)
            page.evaluate("jobs.stop()")
            until(lambda: page.evaluate("held.sockets[0].readyState") == 3)
            self.assertEqual(page.evaluate("held.timers.size"), 0)

    def test_cut_connection(self) -> None:
        """After a cut every channel resumes: nothing is missing, and nothing comes twice."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            relaying(monitor) as relay,
            open_page() as page,
        ):
            page.clock.install()
            self.follow(page, monitor, relay.url, "a", "b")
            for name in "ab":
                say(broker, name, *BEGIN)
                self.has(page, name, *BEGIN)
            relay.cut()
            until(lambda: self.got(page, "a", "states")[-1] == "reconnecting websocket")
            for name in "ab":
                say(broker, name, *TASKS, *END)
            page.clock.fast_forward(5000)
            for name in "ab":
                self.has(page, name, *WHOLE)

    def test_refused(self) -> None:
        """A channel that is refused ends; the others go on."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            self.follow(page, monitor, monitor.url, "x" * 600, "a")
            until(lambda: self.got(page, "x" * 600, "ends") == ["refused"])
            say(broker, "a", *WHOLE)
            self.has(page, "a", *WHOLE)

    def test_original_monitor(self) -> None:
        """With a monitor that knows one job a connection, each job has one."""
        with running_monitor() as monitor, original_monitor() as original, open_page() as page:
            original.history = ['{"command": "STARTED"}', '{"command": "FINISHED"}']
            self.follow(page, monitor, original.url, "a", "b")
            for name in "ab":
                self.has(page, name, "STARTED", "FINISHED")
                self.assertEqual(self.got(page, name, "ends"), ["finished"])

    def test_blocked(self) -> None:
        """Where WebSocket is blocked the jobs share an event stream, which resumes after a cut."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            relaying(monitor) as relay,
            open_page(bypass_csp=True) as page,
        ):
            base = relay.url.replace("ws:", "http:").rstrip("/")
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.add_init_script(f"sessionStorage['{base}'] = 'events'")
            page.clock.install()
            for name in "ab":
                say(broker, name, *BEGIN)
            self.follow(page, monitor, relay.url, "a", "b", "x" * 600)
            for name in "ab":
                self.has(page, name, *BEGIN)
            until(lambda: self.got(page, "x" * 600, "ends") == ["refused"])
            relay.cut()
            until(lambda: self.got(page, "a", "states")[-1] == "reconnecting events")
            for name in "ab":
                say(broker, name, *TASKS, *END)
            page.clock.fast_forward(5000)
            for name in "ab":
                self.has(page, name, *WHOLE)
            streams = [url for url in asked if url.startswith(f"{base}/events?")]
            self.assertEqual(len(streams), 2)
            self.assertRegex(streams[1], r"\?follow=a@.+%3A2&follow=b@.+%3A2$")
            self.assertEqual(page.evaluate("held.sockets.length"), 0)
