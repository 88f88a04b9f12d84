"""The page /watch/CHANNEL, with the present state of the job for browsers without JavaScript.

Texts are those of the client's own files, ``texts-LANGUAGE.js``, one a language.
"""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple
from urllib.parse import urlsplit

from recodex_monitor.channels.attempts import has_failed
from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.network.static import File
from recodex_monitor.settings.schema import Page

Texts = Mapping[str, object]
"""The texts of a language by their keys; those of several forms are mappings."""

DEFAULT_LANGUAGE = "en"

_TEXTS = "texts-*.js"
_OBJECT = re.compile(r"^export default (\{.*\});$", re.DOTALL | re.MULTILINE)
_WANTED = re.compile(r"\s*([A-Za-z]{2,3})[A-Za-z0-9-]*\s*(?:;\s*q=([01](?:\.[0-9]{1,3})?)\s*)?")
_LINK_TEXT = re.compile(r"[!-\[\]-~]*")
_TASKS = re.compile(r"[1-9][0-9]{0,5}")
_COMMAND = b'{"command": "'
_RUNNING = {
    b"DOWNLOADED": "downloaded",
    b"ENDED": "evaluated",
    b"UPLOADED": "uploaded",
    b"ABORTED": "interrupted",
}
"""The keys of the texts by a job's last command; others mean that it is being evaluated."""


class Asked(NamedTuple):
    """What a request asks of the page.

    Attributes:
        language: of the texts, one that there is.
        tasks: the number of the job's tasks as it was given; empty if it was not.
        back: where the job's results are, as it was given.
    """

    language: str = DEFAULT_LANGUAGE
    tasks: str = ""
    back: str = ""


class WatchPage:
    """Renders the page."""

    def __init__(self, folder: Path) -> None:
        """Read the page, ``watch.html``, and the texts from a folder.

        Raises:
            OSError: one cannot be read.
        """
        self._template = (folder / "watch.html").read_text()
        self.texts = {path.stem[6:]: read_texts(path) for path in sorted(folder.glob(_TEXTS))}

    def language(self, wanted: str, accepted: str) -> str:
        """The language to use.

        Args:
            wanted: asked for by its code, as "cs" or "cs-CZ"; empty, or unknown, if it is the
                browser's choice.
            accepted: value of the header Accept-Language (RFC 9110, section 12.5.4).
        """
        wanted = wanted.partition("-")[0].lower()
        if wanted in self.texts:
            return wanted
        found = [one for one in map(_WANTED.fullmatch, accepted.split(",")[:20]) if one]
        found.sort(key=lambda one: -float(one[2] or 1))
        known = [one[1].lower() for one in found if one[1].lower() in self.texts]
        return known[0] if known else DEFAULT_LANGUAGE

    def render(
        self,
        channel_id: str,
        channel: Channel | None,
        present: Mapping[str, object],
        asked: Asked,
        page: Page,
    ) -> File:
        """Make the page.

        Args:
            channel_id: of the job.
            channel: the job's, or None if there is none.
            present: what ``Announcements.present`` says of it.
            asked: see Asked.
            page: the settings of pages.
        """
        state = _State(channel, present)
        values = _values(self.texts[asked.language], state, present, asked, page)
        values |= {"lang": asked.language, "channel": _escaped(channel_id)}
        # The file itself is valid HTML, so that it can be checked.
        template = self._template.replace('lang="en"', 'lang="$lang"', 1)
        content = Template(template).substitute(values).encode("utf-8", "replace")
        etag = b'"%b"' % sha256(content).hexdigest()[:16].encode()
        return File(content, b"text/html; charset=utf-8", etag)


_PLAIN = ("title", "no_script", "reload", "notify", "notify_denied")


