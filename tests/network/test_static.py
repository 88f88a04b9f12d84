"""Files that are served as they are."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.network.static import read_common, read_file


class StaticFileTests(SynchronousTestCase):
    """What is read of a file."""

    def write(self, name: str, content: bytes) -> Path:
        """A file with this content."""
        folder = Path(self.mktemp())
        folder.mkdir()
        path = folder / name
        path.write_bytes(content)
        return path

    def test_content(self) -> None:
        """The bytes are served as they are, with the type of the suffix and its encoding."""
        types = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
        for suffix, expected in types.items():
            file = read_file(self.write(f"page.{suffix}", b"\xc4\x8d\n"))
            self.assertEqual(file.content, b"\xc4\x8d\n")
            self.assertEqual(file.content_type.decode(), f"{expected}; charset=utf-8")

    def test_common(self) -> None:
        """The icon has the type that browsers know, and holds an image for each density."""
        icon = read_common()["favicon.ico"]
        self.assertEqual(icon.content_type, b"image/vnd.microsoft.icon")
        self.assertEqual(icon.content[:6], b"\0\0\1\0\2\0")

    def test_etag(self) -> None:
        """The tag is quoted, and depends on the content and on nothing else."""
        first, same, other = (
            read_file(self.write(name, content)).etag
            for name, content in (("a.js", b"1"), ("b.css", b"1"), ("a.js", b"2"))
        )
        self.assertEqual(first, same)
        self.assertNotEqual(first, other)
        self.assertRegex(first, rb'^"[0-9a-f]{16}"$')

    def test_known(self) -> None:
        """A client's tags are compared weakly, in a list, and as compressing proxies write them."""
        file = read_file(self.write("a.js", b"1"))
        tag = file.etag
        bare = tag.strip(b'"')
        for known in (
            *(tag, b"W/" + tag, b'"x", ' + tag, b'W/"a,b",W/' + tag, b"*", b" * "),
            *(b'"%b-gzip"' % bare, b'W/"%b-br"' % bare, b'"%b--gzip"' % bare, b'"%b;gzip"' % bare),
        ):
            self.assertTrue(file.is_known(known), known)
        for other in (
            *(b"", b'""', b'"x"', bare, b'"x%b"' % bare, b'"%bx"' % bare, b'"%b-x"' % bare),
            *(b'"*"', b"**", b"w/*", b"%b-gzip" % bare, tag[:-2] + b'"'),
        ):
            self.assertFalse(file.is_known(other), other)

    def test_missing(self) -> None:
        """A file that is not there is an error when it is read, not when it is served."""
        self.assertRaises(OSError, read_file, Path(self.mktemp()) / "page.html")
