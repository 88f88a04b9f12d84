"""The site of the public port: files, and answers."""

from recodex_monitor.clients.paths import FILES, FOLDER, OWN_FILES
from recodex_monitor.clients.site import Site
from recodex_monitor.clients.streams import EventStream
from recodex_monitor.network.static import read_common, read_file
from tests.clients.site import SiteTestCase
from tests.support.clients import Browser
from tests.support.http import answer, request

PAGES = ("/", "/watch/job", "/board", *(f"/{name}" for name in FILES))
STREAMS = ("/events/job", "/channels/job", "/channels/job?wait=9")


class PageTests(SiteTestCase):
    """Pages, scripts and style sheets."""

    def test_content(self) -> None:
        """Each file is served unchanged, with its type."""
        own = {"": read_file(FOLDER / "index.html")}
        own |= {name: read_file(FOLDER / name) for name in OWN_FILES}
        for name, file in (own | read_common()).items():
            found = self.get(f"/{name}")
            self.assertEqual((found.status, found.is_whole), (200, True))
            self.assertEqual(found.body, file.content)
            self.assertEqual(found.headers["content-type"].encode(), file.content_type)

    def test_all_is_served(self) -> None:
        """Every file of the package is served, but for the page that is made for each job."""
        names = {file.name for file in FOLDER.iterdir()} | set(read_common())
        self.assertEqual(names, {*FILES, "index.html", "watch.html", "board.html"})

    def test_icon(self) -> None:
        """A browser finds its icon at the root and behind any prefix, and the pages allow it."""
        for path in ("/favicon.ico", "/ws/favicon.ico", "/ws//watch/favicon.ico"):
            self.assertEqual(self.get(path).headers["content-type"], "image/vnd.microsoft.icon")
        for path in ("/", "/watch/job", "/none"):
            policy = self.get(path, "Accept: text/html").headers["content-security-policy"]
            self.assertIn("img-src 'self' data:", policy.split("; "))

    def test_policy(self) -> None:
        """The headers allow no foreign scripts, no frames and no guessing of types."""
        for path in PAGES:
            headers = self.get(path).headers
            policy = headers["content-security-policy"].split("; ")
            for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
                self.assertIn(part, policy)
            self.assertEqual(headers["x-content-type-options"], "nosniff")

    def test_cached(self) -> None:
        """A client that has the file already gets 304, any other the file."""
        for path in PAGES:
            first = self.get(path)
            self.assertEqual(first.headers["cache-control"], "no-cache")
            tag = first.headers["etag"]
            for value in (tag, f'"x", {tag}', f"W/{tag}", f'"x"\r\nIf-None-Match: {tag}', "*"):
                for method in ("GET", "HEAD"):
                    again = self.get(path, f"If-None-Match: {value}", method=method)
                    self.assertEqual((again.status, again.body), (304, b""), value)
                    for name in ("etag", "vary", "cache-control"):
                        self.assertEqual(again.headers[name], first.headers[name])
            self.assertEqual(self.get(path, 'If-None-Match: "x"').body, first.body)

    def test_prefixes(self) -> None:
        """Files and channels are found behind any prefix, with any number of slashes."""
        for path in (*PAGES[1:], "/channels/job"):
            for prefix in ("/ws", "/a/b/ws", "/", "//", "/ws//", "/ws/watch", "http://a/ws"):
                if (prefix, path) == ("/ws/watch", "/board"):
                    continue  # the page of a job with this id
                found = self.get(prefix + path)
                self.assertEqual((found.status, found.body), (200, self.get(path).body), prefix)
        for path in ("/ws//channels/job", "/ws/channels//job", "//channels///job"):
            self.assertEqual(self.get(path).body, self.get("/channels/job").body, path)
        self.assertEqual(self.get("//").body, self.get("/").body)
        self.assertIn(b"STARTED", self.get("/ws//events//job").body)

    def test_absolute_form(self) -> None:
        """A target with the host in it, as proxies get it, is served too."""
        for path, target in (("/", "http://a"), ("/watch.js", "https://a:1/watch.js")):
            self.assertEqual(self.get(target).body, self.get(path).body)


