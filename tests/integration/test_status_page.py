"""The status pages of a real monitor, in a real Chromium."""

import socket
from contextlib import ExitStack

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import chromium_missing, open_page
from tests.integration.status import TOKEN, monitored
from tests.integration.support import Broker, connected_broker
from tests.support.frames import HANDSHAKE, TEXT, frame


class PageTests(SynchronousTestCase):
    """The pages, in a real Chromium."""

    skip = chromium_missing()

    def test_busy(self) -> None:
        """200 running jobs with 2000 followers fit on any screen, light or dark, and are live."""
        jobs = [f"student_{number:036}" for number in range(200)]
        with ExitStack() as stack:
            monitor, port = stack.enter_context(monitored())
            broker = stack.enter_context(connected_broker(monitor))
            broker.send_all([(job.encode(), b"STARTED") for job in jobs])
            for number in range(2000):
                client = stack.enter_context(socket.create_connection(monitor.address))
                client.sendall(HANDSHAKE)
                client.recv(4096)
                client.sendall(frame(TEXT, jobs[number % 200].encode()))
            for width in (1280, 390):
                for scheme in ("light", "dark"):
                    self.look(broker, port, jobs[-1], viewport=width, color_scheme=scheme)

    def look(self, broker: Broker, port: int, job: str, viewport: int, color_scheme: str) -> None:
        """Check the page and the page of the newest job, while messages come."""
        size = {"width": viewport, "height": 900}
        with open_page(viewport=size, color_scheme=color_scheme) as page:
            wrong: list[str] = []
            page.on("console", lambda one: wrong.append(one.text))
            page.on("pageerror", lambda one: wrong.append(str(one)))
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_text("2000", exact=True).first.wait_for()
            self.assertEqual(page.locator("#jobs tbody tr").count(), 50)
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), viewport)
            told = "document.querySelector('#jobs tbody tr').textContent"
            before = page.evaluate(told)
            broker.send(job.encode(), b"TASK", b"compile", b"COMPLETED")
            page.wait_for_function(
                f"before => {told} != before && {told}.includes('✓')", arg=before
            )
            page.fill("#job", job)
            page.get_by_role("button", name="Look").click()
            page.get_by_text("running, last TASK compile COMPLETED").wait_for()
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), viewport)
            self.assertEqual(page.locator("#readers tbody tr").count(), 10)
            self.assertEqual(wrong, [])

    def test_list(self) -> None:
        """The list is filtered, searched, sorted and turned over, and its address keeps that."""
        with (
            monitored(channels={"failed_grace": 60}) as (monitor, port),
            connected_broker(monitor) as broker,
            open_page() as page,
        ):
            jobs = [f"student_{number:04}" for number in range(120)]
            broker.send_all([(job.encode(), b"STARTED") for job in jobs])
            broker.send(jobs[7].encode(), b"FAILED")
            broker.send(jobs[8].encode(), b"FINISHED")
            first = page.locator("#jobs tbody tr:first-child a")
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_text("1 to 50 of 120").wait_for()
            self.assertEqual(first.text_content(), jobs[7])
            page.get_by_role("button", name="Next").click()
            page.get_by_text("51 to 100 of 120").wait_for()
            page.get_by_role("button", name="running 118").click()
            page.get_by_text("1 to 50 of 118").wait_for()
            page.get_by_label("Sort").select_option("oldest first")
            page.locator("#jobs tbody tr:first-child", has_text=jobs[0]).wait_for()
            page.get_by_label("Find").fill("_011")
            page.get_by_label("Find").press("Enter")
            page.locator("#jobs tbody tr:first-child", has_text="_0110").wait_for()
            # A part of several ids is no job to be opened.
            page.wait_for_function("document.activeElement.textContent.endsWith('_0110')")
            self.assertEqual(page.locator("#jobs tbody tr").count(), 10)
            page.reload()
            page.locator("#jobs tbody tr:first-child", has_text="_0110").wait_for()
            self.assertEqual(page.get_by_label("Find").input_value(), "_011")
            page.goto(f"http://127.0.0.1:{port}/?state=nonsense&page=-1")
            page.get_by_text("1 to 50 of 120").wait_for()
            self.assertEqual(page.url, f"http://127.0.0.1:{port}/")
            page.get_by_label("Find").fill("_0111")
            page.get_by_role("button", name="running 1", exact=True).wait_for()
            page.get_by_role("button", name="Look").click()
            page.get_by_text("What to tell the student").wait_for()
            self.assertEqual(page.locator("#id").text_content(), jobs[111])

    def test_sign_in(self) -> None:
        """A browser signs in once, by a cookie that no script can read."""
        with monitored(status_token=TOKEN) as (_, port), open_page() as page:
            page.goto(f"http://127.0.0.1:{port}/")
            self.assertEqual(page.get_by_role("alert").count(), 0)
            page.get_by_label("Token").fill("wrong")
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("alert").get_by_text("This token is wrong.").wait_for()
            page.get_by_label("Token").fill(TOKEN)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_text("has never connected", exact=True).wait_for()
            self.assertEqual(page.evaluate("document.cookie"), "")

    def test_hostile_names(self) -> None:
        """The names of jobs and tasks are shown as text, whatever they are."""
        name = "<img src=x onerror=document.title='pwned'>/?#%"
        with monitored() as (monitor, port), connected_broker(monitor) as broker:
            broker.send(name.encode(), b"TASK", name.encode(), name.encode())
            with open_page() as page:
                page.goto(f"http://127.0.0.1:{port}/")
                page.locator("#jobs a").click()
                page.locator("#timeline td.message").wait_for()
                self.assertEqual(page.locator("#id").text_content(), name)
                self.assertIn(name, page.locator("td.message").text_content() or "")
                self.assertEqual(page.locator("img").count(), 0)
