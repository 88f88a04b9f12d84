"""The page of a job as the monitor renders it, and the texts of all languages."""

import re
from html import unescape

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.announcements import Announcements
from recodex_monitor.clients.paths import FOLDER
from recodex_monitor.clients.watch_page import Asked, WatchPage, results_link
from recodex_monitor.settings.schema import Page
from tests.clients.support import ClientsTestCase
from tests.support.messages import message
from tests.support.settings import live

FORMS = {"en": {"one", "other"}, "cs": {"one", "few", "other"}}
"""The plural forms of whole numbers, by Unicode's CLDR."""

PAGE = WatchPage(FOLDER)
LINK = "https://recodex.example.org/app"


class TextTests(SynchronousTestCase):
    """The files ``texts-LANGUAGE.js``."""

    def test_keys(self) -> None:
        """No key is missing in any language."""
        self.assertEqual(set(PAGE.texts), set(FORMS))
        for language, texts in PAGE.texts.items():
            self.assertEqual(set(texts), set(PAGE.texts["en"]), language)

    def test_forms(self) -> None:
        """A text of several forms has each one that its language needs, and no other."""
        for language, texts in PAGE.texts.items():
            for key, text in texts.items():
                if isinstance(text, dict):
                    self.assertEqual(set(text) - {"by"}, FORMS[language], f"{language} {key}")

    def test_values(self) -> None:
        """The most general form of a text has the same values in it in all languages."""
        for texts in PAGE.texts.values():
            for key, text in texts.items():
                found, expected = (
                    set(
                        re.findall(
                            r"\{(\w+)\}", one["other"] if isinstance(one, dict) else str(one)
                        )
                    )
                    for one in (text, PAGE.texts["en"][key])
                )
                self.assertEqual(found, expected, key)

    def test_used(self) -> None:
        """Every key that the client names is a key."""
        for path in FOLDER.glob("*.js"):
            for key in re.findall(r'\bsay\("([\w-]+)"[,)]', path.read_text()):
                self.assertIn(key, PAGE.texts["en"], path.name)


class LanguageTests(SynchronousTestCase):
    """Which language is used."""

    def test_language(self) -> None:
        """The one that is asked for, else the one that the browser likes best, else English."""
        for wanted, accepted, expected in (
            ("cs", "en", "cs"),
            ("", "cs-CZ,cs;q=0.9,en;q=0.8", "cs"),
            ("", "de, en;q=0.5, cs;q=0.9", "cs"),
            ("xx", "CS", "cs"),
            ("CS-cz", "en", "cs"),
            ("", "", "en"),
            ("../cs", "*, ;q=,cs;q=9", "en"),
        ):
            self.assertEqual(PAGE.language(wanted, accepted), expected, accepted)


class LinkTests(SynchronousTestCase):
    """Where the results are."""

    def test_own_link(self) -> None:
        """A link of the same origin is the job's own."""
        for back in ("https://recodex.example.org/a/1?b#c", "https://recodex.example.org"):
            self.assertEqual(results_link(back, LINK), back)

    def test_other_links(self) -> None:
        """Any other one is not followed, whatever it looks like."""
        for back in (
            "",
            "https://evil.example/",
            "https://recodex.example.org.evil.example/",
            "https://recodex.example.org@evil.example/",
            "https://recodex.example.org:8443/",
            "http://recodex.example.org/",
            "javascript:alert(1)",
            "//recodex.example.org/",
            "https://recodex.example.org/\\x",
            "https://recodex.example.org/\n",
            "https://recodex.example.org/ x",
        ):
            self.assertEqual(results_link(back, LINK), LINK, back)

    def test_no_link(self) -> None:
        """Without a setting there is no link."""
        self.assertEqual(results_link("https://recodex.example.org/", None), "")


class PresentTests(ClientsTestCase):
    """The present state, for browsers without JavaScript."""

    def setUp(self) -> None:
        """A hub whose broker is connected."""
        super().setUp()
        self.hub = Hub(self.clock, live(retention=0))
        self.announcements = Announcements(self.hub, self.clock.seconds, lambda: self.has_broker)
        self.has_broker = True

    def text(self, *messages: str, asked: Asked = Asked()) -> str:  # noqa: B008
        """What the page says after these messages of the job."""
        self.hub.publish([message("job", *one.split()) for one in messages])
        channel = self.hub.retention.find("job")
        present = self.announcements.present(channel)
        page = Page("Moodle", LINK)
        return unescape(PAGE.render("job", channel, present, asked, page).content.decode())

    def test_states(self) -> None:
        """It tells a job's state in its headline, as far as its messages do."""
        task = "TASK a COMPLETED"
        for expected, *messages in (
            ("Waiting for the evaluation to begin",),
            ("The solution is being prepared", "DOWNLOADED"),
            ("The solution is being evaluated", "STARTED", task),
            ("Interrupted, the evaluation starts again", "ABORTED"),
            ("The evaluation failed after 2 attempts", "DOWNLOADED", "STARTED", "FAILED"),
            ("The evaluation could not be set up", "FINISHED"),
        ):
            if expected.startswith("The evaluation could"):
                self.hub = Hub(self.clock, live())
                self.announcements = Announcements(self.hub, self.clock.seconds, lambda: True)
                self.assertIn("<h2>The evaluation failed</h2>", self.text("DOWNLOADED", "FAILED"))
            self.assertIn(f"<h2>{expected}</h2>", self.text(*messages))

    def test_counts(self) -> None:
        """It counts the tasks of the last attempt, of as many as the address says."""
        first = ("STARTED", "TASK a COMPLETED", "TASK a FAILED", "ABORTED")
        last = ("DOWNLOADED", "STARTED", 'TASK "STARTED" SKIPPED')
        self.assertIn(
            "1 of 5 tasks are done. 0 completed, 0 failed, 1 skipped.",
            self.text(*first, *last, asked=Asked(tasks="5")),
        )
        self.assertIn("0 tasks completed, 0 failed, 1 skipped", self.text(asked=Asked(tasks="<b>")))

    def test_no_contact(self) -> None:
        """It tells the age of the last news, or that nobody knows more."""
        self.text("STARTED")
        self.clock.advance(125)
        self.assertIn("Last news 2 min ago", self.text())
        self.has_broker = False
        self.assertIn("No contact with the evaluation", self.text())

    def test_forgotten(self) -> None:
        """An evaluation that is no longer kept leads to its results."""
        self.text("STARTED", "FINISHED")
        self.clock.advance(1)
        for _ in self.hub.retention.expire():
            pass
        text = self.text(asked=Asked("cs"))
        self.assertIn("Toto vyhodnocení skončilo", text)
        self.assertNotIn("dokončeno", text)
        self.assertIn(f'<a href="{LINK}">Otevřít výsledky: Moodle</a>', text)

    def test_escaped(self) -> None:
        """Whatever is in an id or in the settings, it stays text."""
        present = {"broker": True, "age": None}
        made = PAGE.render("\"<b>'$title\r", None, present, Asked(), Page("<i>", LINK))
        text = made.content.decode()
        self.assertNotRegex(text, "<b>|<i>|\r")
        self.assertIn("&quot;&lt;b&gt;&#x27;$title&#13;", text)
