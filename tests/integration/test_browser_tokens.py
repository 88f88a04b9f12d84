"""How ``progress.js`` and the page of a job show a follower's token, in a real Chromium."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
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
from tests.integration.support import Monitor, connected_broker, running_monitor

SECRET = "a secret of 32 bytes at the least, really"
FOLLOW = """async ([url, tokens, many]) => {
  const { followJob, followJobs } = await import("/progress.js");
  window.got = { messages: 0, ends: [], asked: 0 };
  const token = tokens.length > 1 ? () => tokens[got.asked++] : tokens[0];
  const onMessage = () => got.messages++;
  const onEnd = (...values) => got.ends.push(values.at(-1).outcome);
  if (many) followJobs({ url, channels: ["JOB"], token, onMessage, onEnd });
  else followJob({ url, channel: "JOB", token, onMessage, onEnd });
}""".replace("JOB", JOB)


def token(channel: str, expires_in: float = 3600, secret: str = SECRET) -> str:
    """A token for a channel."""
    claims = {"channels": [channel], "exp": time.time() + expires_in}
    return jwt.encode(claims, secret, "HS256")


@contextmanager
def guarded_monitor() -> Iterator[Monitor]:
    """A monitor that asks everybody for a token."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.write_text(SECRET)
        key.chmod(0o600)
        with running_monitor(access={"key_file": str(key), "required": True}) as monitor:
            yield monitor


class TokenTests(SynchronousTestCase):
    """How the module shows a follower's token."""

    skip = chromium_missing()

    def test_guarded(self) -> None:
        """With the right one a job is followed, with a wrong one refused, by every transport."""
        right, wrong, late = token(JOB), token("other"), token(JOB, -60)
        cases = (
            ([right], ["finished"], 8),
            ([wrong], ["refused"], 0),
            ([late, right], ["finished"], 8),
        )
        with (
            guarded_monitor() as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            say(broker, JOB, *BEGIN, *TASKS, *END)
            for transport in ("websocket", "events", "poll"):
                for many in (False, True):
                    for tokens, ends, messages in cases[: 2 if transport == "poll" else 3]:
                        page.goto(http_url(monitor))
                        page.evaluate(
                            "one => { sessionStorage[location.origin] = one; }", transport
                        )
                        page.evaluate(FOLLOW, [monitor.url, tokens, many])
                        try:
                            until(lambda: page.evaluate("got.ends.length"))
                        except AssertionError:
                            self.fail(f"no end: {transport}, {many}, {ends}")
                        where = f"{transport}, many: {many}, {ends}"
                        self.assertEqual(page.evaluate("got.ends"), ends, where)
                        self.assertEqual(page.evaluate("got.messages"), messages, where)

    def test_page(self) -> None:
        """The page of a job takes it from its address, and says nothing to others."""
        with (
            guarded_monitor() as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            say(broker, JOB, *BEGIN, *TASKS, *END)
            page.goto(http_url(monitor, f"/watch/{JOB}?token={token(JOB)}"))
            page.get_by_role("heading", name="Evaluation over: 1 of 3 tasks failed").wait_for()
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="This evaluation cannot be followed").wait_for()

    def test_sent(self) -> None:
        """It is in the query for one job, in the first message for many, else in a header."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, "a", *BEGIN)
            opened: list[str] = []
            sent: list[Any] = []
            headers: list[str | None] = []

            def note_socket(socket: Any) -> None:
                opened.append(socket.url)
                socket.on("framesent", lambda frame: sent.append(frame))

            page.on("websocket", note_socket)
            page.on("request", lambda one: headers.append(one.headers.get("authorization")))
            page.goto(http_url(monitor))
            page.evaluate(
                """async (url) => {
                  const { followJob, followJobs } = await import("/progress.js");
                  let number = 0;
                  const token = async () => `t${++number}`;
                  followJob({ url, channel: "a", token });
                  window.more = () => followJobs({ url, channels: ["a"], token });
                }""",
                monitor.url,
            )
            until(lambda: len(sent) == 1, lambda: page.wait_for_timeout(10))
            page.evaluate("void more()")
            until(lambda: len(sent) == 3, lambda: page.wait_for_timeout(10))
            self.assertRegex(opened[0], r"\?after=&token=t1$")
            self.assertRegex(opened[1], r"\?jobs=$")
            self.assertEqual(sent[1:], ['{"token":"t2"}', '{"follow":"a","after":""}'])
            page.evaluate("sessionStorage[location.origin] = 'events'")
            page.goto(http_url(monitor, "/watch/a?token=secret"))
            until(lambda: "Bearer secret" in headers, lambda: page.wait_for_timeout(10))
