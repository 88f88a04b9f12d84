"""Chromium, and jobs that its pages follow."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.integration.support import PATIENCE, Broker, Monitor

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")

JOB = "student_5c1a0d52-8f3e-4f7e-9a77-0a1d4b6c2f10"
BEGIN = ("DOWNLOADED", "STARTED")
TASKS = ("TASK a COMPLETED", "TASK b FAILED", "TASK c SKIPPED")
END = ("ENDED", "UPLOADED", "FINISHED")
COUNTS = {"completed": 1, "failed": 1, "skipped": 1, "attempt": 1}
"""A job's channel, its messages in order, and the counts at its end."""


def chromium_missing() -> str | None:
    """Why nothing can be tested in Chromium here; None if it can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None if CHROMIUM else "chromium is not installed"


WATCHED = """(() => {
  const held = (window.held = { timers: new Set(), sockets: [], signals: [] });
  const { setTimeout, clearTimeout, fetch, WebSocket, addEventListener } = window;
  window.setTimeout = (action, time, ...values) => {
    const timer = setTimeout(() => (held.timers.delete(timer), action(...values)), time);
    held.timers.add(timer);
    return timer;
  };
  window.clearTimeout = (timer) => (held.timers.delete(timer), clearTimeout(timer));
  window.fetch = (url, options) => (held.signals.push(options.signal), fetch(url, options));
  window.addEventListener = (type, action, options) => {
    if (options?.signal) held.signals.push(options.signal);
    addEventListener.call(window, type, action, options);
  };
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      held.sockets.push(this);
    }
  };
})()"""
"""Makes a page record its timers, sockets and abort signals."""

FOLLOW = """async ([url, channel]) => {
  const { followJob } = await import("/progress.js");
  const got = (window.got = { messages: [], counts: null, states: [], ends: [], restarts: 0 });
  window.stop = followJob({
    url,
    channel,
    onMessage({ command, task_id, task_state }, counts) {
      got.messages.push([command, task_id, task_state].filter(Boolean).join(" "));
      got.counts = counts;
    },
    onState({ state, transport, restarted }) {
      got.states.push(`${state} ${transport}`);
      if (restarted) got.restarts++;
    },
    onEnd({ reason }) {
      got.ends.push(reason);
    },
  });
}"""


@contextmanager
def open_page(**options: Any) -> Iterator["Page"]:
    """A page of a new Chromium, which runs during the block; options as for ``new_context``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, timeout=PATIENCE * 1000)
        try:
            page = chromium.new_context(**options).new_page()
            page.set_default_timeout(PATIENCE * 1000)
            yield page
        finally:
            chromium.close()


def until(holds: Callable[[], object], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait until a condition holds, and repeat an action meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("did not come to hold in time")
        meanwhile()
        time.sleep(0.02)


class Follower:
    """A job that ``progress.js`` follows in a page, and the callbacks that came."""

    def __init__(self, page: "Page", monitor: Monitor, url: str, channel: str) -> None:
        """Follow a channel.

        Args:
            page: the page that follows.
            monitor: serves the module.
            url: of the monitor to follow, as a web application has it.
            channel: the channel's id.
        """
        self._page = page
        if page.url == "about:blank":
            page.goto(http_url(monitor))
        page.evaluate(FOLLOW, [url, channel])

    def __getattr__(self, name: str) -> Any:
        """What came so far: messages, counts, states, ends or restarts."""
        return self._page.evaluate(f"got.{name}")

    def has(self, *messages: str) -> None:
        """Wait until as many messages have come, and check that they are these."""
        try:
            until(lambda: len(self.messages) >= len(messages))
        except AssertionError:
            raise AssertionError(f"{self.messages} after {self.states}") from None
        if self.messages != list(messages):
            raise AssertionError(f"{self.messages} is not {messages}")

    def was(self, state: str) -> None:
        """Wait until its last state is this one, as ``STATE TRANSPORT``."""
        try:
            until(lambda: self.states[-1:] == [state])
        except AssertionError:
            raise AssertionError(f"{self.states} does not end with {state}") from None

    def ended(self, reason: str) -> None:
        """Wait until it has ended, and check why."""
        until(lambda: self.ends)
        if self.ends != [reason]:
            raise AssertionError(f"{self.ends} is not {reason}")

    def later(self, seconds: float) -> None:
        """Advance the page's clock, which has to be installed."""
        self._page.clock.fast_forward(round(seconds * 1000))

    def comes_to(self, state: str, step: float = 30) -> None:
        """Advance the page's clock again and again until its last state is this one."""
        until(lambda: self.states[-1] == state, meanwhile=lambda: self.later(step))


def http_url(monitor: Monitor, path: str = "/") -> str:
    """The URL of a monitor's pages."""
    return f"http://127.0.0.1:{monitor.address[1]}{path}"


def say(broker: Broker, channel: str, *messages: str) -> None:
    """Send messages to a channel, each given as its frames, separated by spaces."""
    for message in messages:
        broker.send(channel.encode(), *message.encode().split())
