"""``progress.js`` with a real monitor, in a real Chromium."""

import base64
import json
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import recodex_monitor
from tests.integration.browser import (
    BEGIN,
    COUNTS,
    END,
    JOB,
    TASKS,
    WATCHED,
    Follower,
    chromium_missing,
    http_url,
    open_page,
    say,
    until,
)
from tests.integration.relays import original_monitor, relaying
from tests.integration.support import connected_broker, running_monitor

ESBUILD = Path(__file__).parents[1] / "node_modules/.bin/esbuild"
FOLDER = Path(recodex_monitor.__file__).parent / "clients/static"


class ModuleTests(SynchronousTestCase):
    """A job, from its beginning to its end."""

    skip = chromium_missing()

    def test_small_and_alone(self) -> None:
        """It is a single file of less than 10,000 bytes once it is minified."""
        text = (FOLDER / "progress.js").read_text()
        if not ESBUILD.exists():
            raise SkipTest("esbuild is not installed; see `make node`")
        minified = subprocess.run([ESBUILD, "--minify"], input=text.encode(), capture_output=True)
        self.assertLess(len(minified.stdout), 10_000)
        self.assertGreater(len(minified.stdout), 1000)
        self.assertNotRegex(text, r"\bimport\b|\brequire\b|https?://(?!host)")

    def test_whole_job(self) -> None:
        """Every message comes once and in order, with the counts, then the end, once."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, *BEGIN)
            job = Follower(page, monitor, monitor.url, JOB)
            job.has(*BEGIN)
            say(broker, JOB, *TASKS)
            job.has(*BEGIN, *TASKS)
            self.assertEqual(job.counts, COUNTS)
            say(broker, JOB, *END)
            job.ended("finished")
            job.has(*BEGIN, *TASKS, *END)
            self.assertEqual(
                job.states, ["connecting websocket", "live websocket", "ended websocket"]
            )

    def test_failed_job(self) -> None:
        """A job that the broker gives up ends as failed, without a FINISHED from the broker."""
        with (
            running_monitor(channels={"failed_grace": 0.5}) as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            say(broker, JOB, "FAILED")
            Follower(page, monitor, monitor.url, JOB).ended("failed")

    def test_job_starts_again(self) -> None:
        """ABORTED begins a new attempt, whose counts start at 0."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            job = Follower(page, monitor, monitor.url, JOB)
            say(broker, JOB, *BEGIN, *TASKS, "ABORTED", *BEGIN, "TASK a COMPLETED")
            job.has(*BEGIN, *TASKS, "ABORTED", *BEGIN, "TASK a COMPLETED")
            self.assertEqual(job.counts, {"completed": 1, "failed": 0, "skipped": 0, "attempt": 2})

    def test_late_abort(self) -> None:
        """The old attempt's tasks and ABORTED behind the new one's DOWNLOADED are not counted."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            job = Follower(page, monitor, monitor.url, JOB)
            late = [*BEGIN, *TASKS, "DOWNLOADED", "TASK d COMPLETED", "ABORTED", "STARTED"]
            say(broker, JOB, *late, "TASK a FAILED")
            job.has(*late, "TASK a FAILED")
            self.assertEqual(job.counts, {"completed": 0, "failed": 1, "skipped": 0, "attempt": 2})

    def test_refused(self) -> None:
        """A channel id that the monitor refuses, as too long, is the end; there is no retry."""
        with running_monitor() as monitor, open_page() as page, relaying(monitor) as relay:
            page.clock.install()
            job = Follower(page, monitor, relay.url, "x" * 513)
            job.ended("refused")
            job.later(60)
            self.assertEqual(relay.connections, 1)

    def test_stop_leaves_nothing(self) -> None:
        """After ``stop()`` no timer, socket, request or listener is left, by any transport."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.add_init_script(WATCHED)
            page.goto(http_url(monitor))
            for transport in ("websocket", "events", "poll"):
                page.evaluate("one => { sessionStorage[location.origin] = one; }", transport)
                page.reload()
                job = Follower(page, monitor, monitor.url, JOB)
                say(broker, JOB, "STARTED")
                job.was(f"live {transport}")
                page.evaluate("stop()")
                left = page.evaluate(
                    "[held.timers.size, held.signals.filter((one) => !one.aborted).length,"
                    " held.sockets.filter((one) => one.readyState < 2).length]"
                )
                self.assertEqual(left, [0, 0, 0], transport)

    def test_mistake_of_the_page(self) -> None:
        """A page whose callbacks throw still gets every message once."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(error.message))
            say(broker, JOB, *BEGIN)
            page.goto(http_url(monitor))
            page.evaluate(
                """async ([url, channel]) => {
                  sessionStorage[location.origin] = "events";
                  const { followJob } = await import("/progress.js");
                  const onMessage = ({ command }) => { throw new Error(command); };
                  followJob({ url, channel, onMessage });
                }""",
                [monitor.url, JOB],
            )
            until(lambda: page.evaluate("1") and len(errors) == 2)
            self.assertEqual(errors, list(BEGIN))


class ArgumentTests(SynchronousTestCase):
    """A mistake in the arguments of ``followJob`` is told at once."""

    skip = chromium_missing()

    def test_mistakes(self) -> None:
        """Each is a TypeError that names the argument, what it is, and what it must be."""
        good = 'url: "ws://127.0.0.1:1", channel: "job"'
        mistakes = {
            "{}": "url is undefined; it must be .* wss://HOST/ws or ws://HOST:PORT",
            "undefined": "url is undefined",
            'url: "127.0.0.1:4567", channel: "job"': 'url is "127.0.0.1:4567"; .* ws://HOST:PORT',
            'url: "localhost:4567", channel: "job"': 'url is "localhost:4567"; ',
            'url: "tcp://localhost:1", channel: "job"': 'url is "tcp://localhost:1"; ',
            'url: "/ws", channel: "job"': 'url is "/ws"; ',
            'url: "ws://127.0.0.1:1"': "channel is undefined; it must be .* not empty",
            'url: "ws://127.0.0.1:1", channel: ""': 'channel is ""; ',
            'url: "ws://127.0.0.1:1", channel: null': "channel is null; ",
            'url: "ws://127.0.0.1:1", channel: 7': "channel is 7; ",
            f'{good}, onMessage: "show"': 'onMessage is "show"; it must be a function',
            f"{good}, onState: 1": "onState is 1; it must be a function",
            f"{good}, onEnd: true": "onEnd is true; it must be a function",
        }
        code = base64.b64encode((FOLDER / "progress.js").read_bytes()).decode()
        call = """async ([code, options]) => {
          const { followJob } = await import(`data:text/javascript;base64,${code}`);
          try {
            eval(`followJob(${options})`)();
            return "no mistake";
          } catch (error) {
            return `${error.name}: ${error.message}`;
          }
        }"""
        with open_page() as page:
            for options, wanted in mistakes.items():
                if ":" in options:
                    options = f"{{{options}}}"
                told = page.evaluate(call, [code, options])
                self.assertRegex(told, f"^TypeError: followJob: {wanted}")
            for more in ("", ", onMessage: null, onState: undefined, onEnd() {}"):
                self.assertEqual(page.evaluate(call, [code, f"{{{good}{more}}}"]), "no mistake")


class OldTests(SynchronousTestCase):
    """Old pages with this monitor, and new pages with the old one."""

    skip = chromium_missing()

    def test_page_of_today(self) -> None:
        """A page that sends a bare id gets the original texts, then a clean close with 1000."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.goto(http_url(monitor))
            page.evaluate(
                """([url, channel]) => {
                  window.got = [];
                  const socket = new WebSocket(url);
                  socket.onopen = () => socket.send(channel);
                  socket.onmessage = ({ data }) => got.push(data);
                  socket.onclose = ({ code, wasClean }) => got.push([code, wasClean]);
                }""",
                [monitor.url, JOB],
            )
            say(broker, JOB, *BEGIN, TASKS[0], "FINISHED")
            until(lambda: len(page.evaluate("got")) == 5)
            task = {"command": "TASK", "task_id": "a", "task_state": "COMPLETED"}
            texts = [{"command": "DOWNLOADED"}, {"command": "STARTED"}, task]
            self.assertEqual(
                page.evaluate("got"),
                [*map(json.dumps, texts), '{"command": "FINISHED"}', [1000, True]],
            )

    def test_original_monitor(self) -> None:
        """What the original repeats is skipped; it may be silent; FINISHED is the end."""
        with running_monitor() as monitor, original_monitor() as original, open_page() as page:
            page.clock.install()
            original.history = [json.dumps({"command": one}) for one in BEGIN]
            job = Follower(page, monitor, original.url, JOB)
            job.has(*BEGIN)
            job.later(600)
            self.assertEqual(job.states, ["connecting websocket", "live websocket"])
            original.cut()
            job.was("reconnecting websocket")
            job.later(5)
            job.was("live websocket")
            original.history.append(json.dumps({"command": "FINISHED"}))
            job.ended("finished")
            job.has(*BEGIN, "FINISHED")
            self.assertEqual(job.restarts, 0)

    def test_original_monitor_restarts(self) -> None:
        """What an original sends after it lost its history does not count as repeated."""
        with running_monitor() as monitor, original_monitor() as original, open_page() as page:
            page.clock.install()
            original.history = [json.dumps({"command": one}) for one in BEGIN]
            job = Follower(page, monitor, original.url, JOB)
            job.has(*BEGIN)
            original.history = [json.dumps({"command": one}) for one in ("DOWNLOADED", "FINISHED")]
            original.cut()
            job.was("reconnecting websocket")
            job.later(5)
            job.ended("finished")
            job.has(*BEGIN, "DOWNLOADED", "FINISHED")
            self.assertEqual(job.restarts, 1)
