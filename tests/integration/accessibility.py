"""Checks of pages as scripts have made them: WCAG 2 by axe-core, and valid HTML."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.browser import chromium_missing
from tests.integration.support import PATIENCE, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

MODULES = ROOT / "tests" / "node_modules"
AXE = MODULES / "axe-core" / "axe.min.js"
VNU = MODULES / "vnu-jar" / "build" / "dist" / "vnu.jar"
WIDTHS = (1280, 320)
SCHEMES = ("light", "dark")
RUN = """async () => {
  const values = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const { violations } = await axe.run({ runOnly: { type: "tag", values } });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}"""


def checks_missing() -> str | None:
    """Why pages cannot be checked here; None if they can."""
    if not AXE.exists() or not VNU.exists():
        return "axe-core or vnu is missing: run `make node`"
    return chromium_missing() or (None if shutil.which("java") else "java is not installed")


class Checks:
    """Checks pages, and notes what is wrong with them.

    Attributes:
        found: the faults, each with the name of the state in which the page is.
    """

    def __init__(self, folder: Path) -> None:
        """Begin without faults.

        Args:
            folder: for the pages, so that they can be validated all at once.
        """
        self.found: list[str] = []
        self._folder = folder
        self._pictures = os.environ.get("SCREENSHOTS")

    def look(self, page: "Page", name: str) -> None:
        """Check the page that is open, in light and dark, as wide as on a desktop and a phone.

        Args:
            page: shows what is to be checked.
            name: of the page and its state.
        """
        page.evaluate(f"{AXE.read_text()}; 0")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                where = f"{name}, {scheme}, {width}"
                self.found += [f"{where}: {fault}" for fault in page.evaluate(RUN)]
                if self._pictures:
                    page.screenshot(path=f"{self._pictures}/{where}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                self.found.append(f"{name}: wider than {width}")
        (self._folder / f"{name.replace(' ', '-')}.html").write_text(page.content())

    def validate(self) -> None:
        """Validate the HTML of all pages that were looked at."""
        pages = sorted(map(str, self._folder.glob("*.html")))
        config = ROOT / "tests" / "pages" / "htmlvalidate-changed.json"
        for command in (
            ["java", "-jar", str(VNU), "--Werror", *pages],
            [str(MODULES / ".bin" / "html-validate"), "--config", str(config), *pages],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=3 * PATIENCE)
            if done.returncode:
                self.found.append(done.stdout + done.stderr)


def open_without_scripts(page: "Page", url: str) -> None:
    """Open a page as it is where JavaScript is off; axe-core needs a page where it is on."""

    def change(route: "Route") -> None:
        text = re.sub(r"<script.*?</script>", "", route.fetch().text())
        route.fulfill(body=text.replace("noscript>", "div>"), content_type="text/html")

    page.route(url, change)
    page.goto(url)
    page.unroute(url)


@contextmanager
def checked() -> Iterator[Checks]:
    """Checks whose faults fail the test at the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(Path(folder))
        yield checks
        checks.validate()
    if checks.found:
        raise AssertionError("\n".join(checks.found))
