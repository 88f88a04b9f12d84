"""What a page makes of a monitor, in a real Chromium."""

import json
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase
from websockets.sync.client import connect

import recodex_monitor
from tests.integration.browser import (
    NGINX,
    WATCHED,
    Follower,
    chromium_missing,
    http_url,
    open_page,
    original_monitor,
    proxying,
    relaying,
    say,
    until,
)
from tests.integration.support import Monitor, connected_broker, running_monitor

WEB = Path(recodex_monitor.__file__).parent / "clients/static"
JOB = "student_5c1a0d52-8f3e-4f7e-9a77-0a1d4b6c2f10"
BEGIN = ("DOWNLOADED", "STARTED")
TASKS = ("TASK a COMPLETED", "TASK b FAILED", "TASK c SKIPPED")
END = ("ENDED", "UPLOADED", "FINISHED")
COUNTS = {"completed": 1, "failed": 1, "skipped": 1, "attempt": 1}


def needs_nginx() -> None:
    """Skip a test where there is no nginx."""
    if not NGINX:
        raise SkipTest("nginx is not installed")


class ModuleTests(SynchronousTestCase):
    """``progress.js``, however the connection goes."""

    skip = chromium_missing()

    def test_small_and_alone(self) -> None:
        """It is one file of less than 8000 bytes, and needs no other."""
        text = (WEB / "progress.js").read_text()
        self.assertLess(len(text.encode()), 8000)
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
        """A job that the broker gives up ends as failed, though no FINISHED came from there."""
        with (
            running_monitor(channels={"failed_grace": 0.5}) as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            say(broker, JOB, "FAILED")
            Follower(page, monitor, monitor.url, JOB).ended("failed")

    def test_job_starts_again(self) -> None:
        """ABORTED begins an attempt, and its tasks are counted from none on."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            job = Follower(page, monitor, monitor.url, JOB)
            say(broker, JOB, *BEGIN, *TASKS, "ABORTED", *BEGIN, "TASK a COMPLETED")
            job.has(*BEGIN, *TASKS, "ABORTED", *BEGIN, "TASK a COMPLETED")
            self.assertEqual(job.counts, {"completed": 1, "failed": 0, "skipped": 0, "attempt": 2})

    def test_refused(self) -> None:
        """A channel id that the monitor does not take is the end, and there is no other try."""
        with running_monitor() as monitor, open_page() as page, relaying(monitor) as relay:
            page.clock.install()
            job = Follower(page, monitor, relay.url, "")
            job.ended("refused")
            job.later(60)
            self.assertEqual(relay.connections, 1)

    def test_cut_connection(self) -> None:
        """After a cut it resumes: nothing is missing, nothing comes twice."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            relaying(monitor) as relay,
            open_page() as page,
        ):
            page.clock.install()
            page.add_init_script(WATCHED)
            job = Follower(page, monitor, relay.url, JOB)
            say(broker, JOB, *BEGIN)
            job.has(*BEGIN)
            for task in TASKS:
                relay.cut()
                job.was("reconnecting websocket")
                say(broker, JOB, task)
                job.later(5)
                job.was("live websocket")
            job.has(*BEGIN, *TASKS)
            self.assertEqual((job.counts, job.restarts), (COUNTS, 0))
            self.assertRegex(page.evaluate("held.sockets.at(-1).url"), "after=.+4$")

    def test_monitor_restarts(self) -> None:
        """A page goes on where it was when a monitor is back that has kept its history."""
        with (
            running_monitor(history={"file": str(self.folder() / "history")}) as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            page.clock.install()
            job = Follower(page, monitor, monitor.url, JOB)
            say(broker, JOB, *BEGIN, *TASKS)
            job.has(*BEGIN, *TASKS)
            monitor.stop()
            say(broker, JOB, *END)
            monitor.start()
            job.comes_to("ended websocket")
            job.has(*BEGIN, *TASKS, *END)
            self.assertEqual((job.ends, job.counts, job.restarts), (["finished"], COUNTS, 0))

    def test_monitor_forgets(self) -> None:
        """Where the monitor has lost what it told, the page is told, and counts begin anew."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.clock.install()
            job = Follower(page, monitor, monitor.url, JOB)
            say(broker, JOB, *BEGIN, *TASKS)
            job.has(*BEGIN, *TASKS)
            self.assertEqual(monitor.stop(), 0)
            job.was("reconnecting websocket")
            job.later(5)  # and finds nobody
            say(broker, JOB, "TASK d COMPLETED")
            monitor.start()
            job.comes_to("live websocket")
            say(broker, JOB, *END)
            job.ended("finished")
            job.has(*BEGIN, *TASKS, "TASK d COMPLETED", *END)
            self.assertEqual(job.restarts, 1)
            self.assertEqual(job.counts["completed"], 1)

    def test_monitor_away(self) -> None:
        """Where nobody answers at all it tries WebSocket again, and nothing else."""
        with running_monitor() as monitor, open_page() as page:
            page.clock.install()
            away = Monitor(str(self.folder()))
            job = Follower(page, monitor, away.url, JOB)
            job.was("reconnecting websocket")
            self.addCleanup(away.stop)
            away.start()
            job.comes_to("live websocket")
            with connected_broker(away) as other:
                say(other, JOB, *BEGIN)
                job.has(*BEGIN)

    def folder(self) -> Path:
        """A new folder."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        return folder

    def test_no_room(self) -> None:
        """While the monitor is full it waits as long as it is told to."""
        with (
            running_monitor() as monitor,
            # With one place only, there would be none to answer the page from, too.
            running_monitor(limits={"max_connections": 2}) as full,
            connect(full.url, proxy=None),
            connect(full.url, proxy=None),
            open_page(bypass_csp=True) as page,
        ):
            page.clock.install()
            page.add_init_script(WATCHED)
            job = Follower(page, monitor, full.url, JOB)
            job.was("reconnecting websocket")
            job.later(25)
            self.assertEqual(page.evaluate("held.sockets.length"), 1)
            job.later(12)
            until(lambda: page.evaluate("held.sockets.length") > 1)

    def test_silence(self) -> None:
        """A connection that has died without a word is given up, and no close event waited for."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            relaying(monitor) as relay,
            open_page() as page,
        ):
            page.clock.install()
            job = Follower(page, monitor, relay.url, JOB)
            say(broker, JOB, *BEGIN)
            job.has(*BEGIN)
            relay.lose()
            say(broker, JOB, *TASKS)
            job.later(30)
            self.assertEqual(job.states, ["connecting websocket", "live websocket"])
            job.later(11)
            job.was("reconnecting websocket")
            job.later(5)
            job.has(*BEGIN, *TASKS)
            relay.bury()  # what the page hears of its old connection now means nothing
            page.wait_for_timeout(200)
            self.assertEqual(job.states[-1], "live websocket")

    def test_heartbeat(self) -> None:
        """While heartbeats come, silence is no reason to reconnect."""
        with running_monitor(limits={"heartbeat": 1}) as monitor, open_page() as page:
            page.clock.install()
            heard: list[object] = []

            def hear(frame: object) -> None:
                heard.append(frame)

            page.on("websocket", lambda socket: socket.on("framereceived", hear))
            job = Follower(page, monitor, monitor.url, JOB)
            for _ in range(3):
                heard.clear()
                until(lambda: heard, lambda: page.wait_for_timeout(10))
                job.later(30)
            self.assertEqual(job.states, ["connecting websocket", "live websocket"])

    def test_sleeping_tab(self) -> None:
        """A tab whose connection died while it slept reconnects as soon as one looks at it."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            relaying(monitor) as relay,
            open_page() as page,
        ):
            page.clock.install(time=1_000_000)
            job = Follower(page, monitor, relay.url, JOB)
            say(broker, JOB, *BEGIN)
            job.has(*BEGIN)
            page.evaluate("dispatchEvent(new Event('visibilitychange'))")
            self.assertEqual(relay.connections, 1)
            relay.lose()
            say(broker, JOB, *TASKS)
            page.clock.set_system_time(1_000_600)  # no timer runs meanwhile
            page.evaluate("dispatchEvent(new Event('visibilitychange'))")
            job.has(*BEGIN, *TASKS)

    def test_network_returns(self) -> None:
        """When the network is there again it reconnects at once."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            relaying(monitor) as relay,
            open_page() as page,
        ):
            job = Follower(page, monitor, relay.url, JOB)
            say(broker, JOB, *BEGIN)
            job.has(*BEGIN)
            relay.lose()
            say(broker, JOB, *TASKS)
            page.context.set_offline(True)
            page.context.set_offline(False)
            job.has(*BEGIN, *TASKS)

    def test_page_put_aside(self) -> None:
        """A page that is left lets go of its connection, and takes it up when one returns."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            relaying(monitor) as relay,
            open_page() as page,
        ):
            page.add_init_script(WATCHED)
            job = Follower(page, monitor, relay.url, JOB)
            say(broker, JOB, *BEGIN)
            job.has(*BEGIN)
            page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
            until(lambda: page.evaluate("held.sockets[0].readyState") == 3)
            self.assertEqual(page.evaluate("held.timers.size"), 0)
            say(broker, JOB, *TASKS)
            page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
            job.has(*BEGIN, *TASKS)

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
        """A page whose own functions fail still gets every message once."""
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


