"""HTTP requests and answers, as a browser sends and reads them."""

from typing import NamedTuple


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request as a browser sends it."""
    lines = (f"{method} {path} HTTP/{version}", "Host: monitor.example", *headers, "", "")
    return "\r\n".join(lines).encode()


class Answer(NamedTuple):
    """An HTTP answer, or the beginning of one.

    Attributes:
        status: of the answer.
        headers: by lower-case name.
        body: as much of it as has come, without its chunks' headers.
        is_whole: whether it has come to its end.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


def answer(data: bytes) -> Answer:
    """Parse an answer as a browser does."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(headers) == len(lines), "a header twice"
    status = int(first.split()[1])
    if headers.get("transfer-encoding") == "chunked":
        return Answer(status, headers, *unchunked(body))
    is_whole = len(body) == int(headers.get("content-length", "-1")) or status in (204, 304)
    return Answer(status, headers, body, is_whole)


def unchunked(data: bytes) -> tuple[bytes, bool]:
    """The content of whole chunks, and whether the last one is among them."""
    content = b""
    while data:
        length, _, data = data.partition(b"\r\n")
        size = int(length, 16)
        content += data[:size]
        assert data[size : size + 2] == b"\r\n", "half a chunk"
        data = data[size + 2 :]
        if not size:
            assert not data, "data after the last chunk"
            return content, True
    return content, False
