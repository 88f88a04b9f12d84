"""``progress.js`` with connections that are cut, silent or blocked, in a real Chromium."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import connect

from tests.integration.browser import (
    BEGIN,
    COUNTS,
    END,
    JOB,
    TASKS,
    WATCHED,
    Follower,
    chromium_missing,
    open_page,
    say,
    until,
)
from tests.integration.relays import relaying
from tests.integration.support import Monitor, connected_broker, running_monitor


class ReconnectingTests(SynchronousTestCase):
    """Connections that are lost, and monitors that are away."""

    skip = chromium_missing()

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
        """A page resumes when the monitor is back with its history."""
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
        """If the monitor has lost its history, the page is told, and counts start again."""
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
        """If nobody answers at all, it retries WebSocket and nothing else."""
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
        """While the monitor is full, it waits as long as Retry-After says."""
        with (
            running_monitor() as monitor,
            # With a limit of one, the page itself could not be served.
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
        """A silently dead connection is given up without waiting for a close event."""
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
        """A tab whose connection died in its sleep reconnects as soon as it is shown."""
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
        """A page in the back-forward cache closes its connection, and resumes when it returns."""
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