def read_texts(path: Path) -> Texts:
    """The texts of a file that is JSON within a JavaScript module.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not such a file.
    """
    found = _OBJECT.search(path.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{path.name} has no texts")
    texts: Texts = json.loads(found[1])
    return texts


def results_link(back: str, link: str | None) -> str:
    """Where a job's results are: ``back`` if it has the same origin as ``link``, else ``link``.

    Empty without a link.
    """
    if link is None:
        return ""
    parts = urlsplit(link)
    origin = f"{parts.scheme}://{parts.netloc}"
    rest = back.removeprefix(origin)
    is_below = rest != back and rest[:1] in ("", "/", "?", "#")
    # What has no spaces, control characters or backslashes is read alike by all.
    return back if is_below and _LINK_TEXT.fullmatch(rest) else link


class _State:
    """The present state of a job: which texts tell it, and how many tasks are done."""

    def __init__(self, channel: Channel | None, present: Mapping[str, object]) -> None:
        log = b"" if channel is None else channel.log
        end = None if channel is None else channel.end
        self.counts = _counts(log)
        self.is_over = end is not None
        self.kind = "neutral" if self.is_over else "open"
        if "forgotten" in present:
            is_bad = present["forgotten"] == End.FAILED
            self.key = "forgotten-failed" if is_bad else "forgotten"
        elif has_failed(log) or end == End.FAILED:
            self.key, is_bad = _failure(log, end), True
        else:
            self.key, is_bad = _key(log, end), False
        if is_bad:
            self.kind = "bad"
        self.attempts = _attempts(log)
        self.hint = f"{self.key}-hint" if self.is_over or not log else ""
        if present["broker"] is False and not self.is_over:
            self.hint = "no-contact-hint"


def _values(
    texts: Texts, state: _State, present: Mapping[str, object], asked: Asked, page: Page
) -> dict[str, str]:
    """What the page shows of a state, as HTML."""
    app = {"app": page.name}
    tasks = asked.tasks if _TASKS.fullmatch(asked.tasks) else ""
    link = results_link(asked.back, page.link)
    counts = {**state.counts, "n": sum(state.counts.values()), "tasks": tasks}
    values: dict[str, object] = {
        "app": page.name,
        "tasks": tasks,
        "results": link,
        "kind": state.kind,
        "headline": _said(texts, state.key, {"n": state.attempts}),
        **{key: texts[key.replace("_", "-")] for key in _PLAIN},
    }
    to_results = _said(texts, "results", app) if link and state.is_over else ""
    done = _said(texts, "static-of" if tasks else "static", counts)
    hint = _said(texts, state.hint, app) if state.hint in texts else ""
    return {key: _escaped(str(value)) for key, value in values.items()} | {
        "hint": _element("p", hint),
        # Of a job that is no longer kept nothing is known but its end.
        "counts": _element("p", "" if "forgotten" in present else done),
        "connection": _element('p class="connection"', _connection(texts, state, present)),
        "link": _element(f'a href="{_escaped(link)}"', to_results),
    }


def _failure(log: bytes | bytearray, end: End | None) -> str:
    was_started, was_received = (_COMMAND + one in log for one in (b'STARTED"', b'DOWNLOADED"'))
    if end == End.FAILED and not (was_started or was_received):
        return "rejected"
    if _attempts(log) > 1:
        return "failed-attempts"
    # A worker that cannot set a job up says FINISHED after FAILED, the broker nothing.
    return "build" if end == End.FINISHED and not was_started else "failed"


def _attempts(log: bytes | bytearray) -> int:
    """How many attempts a log has: each has both messages, but the first may lack one."""
    return max(log.count(_COMMAND + one) for one in (b'STARTED"', b'DOWNLOADED"'))


def _key(log: bytes | bytearray, end: End | None) -> str:
    if end is not None:
        return "expired" if end == End.EXPIRED else "over"
    if not log:
        return "waiting"
    start = log.rfind(_COMMAND) + len(_COMMAND)
    return _RUNNING.get(bytes(log[start : log.find(b'"', start)]), "running")


def _counts(log: bytes | bytearray) -> dict[str, int]:
    """The tasks of a log's last attempt. Within a task's id, quotes are escaped."""
    began = max(log.rfind(_COMMAND + one) for one in (b'STARTED"', b'DOWNLOADED"'))
    return {
        state.lower(): log.count(b'"task_state": "%b"' % state.encode(), max(began, 0))
        for state in ("COMPLETED", "FAILED", "SKIPPED")
    }


def _connection(texts: Texts, state: _State, present: Mapping[str, object]) -> str:
    key, values = "ended", {}
    if not state.is_over:
        age = present["age"]
        key = "no-contact" if present["broker"] is False else "live"
        if key == "live" and isinstance(age, int | float):
            key, values = "news", {"time": _duration(age)}
        elif key == "live":
            return ""
    return _said(texts, key, values)


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _said(texts: Texts, key: str, values: Mapping[str, object]) -> str:
    text = texts[key]
    if isinstance(text, dict):  # has a form for each number; no number here is 1
        text = text["other"]
    text = str(text)
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _element(start: str, text: str) -> str:
    """An element with this text; nothing without text."""
    return f"<{start}>{_escaped(text)}</{start.split()[0]}>" if text else ""


def _escaped(text: str) -> str:
    return escape(text).replace("\r", "&#13;")
