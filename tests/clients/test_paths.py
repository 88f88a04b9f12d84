"""The paths of the public port."""

import time
from urllib.parse import urljoin, urlsplit

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.paths import MAX_PATH, Path, not_found, parse_path


class PathTests(SynchronousTestCase):
    """What a path names."""

    def test_found(self) -> None:
        """Files and channels are found behind any prefix and any slashes."""
        for target, found in (
            ("/", Path("")),
            ("///", Path("")),
            ("http://monitor.example", Path("")),
            ("/progress.js", Path("progress.js")),
            ("/ws//progress.js", Path("progress.js")),
            ("/events/job", Path("events", b"job")),
            ("/ws/events/job", Path("events", b"job")),
            ("//events/job", Path("events", b"job")),
            ("/a/b/ws//channels///a%2Fb", Path("channels", b"a%2Fb")),
            ("/watch/", Path("watch")),
            ("/channels", Path("channels")),
            ("/ws//channels//", Path("channels")),
            ("/board/", Path("board")),
            ("/ws/board//", Path("board")),
            ("/watch/board/", Path("watch", b"board")),
            ("/watch/job/", Path("watch", b"job")),
            ("/ws/events/job//", Path("events", b"job")),
            ("/channels/job/", Path("channels", b"job")),
            ("/channels/job%2F/", Path("channels", b"job%2F")),
            ("/channels/watch/", Path("channels", b"watch")),
            ("/events/a/b/", Path("events", b"a/b")),
            ("/progress.js/", Path("progress.js")),
            ("/events", Path("events")),
            ("/ws//events", Path("events")),
            ("/ws/events/", Path("events")),
            ("/watch/events", Path("watch", b"events")),
            ("/channels/events", Path("channels", b"events")),
            ("/events/watch.js", Path("events", b"watch.js")),
            ("/events/a/b", Path("events", b"a/b")),
            ("https://a/ws/watch/job", Path("watch", b"job")),
        ):
            self.assertEqual(parse_path(target.encode()), found, target)

    def test_not_found(self) -> None:
        """Nothing else names anything."""
        for target in (
            "*",
            "/ws",
            "/ws/",
            "/myevents",
            "/myevents/job",
            "/ws/events/a/b",
            "/x.js",
        ):
            self.assertIsNone(parse_path(target.encode()), target)

    def test_links_of_the_page(self) -> None:
        """The page finds its own files, however many slashes its address has."""
        for page in (
            "/watch/job",
            "/ws/watch/job",
            "/ws//watch/job",
            "/ws//watch//job",
            "/watch/job/",
        ):
            for name in ("watch.js", "watch.css", "common.css", "favicon.ico"):
                link = urlsplit(urljoin(f"http://a{page}", f"../{name}"))
                self.assertEqual(parse_path(link.path.encode()), Path(name), page)

    def test_refusal(self) -> None:
        """The log shows an unknown path, shortened and printable; the answer does not show it."""
        refused = not_found(b"/ws/evnts/\x1b\xff" + b"x" * 9999)
        self.assertEqual(refused.status, 404)
        self.assertTrue(str(refused).startswith("not found: '/ws/evnts/\\x1b\\xffxx"))
        self.assertLess(len(str(refused)), MAX_PATH + 50)
        self.assertNotIn("evnts", refused.text)

    def test_hostile(self) -> None:
        """A long path of any kind takes a time that is linear in its length."""
        began = time.process_time()
        for piece in (b"/", b"/events", b"/events/", b"//watch//", b"/watch.js", b"a"):
            parse_path(b"/" + piece * (16384 // len(piece)) + b"/x/y")
        self.assertLess(time.process_time() - began, 1)
