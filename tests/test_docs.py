"""What the documents say of the code, as far as it can be looked up there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor import following
from tests.support import settings_page
from tests.support.imports import ROOT, files
from tests.test_architecture import MAY_KNOW

TOP = ROOT.parent
DOCUMENTS = (*TOP.glob("*.md"), *TOP.glob("docs/*.md"))
LOG = TOP / "docs/log.md"
SETTINGS = TOP / "docs/settings.md"
ARCHITECTURE = TOP / "docs/architecture.md"
NEWS = TOP / "NEWS.md"
"""Names earlier modules, which are gone."""

TROUBLESHOOTING = TOP / "docs/troubleshooting.md"
LONGEST = 300
"""Lines of a page of docs/, at most."""

_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_FILE = re.compile(r"`([\w/]+\.py)`")
_MODULE = re.compile(r"\brecodex_monitor((?:\.[a-z_]+)+)")
_PACKAGE = re.compile(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", re.M)
_ROW = re.compile(r"^\| `([^`]+)` \|(?: `([^`]*)` \|)?", re.M)


def anchors(document: Path) -> Iterator[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", document.read_text(), re.M):
        yield re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def section(document: Path, heading: str) -> str:
    """What is between a heading and the next of the same or a higher level."""
    level = len(heading) - len(heading.lstrip("#"))
    text = document.read_text().split(f"\n{heading}\n")[1]
    return re.split(rf"\n#{{1,{level}}} ", text)[0]


def may_import() -> dict[str, set[str]]:
    """What each package may import, by the table in the page on the architecture."""
    found: dict[str, set[str]] = {}
    for name, text in _PACKAGE.findall(section(ARCHITECTURE, "## Packages")):
        named = set(re.findall(r"`(\w+)", text))
        excepted = named if " but " in text else set()
        found[name] = set(found) - excepted if "all above" in text else named
    return found


def logged_events() -> dict[str, set[str]]:
    """Each event of the log that has a name, with the names of its values."""
    found: dict[str, set[str]] = {}
    for _, file in files():
        calls = (one for one in ast.walk(ast.parse(file.read_text())) if isinstance(one, ast.Call))
        for call in calls:
            values = {one.arg: one.value for one in call.keywords if one.arg is not None}
            name = values.pop("event", None)
            if isinstance(name, ast.Constant):
                found.setdefault(str(name.value), set()).update(values)
            if isinstance(call.func, ast.Name) and call.func.id == "Retry":
                retried = call.args[2]
                assert isinstance(retried, ast.Constant)
                found[f"{retried.value!s}_failed"] = {"what", "why"}
                found[f"{retried.value!s}_recovered"] = {"what"}
    return found


def first_arguments(*names: str) -> set[str]:
    """The texts that calls of functions with these names have as their first argument."""
    found = set()
    for _, file in files():
        for one in ast.walk(ast.parse(file.read_text())):
            is_call = isinstance(one, ast.Call) and isinstance(one.func, ast.Name)
            if is_call and one.func.id in names and one.args:  # type: ignore[attr-defined]
                (first, *_) = one.args  # type: ignore[attr-defined]
                if isinstance(first, ast.Constant):
                    found.add(str(first.value))
    return found


class DocumentTests(SynchronousTestCase):
    """The documents agree with the code."""

    def test_sizes(self) -> None:
        """No page is longer than can be read at once."""
        for document in (TOP / "docs").glob("*.md"):
            lines = len(document.read_text().splitlines())
            self.assertLessEqual(lines, LONGEST, document.name)

    def test_listed(self) -> None:
        """README leads to every page."""
        readme = (TOP / "README.md").read_text()
        for document in (TOP / "docs").glob("*.md"):
            self.assertIn(f"](docs/{document.name})", readme)

    def test_links(self) -> None:
        """Every link within the project leads to a file, and to a heading in it."""
        for document in DOCUMENTS:
            for path, anchor in _LINK.findall(document.read_text()):
                target = document.parent / path if path else document
                self.assertTrue(target.exists(), f"{document.name}: {path}")
                if anchor:
                    self.assertIn(anchor, set(anchors(target)), f"{document.name}: {path}")

    def test_container(self) -> None:
        """The quick start has the commands of the page on containers, which are tested there."""
        told = [(TOP / "docs" / name).read_text() for name in ("quickstart.md", "containers.md")]
        ours, theirs = (re.findall(r"```sh\n(podman build.*?)```", one, re.S) for one in told)
        self.assertEqual(ours, theirs[:1])

    def test_doctor(self) -> None:
        """The page on troubleshooting lists the doctor's checks, and no others."""
        made = re.compile(r"""\b(?:ok|warn|fail|_hinted|_disk)\)?\(\s*"([a-z0-9-]+)\"""")
        texts = [file.read_text() for package, file in files() if package == "doctor"]
        checks = {name for text in texts for name in made.findall(text)}
        checks |= {one.kind for one in following.KINDS}
        table = section(TOP / "docs/troubleshooting.md", "## What the doctor checks")
        listed = re.findall(r"^\| (`[^|]*) \|", table, re.M)
        self.assertEqual({name for row in listed for name in re.findall("`(.*?)`", row)}, checks)

    def test_modules(self) -> None:
        """Every module and file of ours that a document names exists."""
        for document in set(DOCUMENTS) - {NEWS}:
            text = document.read_text()
            named = [ROOT / name[1:].replace(".", "/") for name in _MODULE.findall(text)]
            for path in named:
                exists = path.is_dir() or path.with_suffix(".py").exists()
                self.assertTrue(exists, f"{document.name}: {path}")
            for name in _FILE.findall(text):
                exists = (ROOT / name).exists() or (TOP / name).exists()
                self.assertTrue(exists, f"{document.name}: {name}")

    def test_packages(self) -> None:
        """README lists all folders, the page on the architecture who may import whom."""
        readme = set(re.findall(r"^\| `(\w+)/` \|", (TOP / "README.md").read_text(), re.M))
        folders = {file.parent.name for _, file in files() if file.name == "__init__.py"}
        self.assertEqual(readme, folders - {ROOT.name})
        self.assertEqual(may_import(), {name: set(MAY_KNOW[name].split()) for name in may_import()})
        self.assertEqual(set(may_import()), set(MAY_KNOW) - {"__init__", "__main__"})

    def test_rooms(self) -> None:
        """The page on the log lists each folder that logs, which begins the field `room`."""
        rows = [name for name, _ in _ROW.findall(LOG.read_text())]
        rooms = {name for name in rows if (TOP / name.replace(".", "/")).is_dir()}
        logging = [(name, file) for name, file in files() if "_log = Logger()" in file.read_text()]
        folders = {f"{ROOT.name}.{name}" for name, file in logging if file.parent != ROOT}
        self.assertEqual(rooms, folders)

    def test_events(self) -> None:
        """The page on the log lists each event that has a name, and its fields."""
        rows = re.findall(r"^\| `(\w+)` \| ([^|]*)\|", section(LOG, "## Events"), re.M)
        listed = {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in rows}
        self.assertEqual(listed, logged_events())

    def test_causes(self) -> None:
        """The page for troubleshooting lists every cause that the status names, and no others."""
        rows = {name for name, _ in _ROW.findall(section(TROUBLESHOOTING, "## Causes"))}
        self.assertEqual(rows, first_arguments("Hint"))

    def test_checks(self) -> None:
        """It lists every check of the doctor."""
        text = section(TROUBLESHOOTING, "## What the doctor checks")
        rows = set(re.findall(r"`([a-z0-9-]+)`", "".join(re.findall(r"^\|[^|]*\|", text, re.M))))
        self.assertLessEqual(first_arguments("ok", "warn", "fail"), rows)

    def test_alerts(self) -> None:
        """The page on monitoring lists every alert."""
        alerts = re.findall(r"alert: (\w+)", (TOP / "install/alerts.yml").read_text())
        text = (TOP / "docs/monitoring.md").read_text()
        self.assertEqual(set(re.findall(r"`(Recodex\w+)`", text)), set(alerts))

    def test_settings(self) -> None:
        """The page on settings lists all of them and no others, as the schema has them."""
        text = SETTINGS.read_text()
        rows = {name for name, _ in _ROW.findall(text)}
        self.assertEqual(rows, {key for key, _, _ in settings_page.found()})
        why = "run `python -m tests.support.settings_page`"
        self.assertEqual(text, settings_page.written(text), why)