class AnswerTests(SiteTestCase):
    """What holds for all answers."""

    def test_head(self) -> None:
        """HEAD gets the headers of GET without a body, and follows no channel."""
        for path in (*PAGES, *STREAMS, "/none", "/channels/job?wait=x"):
            browser = Browser(self.factory)
            browser.send(request(path, method="HEAD"))
            head = browser.take()
            self.assertTrue(head.endswith(b"\r\n\r\n"))
            self.assertEqual(browser.ended, "closed")
            expected = self.get(path)
            expected.headers.pop("transfer-encoding", None)
            found = answer(head)
            for name in ("date", "content-length"):
                found.headers.pop(name, None)
                expected.headers.pop(name, None)
            self.assertEqual((found.status, found.headers), (expected.status, expected.headers))
        Browser(self.factory).get("/events/unheard", method="HEAD")
        self.assertEqual(set(self.hub.channels), {"job"})

    def test_head_of_an_end(self) -> None:
        """HEAD gets 204, as GET does, for an id that nothing will follow."""
        self.publish("FINISHED")
        epoch = self.hub.channels["job"].epoch
        for number, status in ((1, 200), (2, 204), (3, 200)):
            path, header = "/events/job", f"Last-Event-ID: {epoch}:{number}"
            found, expected = self.get(path, header, method="HEAD"), self.get(path, header)
            expected.headers.pop("transfer-encoding", None)
            self.assertEqual((found.status, found.headers), (status, expected.headers))
            self.assertEqual(
                self.get(f"{path}?after={epoch}:{number}", method="HEAD").status, status
            )

    def test_date(self) -> None:
        """Every answer says when it was made."""
        self.publish("FINISHED")
        epoch = self.hub.channels["job"].epoch
        tag = self.get("/").headers["etag"]
        for status, path, headers, method in (
            (200, "/", (), "GET"),
            (200, "/channels/job", (), "GET"),
            (200, "/events/job", (), "HEAD"),
            (204, "*", (), "OPTIONS"),
            (204, "/events/job", (f"Last-Event-ID: {epoch}:2",), "GET"),
            (304, "/", (f"If-None-Match: {tag}",), "GET"),
            (400, "/watch/", (), "GET"),
            (400, "/", ("no header",), "GET"),
            (400, "/", ("X: y", " folded"), "GET"),
            (404, "/none", (), "HEAD"),
            (405, "/", (), "PUT"),
            (413, "/", ("Content-Length: 1",), "GET"),
            (414, "/watch/" + "x" * 600, (), "GET"),
            (431, "/", ("X: " + "x" * 20_000,), "GET"),
        ):
            found = self.get(path, *headers, method=method)
            self.assertEqual(found.status, status)
            self.assertRegex(found.headers["date"], r"^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$")

    def test_no_version(self) -> None:
        """No answer names the software of the server."""
        for path in (*PAGES, *STREAMS, "/none"):
            headers = self.get(path).headers
            self.assertNotIn("server", headers)
            self.assertNotIn("x-powered-by", headers)

    def test_bug(self) -> None:
        """An internal error is answered with 500 and logged; its traceback is not sent."""

        def serve(*_: object) -> None:
            raise KeyError("secret")

        self.patch(Site, "_serve", serve)
        found = self.get("/")
        self.assertEqual((found.status, found.is_whole), (500, True))
        self.assertNotIn(b"secret", found.body)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_bug_in_a_stream(self) -> None:
        """A stream that fails at its beginning is cut off and leaves nothing behind."""

        def opened(*_: object) -> None:
            raise KeyError

        self.patch(EventStream, "_opened", opened)
        browser = Browser(self.factory)
        browser.send(request("/events/x"))
        self.assertEqual(browser.ended, "aborted")
        browser.lose()
        self.assertEqual(set(self.hub.channels), {"job"})
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_bug_within_an_answer(self) -> None:
        """An answer that fails half-way is cut off, so that nobody takes it for whole."""
        browser = Browser(self.factory)

        def serve(_: Site, served: object) -> None:
            served.write(b"half")  # type: ignore[attr-defined]
            raise KeyError

        self.patch(Site, "_serve", serve)
        browser.send(request("/"))
        self.assertFalse(answer(browser.take()).is_whole)
        self.assertEqual(browser.ended, "aborted")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
