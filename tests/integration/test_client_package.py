"""The client's package and its examples, as web developers use them."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
from tests.integration.support import ROOT, Monitor, connected_broker, running_monitor

CLIENT = ROOT / "client"
EXAMPLES = CLIENT / "examples"
TESTS = ROOT / "tests"
TOOLS = TESTS / "node_modules/.bin"
LINES = ["DOWNLOADED", "STARTED", "TASK a", "TASK b", "TASK c", "ENDED", "UPLOADED", "FINISHED"]
"""What the examples print of the job."""


def packages_missing() -> str | None:
    """Why the packages of Node.js cannot be used here; None if they can."""
    return None if (TOOLS / "tsc").exists() else "run `make node`"


def run(*command: object, folder: Path = TESTS) -> str:
    """The output of a command that has to succeed."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=100
    )
    if done.returncode:
        raise AssertionError(f"{command} failed: {done.stdout}{done.stderr}")
    return done.stdout


def lines(output: str) -> list[str]:
    """The lines that an example has printed."""
    return [line.strip() for line in output.splitlines()]


@contextmanager
def whole_job() -> Iterator[Monitor]:
    """A monitor that has all messages of a job."""
    with running_monitor() as monitor, connected_broker(monitor) as broker:
        say(broker, JOB, *BEGIN, *TASKS, *END)
        yield monitor


class PackageTests(SynchronousTestCase):
    """The package."""

    skip = packages_missing()

    def test_types(self) -> None:
        """The types allow what the module takes, and nothing else."""
        options = ("--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
        run(TOOLS / "tsc", "--noEmit", *options, "client/types.ts")

    def test_packed(self) -> None:
        """What ``npm pack`` makes can be installed, and follows a job in Node.js."""
        with tempfile.TemporaryDirectory() as name, whole_job() as monitor:
            folder = Path(name)
            packed = run("npm", "pack", "--pack-destination", folder, folder=CLIENT).split()[-1]
            (folder / "package.json").write_text('{"private": true}')
            run("npm", "install", "--offline", "--no-audit", folder / packed, folder=folder)
            shutil.copy(EXAMPLES / "follow.mjs", folder)
            found = run("node", "follow.mjs", monitor.url, JOB, folder=folder)
        self.assertEqual(lines(found), [*LINES, "outcome: finished"])


class ExampleTests(SynchronousTestCase):
    """The examples, each with a real monitor."""

    skip = packages_missing() or chromium_missing()

    def test_curl(self) -> None:
        """The shell script prints the messages, and what the monitor says besides."""
        with whole_job() as monitor:
            found = run(EXAMPLES / "curl.sh", http_url(monitor, ""), JOB).splitlines()
        self.assertEqual(len(found), len(LINES) + 2)
        self.assertIn('"TASK"', found[3])

    def test_python(self) -> None:
        """The Python script prints the messages."""
        with whole_job() as monitor:
            found = run(sys.executable, EXAMPLES / "follow.py", monitor.url, JOB, folder=ROOT)
        self.assertEqual(lines(found), LINES)

    def test_page(self) -> None:
        """The plain page shows the messages."""
        with whole_job() as monitor, open_page() as page:
            page.goto(f"file://{EXAMPLES / 'page.html'}?url={monitor.url}&channel={JOB}")
            page.get_by_text("ended", exact=True).wait_for()
            self.assertEqual([one.strip() for one in page.locator("li").all_inner_texts()], LINES)

    def test_react(self) -> None:
        """The hook gives a component the state and the counts, and stops with it."""
        application = """
          import { createElement } from "react";
          import { createRoot } from "react-dom/client";
          import { useJob } from "../client/examples/useJob.js";
          function Job({ url, channel }) {
            const { state, counts, outcome } = useJob(url, channel);
            return createElement("p", null, `${state} ${counts?.completed} ${outcome}`);
          }
          globalThis.show = (url, channel) => {
            const root = createRoot(document.body);
            root.render(createElement(Job, { url, channel }));
            return root;
          };
        """
        with tempfile.TemporaryDirectory(dir=TESTS) as name, whole_job() as monitor:
            source = Path(name) / "application.js"
            source.write_text(application.replace("../client", "../../client"))
            bundle = run(
                *(TOOLS / "esbuild", source, "--bundle", "--format=iife"),
                *("--alias:react=./node_modules/react", "--log-level=error"),
                *(f"--alias:recodex-monitor-client={CLIENT / 'progress.js'}",),
            )
            with open_page(bypass_csp=True) as page:
                page.goto(http_url(monitor))
                page.add_script_tag(content=bundle)
                page.evaluate(
                    "([url, job]) => { window.root = show(url, job); }", [monitor.url, JOB]
                )
                until(lambda: "ended 1 finished" in page.locator("body").inner_text())
                page.evaluate("root.unmount()")