class BlockedTests(SynchronousTestCase):
    """``progress.js`` where WebSocket does not get through."""

    skip = chromium_missing()

    def test_events(self) -> None:
        """It goes on by server-sent events, and the next job of the session begins with them."""
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
                page.wait_for_timeout(2500)
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
        """Where the stream says 204, the snapshot tells how the job ended."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, *BEGIN, *END)
            page.route("**/events/**", lambda route: route.fulfill(status=204))
            page.goto(http_url(monitor))
            page.evaluate("sessionStorage[location.origin] = 'events'")
            job = Follower(page, monitor, monitor.url, JOB)
            job.ended("finished")
            job.has(*BEGIN, *END)

    def test_polls(self) -> None:
        """Where nothing comes by a stream either, it polls; through a restart, too."""
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


class OldTests(SynchronousTestCase):
    """Old pages with this monitor, and new pages with the old one."""

    skip = chromium_missing()

    def test_page_of_today(self) -> None:
        """A page that sends a bare id gets the texts as ever, then a clean close with 1000."""
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
        """What comes from an original that has lost its history is not taken for repeated."""
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


class PageTests(SynchronousTestCase):
    """``/watch/CHANNEL``."""

    skip = chromium_missing()

    def test_job(self) -> None:
        """It shows the tasks, the counts and the phases, and breaks no policy of its own."""
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
            page.locator("#tasks li.failed").wait_for()
            self.assertEqual(page.locator("#job").inner_text(), 'č "x"')
            self.assertEqual(
                page.locator("#headline").inner_text(), "The solution is being evaluated"
            )
            self.assertIn("1 completed, 1 failed, 0 skipped", page.locator("#summary").inner_text())
            self.assertEqual(page.locator("#tasks bdi").first.inner_text(), "<b>č\u202e␊")
            self.assertLess(len(page.locator("#tasks bdi").last.inner_text()), 400)
            self.assertEqual(page.locator("#phases [aria-current]").inner_text(), "Evaluated")
            bar = page.get_by_role("progressbar")
            self.assertEqual(bar.get_attribute("aria-valuenow"), "2")
            self.assertIn("2 tasks have ended", bar.get_attribute("aria-valuetext") or "")
            broker.send_all([('č "x"'.encode(), one.encode()) for one in END])
            page.get_by_role("heading", name="Finished").wait_for()
            self.assertEqual(page.locator("#connection").inner_text(), "Ended")
            self.assertEqual(page.title(), "2 tasks, Finished")
            files = ("watch/%C4%8D%20%22x%22", "watch.css", "watch.js", "progress.js")
            self.assertEqual(said, [http_url(monitor, f"/{file}") for file in files])

    def test_behind_a_proxy(self) -> None:
        """It finds its files and its monitor below a prefix, and says how it is connected."""
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
            page.get_by_role("heading", name="The job has failed").wait_for()
            page.get_by_text("Ended", exact=True).wait_for()

    def test_lost_job(self) -> None:
        """A job of which nothing more has come is not called finished."""
        with (
            running_monitor(channels={"idle_timeout": 1}) as monitor,
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            say(broker, JOB, *BEGIN)
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="Nothing has come for a long time").wait_for()
            self.assertEqual(page.locator("#phases .done").count(), 2)

    def test_job_starts_again(self) -> None:
        """An attempt that was interrupted is folded away, and the next one begins from none."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, *BEGIN, *TASKS, "ABORTED", *BEGIN, TASKS[0])
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_text("Attempt 2. 1 task has ended").wait_for()
            past = page.locator("#earlier summary")
            self.assertEqual(
                past.inner_text(), "Attempt 1, interrupted: 1 completed, 1 failed, 1 skipped"
            )
            past.click()
            self.assertEqual(page.locator("#earlier li").count(), 3)
            self.assertEqual(page.locator("#tasks li").count(), 1)

    def test_monitor_restarts(self) -> None:
        """It says that the connection was lost, and goes on below what it has shown."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.clock.install()
            say(broker, JOB, *BEGIN, *TASKS)
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_text("3 tasks have ended").wait_for()
            monitor.stop()
            page.get_by_text("Connection lost, trying again").wait_for()
            say(broker, JOB, "TASK d COMPLETED")
            monitor.start()
            shown = page.get_by_text("1 task has ended").first
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
            page.locator("#tasks li.failed").wait_for()
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), 320)
            page.keyboard.press("Tab")
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
            self.assertTrue(page.get_by_role("radio", name="Failed").is_checked())
            self.assertEqual(page.locator("#tasks li:visible").all_inner_texts(), ["b\nfailed"])

    def test_many_tasks(self) -> None:
        """5,000 tasks are shown within seconds, and what is new after that at once."""
        count = 5000
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            say(broker, JOB, *BEGIN, *(f"TASK t{number} COMPLETED" for number in range(count)))
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_text(f"{count} tasks have ended").wait_for(timeout=5000)
            say(broker, JOB, "TASK last FAILED")
            page.get_by_text(f"{count + 1} tasks have ended").wait_for(timeout=1000)

    def test_spoken_in_moderation(self) -> None:
        """A screen reader is told at most every 5 seconds, and of the end."""
        with running_monitor() as monitor, connected_broker(monitor) as broker, open_page() as page:
            page.clock.install()
            say(broker, JOB, *BEGIN)
            page.goto(http_url(monitor, f"/watch/{JOB}"))
            page.get_by_role("heading", name="The solution is being evaluated").wait_for()
            spoken = page.get_by_role("status")
            page.clock.fast_forward(5000)
            until(lambda: "No task has ended yet" in spoken.inner_text())
            say(broker, JOB, *TASKS)
            page.get_by_text("3 tasks have ended").first.wait_for()
            self.assertNotIn("3 tasks", spoken.inner_text())
            say(broker, JOB, *END)
            page.get_by_role("heading", name="Finished").wait_for()
            page.clock.fast_forward(5000)
            until(lambda: "Finished. 3 tasks have ended" in spoken.inner_text())

    def test_front_page(self) -> None:
        """The page at ``/`` says what this is, by no script, under the same policy."""
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
