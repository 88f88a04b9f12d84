"""Firefox, and WebKitGTK, whose engine is Safari's."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.integration.browser import until

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
WEBKIT_DRIVER = shutil.which("WebKitWebDriver")
SCRIPT = Path(__file__).with_name("firefox.mjs")
PUPPETEER = Path(__file__).parents[1] / "node_modules/puppeteer-core"


class Page(Protocol):
    """A page of a browser."""

    def goto(self, url: str) -> None:
        """Open an address."""

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, which may be a promise."""


class _Firefox:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def goto(self, url: str) -> None:
        self._ask(goto=url)

    def evaluate(self, expression: str) -> Any:
        return self._ask(evaluate=expression)

    def _ask(self, **what: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]


@contextmanager
def firefox() -> Iterator[Page]:
    """A page of a new Firefox, which runs during the block."""
    command = ("node", str(SCRIPT), str(FIREFOX))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield _Firefox(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


class _WebKit:
    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def goto(self, url: str) -> None:
        self._driver.get(url)

    def evaluate(self, expression: str) -> Any:
        return self._driver.execute_script(f"return {expression}")


@contextmanager
def webkit() -> Iterator[Page]:
    """A page of a new WebKitGTK, which runs during the block."""
    from selenium.webdriver import WebKitGTK
    from selenium.webdriver.webkitgtk.options import Options
    from selenium.webdriver.webkitgtk.service import Service

    options = Options()
    options.binary_location = str(next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")))
    options.add_argument("--automation")
    with _display() as display:
        environment = {**os.environ, "DISPLAY": display}
        driver = WebKitGTK(options, Service(str(WEBKIT_DRIVER), env=environment))
        try:
            yield _WebKit(driver)
        finally:
            driver.quit()


@contextmanager
def _display() -> Iterator[str]:
    reader, writer = os.pipe()
    with subprocess.Popen(
        ("Xvfb", "-displayfd", str(writer), "-nolisten", "tcp"),
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(writer)
        try:
            with os.fdopen(reader) as file:
                yield f":{file.readline().strip()}"
        finally:
            server.terminate()


def shows(page: Page, *texts: str) -> None:
    """Wait until a page, or its element for a job, shows these texts."""
    content = (
        "(document.querySelector('recodex-progress')?.shadowRoot ?? document.body).textContent"
    )
    try:
        until(lambda: all(text in page.evaluate(content) for text in texts))
    except AssertionError:
        raise AssertionError(f"{texts} not in {page.evaluate(content)}") from None


def firefox_missing() -> str | None:
    """Why Firefox cannot be used here; None if it can."""
    return None if FIREFOX and PUPPETEER.exists() else "Firefox or puppeteer-core is not installed"


def webkit_missing() -> str | None:
    """Why WebKitGTK cannot be used here; None if it can."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    return None if WEBKIT_DRIVER and shutil.which("Xvfb") else "WebKitGTK or Xvfb is not installed"
