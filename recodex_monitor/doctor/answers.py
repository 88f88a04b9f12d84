"""Answers of HTTP, read as they come."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse


@dataclass
class Refusal:
    """An answer of HTTP that is not what was asked for.

    Attributes:
        status: of HTTP.
        body: the beginning of its text.
        location: to which it redirects.
    """

    status: int
    body: str = ""
    location: str = ""


def pieces_of(answer: HTTPResponse) -> Iterator[bytes]:
    """The body as it comes; browsers let proxies compress it, so that is undone here.

    Raises:
        ValueError: it is compressed wrongly.
    """
    unzip = zlib.decompressobj(47) if answer.getheader("Content-Encoding") == "gzip" else None
    while piece := answer.read1(65536):
        try:
            yield unzip.decompress(piece) if unzip is not None else piece
        except zlib.error as error:
            raise ValueError(f"the answer is compressed wrongly: {error}") from None


def lines_of(answer: HTTPResponse) -> Iterator[str]:
    """The lines of a body as they come."""
    rest = b""
    for piece in pieces_of(answer):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
