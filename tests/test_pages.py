"""What all pages have in common."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import clients, status

FOLDERS = (Path(clients.__file__).with_name("static"), Path(status.__file__).with_name("pages"))
PAGES = {page.name: page.read_text() for folder in FOLDERS for page in folder.glob("*.html")}


class PageTests(SynchronousTestCase):
    """The pages as they are before a script changes them."""

    def test_all(self) -> None:
        """The pages of both ports are found."""
        self.assertLessEqual(
            {"index.html", "watch.html", "status.html", "status-job.html"}, set(PAGES)
        )

    def test_without_scripts(self) -> None:
        """A page that needs scripts says so where they do not run, and not that it connects."""
        for name, text in PAGES.items():
            self.assertEqual("<script" in text, "<noscript>" in text, name)
            self.assertNotRegex(text.lower(), "connecting|asking", name)

    def test_no_list_without_entries(self) -> None:
        """No page begins with a list of terms, which scripts may have no entries for."""
        for name, text in PAGES.items():
            self.assertNotIn("<dl", text, name)

    def test_links(self) -> None:
        """Every page has the common style and names the icon."""
        for name, text in PAGES.items():
            self.assertRegex(text, r'<link rel="icon" href="(/|\.\./)?favicon\.ico">', name)
            self.assertRegex(text, r'<link rel="stylesheet" href="(/|\.\./)?common\.css">', name)
