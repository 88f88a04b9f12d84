"""Asks clients of the status page for the token, and refuses those without it."""

from collections.abc import Callable

from twisted.logger import Logger

from recodex_monitor.status.access import Access, Token
from recodex_monitor.status.resources import Answer, failure
from recodex_monitor.timing.throttle import ThrottledCounts

_log = Logger()

_NO_TOKEN = failure(
    401,
    "a token is needed: send status_token as 'Authorization: Bearer TOKEN'",
    (b"WWW-Authenticate", b'Bearer realm="status page of the ReCodEx monitor"'),
)
_WRONG_TOKEN = failure(
    401,
    "the token is wrong: it is not the status_token of the running monitor",
    (b"WWW-Authenticate", b'Bearer error="invalid_token", error_description="the token is wrong"'),
)
_REASONS = {
    "": "",
    "missing": "Enter the token.",
    "wrong": "This token is wrong. Enter the <code>status_token</code> of the running monitor.",
    "changed": "You are no longer signed in: the monitor's token has changed.",
}


class SignIn:
    """Refuses clients without the token, and takes it from browsers."""

    def __init__(self, access: Access, form: Answer, seconds: Callable[[], float]) -> None:
        """Check tokens by ``access``.

        Args:
            access: knows the token.
            form: the page that asks for it; its ``<!-- reason -->`` is replaced.
            seconds: tells the time, to bound how often wrong tokens are logged.
        """
        self._access = access
        self._pages = {name: _with_reason(form, text) for name, text in _REASONS.items()}
        self._refused = ThrottledCounts(_log, "sign-in", seconds)

    def refusal(self, authorization: str, cookies: str, *, for_person: bool) -> Answer | None:
        """The answer to a client that has not sent the token; None if it has.

        Args:
            authorization: the value of its header Authorization.
            cookies: the value of its header Cookie.
            for_person: whether a browser asks for a page.
        """
        token = self._access.judge(authorization, cookies)
        if token is Token.RIGHT:
            return None
        if token is Token.MISSING:
            return self._pages[""] if for_person else _NO_TOKEN
        self._log_wrong()
        return self._pages["changed"] if for_person else _WRONG_TOKEN

    def take(self, token: str) -> Answer:
        """The answer to a token that a person has entered."""
        if self._access.is_needed and not self._access.is_token(token):
            if token:
                self._log_wrong()
            return self._pages["wrong" if token else "missing"]
        cookie = self._access.cookie().encode()
        return Answer(303, b"", b"text/plain", ((b"Location", b"/"), (b"Set-Cookie", cookie)))

    def _log_wrong(self) -> None:
        self._refused.add("token", "a wrong token for the status page")


def _with_reason(form: Answer, reason: str) -> Answer:
    text = f'<p class="bad" role="alert">{reason}</p>' if reason else ""
    return form._replace(content=form.content.replace(b"<!-- reason -->", text.encode()))
