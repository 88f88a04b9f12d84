"""Looks at the public address before the trial: name, certificate, HTTP/2, path, origin, clock."""

import errno
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple

from recodex_monitor.channels.trials import PREFIX
from recodex_monitor.doctor.answers import Refusal, pieces_of
from recodex_monitor.doctor.findings import Finding, fail, ok, warn
from recodex_monitor.doctor.ways import TIMEOUT, Way
from recodex_monitor.settings.endpoints import Address

SOON, VERY_SOON = 20, 7
"""Days before the end of a certificate: it should have been renewed; it must be renewed."""

APART, FAR_APART = 3.0, 60.0
"""Seconds by which clocks may differ; those by which something will fail."""

_MAX_BODY = 4096
_NOT_HERE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Errors of a machine that has no IPv6, or no IPv4."""

_UNTRUSTED = {
    9: "Set this machine's clock, or wait until the certificate is valid.",
    10: "Renew the certificate, and let the proxy reload it.",
    18: "Use a certificate of an authority that browsers know.",
    19: "Use a certificate of an authority that browsers know.",
    20: "Let the proxy send the whole chain: `ssl_certificate` of nginx is fullchain.pem. Of an "
    "authority of your own, name the file in the variable SSL_CERT_FILE.",
    21: "Let the proxy send the whole chain: `ssl_certificate` of nginx is fullchain.pem.",
    62: "The certificate must name this host, or the address in the API must be the one it names.",
}
"""What to do by the code of OpenSSL's verification."""

OTHER_PATH = "There is nothing at this path"
ORIGIN = "Pages of this origin may not connect"
"""How the monitor's own refusals begin."""


class Answer(NamedTuple):
    """The answer to a page's request for a channel.

    Attributes:
        refusal: its status and the beginning of its body.
        allowed: the values of Access-Control-Allow-Origin.
        apart: seconds by which its Date is ahead of this machine's clock; None without one.
        is_monitor: whether it is what the monitor answers.
    """

    refusal: Refusal
    allowed: tuple[str, ...] = ()
    apart: float | None = None
    is_monitor: bool = False


def address(way: Way) -> Iterator[Finding]:
    """Whether the public address can be reached, by all of its IP addresses."""
    try:
        found = socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        text = f"the name {way.host} cannot be resolved: {error.strerror}"
        yield fail("address", text, "Is the name right, and in the DNS?")
        return
    hosts = [str(one[4][0]) for one in found]
    problems = {host: why for host in dict.fromkeys(hosts) if (why := _unreached(host, way.port))}
    reached = [host for host in dict.fromkeys(hosts) if host not in problems]
    lost = {host: why for host, why in problems.items() if why[0] not in _NOT_HERE}
    for host, (_, text, remedy) in (lost or ({} if reached else problems)).items():
        level = warn if reached else fail
        yield level("address", f"{text.format(f'{host}, port {way.port},')}", remedy)
    if reached:
        yield ok("address", f"{way.host} is {', '.join(reached)}, port {way.port}")


def _unreached(host: str, port: int) -> tuple[int, str, str] | None:
    """Why an IP address cannot be reached: the error's number, a text and a remedy."""
    try:
        socket.create_connection((host, port), TIMEOUT).close()
    except TimeoutError:
        text = f"no answer from {{}} within {TIMEOUT:.0f} s: a firewall drops the connection"
        return 0, text, f"Let everybody connect to TCP port {port} of the proxy."
    except OSError as error:
        text = f"cannot connect to {{}}: {error.strerror or error}"
        return error.errno or 0, text, "Does the proxy run, and does it listen there?"
    return None


def _place(way: Way) -> Address:
    return Address(way.host, way.port)


def certificate(way: Way) -> Iterator[Finding]:
    """Whether browsers will trust the certificate, and how long."""
    if way.tls is None:
        text = "there is no TLS: pages that come by https may not connect to ws://"
        yield warn("certificate", text, "Give the public address as wss://, as the API has it.")
        return
    try:
        with way.tls.wrap_socket(way.connect(), server_hostname=way.host) as link:
            found, version = link.getpeercert(), link.version()
    except ssl.SSLCertVerificationError as error:
        remedy = _UNTRUSTED.get(error.verify_code, "")
        text = f"browsers do not trust the certificate of {way.host}: {error.verify_message}"
        yield fail("certificate", text, remedy)
    except OSError as error:
        text = f"no TLS with {_place(way)}: {getattr(error, 'reason', None) or error}"
        yield fail("certificate", text, "Does the proxy speak TLS on this port (`listen 443 ssl`)?")
    else:
        ends = ssl.cert_time_to_seconds(str((found or {}).get("notAfter")))
        yield _lasting((ends - time.time()) / 86400, f"{version}, trusted for {way.host}")


def has_tls(way: Way) -> bool:
    """Whether TLS is spoken there, by whatever certificate."""
    try:
        way.secured(way.connect()).close()
    except OSError:
        return False
    return True


def _lasting(days: float, about: str) -> Finding:
    text = f"{about}, valid for {days:.0f} more days"
    remedy = "Renew the certificate, see `systemctl list-timers` for certbot, and reload the proxy."
    if days <= VERY_SOON:
        return fail("certificate", text, remedy)
    return warn("certificate", text, remedy) if days <= SOON else ok("certificate", text)


def http2(way: Way) -> Iterator[Finding]:
    """Whether the address offers HTTP/2, where a browser's six connections are no limit."""
    if way.tls is None:
        return
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with context.wrap_socket(way.connect(), server_hostname=way.host) as link:
            chosen = link.selected_alpn_protocol()
    except OSError as error:
        yield warn("http2", f"cannot be tried: {error}")
        return
    if chosen == "h2":
        yield ok("http2", "HTTP/2 is offered")
        return
    text = "HTTP/1.1 only: where WebSocket is blocked, a browser follows six jobs at most"
    yield warn("http2", text, "Switch HTTP/2 on: `listen 443 ssl http2` of nginx.")


def ask(way: Way) -> Answer | str:
    """Ask for a channel as a page would; returns why there is no answer, if there is none."""
    try:
        connection = way.request(way.path("channels", f"{PREFIX}probe"), "application/json")
        begun = time.time()
        answer = connection.getresponse()
        moment = (begun + time.time()) / 2
        body = b"".join(pieces_of(answer))[:_MAX_BODY].decode(errors="replace")
        connection.close()
    except TimeoutError:
        return f"no answer within {TIMEOUT:.0f} s"
    except (OSError, HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
    return Answer(
        Refusal(answer.status, body, answer.getheader("Location") or ""),
        tuple(answer.headers.get_all("Access-Control-Allow-Origin", ())),
        _apart(answer, moment),
        answer.status == 200 and body.startswith('{"channel": '),
    )


def _apart(answer: HTTPResponse, moment: float) -> float | None:
    try:
        told = parsedate_to_datetime(answer.getheader("Date") or "").timestamp()
    except (ValueError, TypeError):
        return None
    return told + 0.5 - moment  # Date has whole seconds


def prefix(way: Way, answer: Answer | str) -> Finding:
    """Whether the public address leads to the monitor, also below its path."""
    if isinstance(answer, str):
        return fail(
            "prefix", f"a request below {way} fails: {answer}", "See the proxy's error log."
        )
    if answer.is_monitor:
        return ok("prefix", f"what is below {way.prefix or '/'} comes from the monitor")
    if answer.refusal.status in (401, 403) and not answer.refusal.body.startswith("<"):
        return ok("prefix", f"the monitor answers below {way.prefix or '/'}")
    return fail("prefix", *explain(answer.refusal, way))


def explain(refusal: Refusal, way: Way) -> tuple[str, str]:
    """What an answer that is none of the monitor's means, and what to do."""
    status, path = refusal.status, way.prefix or "/"
    if 300 <= status < 400:
        text = f"the proxy redirects {path} to {refusal.location or 'somewhere else'}"
        return text, "Pages do not follow redirects: give the API the address behind it."
    if status in (502, 503):
        text = f"the proxy answers {status} at {path}: it does not reach a monitor for this path"
        remedy = "Is this its prefix, and is the port behind it that of websocket_uri? "
        return text, f"{remedy}See the proxy's error log."
    if status == 504:
        text = "the proxy answers 504: what it sends to the monitor is not answered"
        return text, "Does a firewall between the proxy and the monitor drop the connection?"
    if status == 404 and OTHER_PATH in refusal.body:
        text = f"the monitor does not know the path to which the proxy changes {path}"
        return text, "Pass on what follows the prefix: `rewrite ^/ws/?(.*)$ /$1 break;` of nginx."
    if status == 404:
        text = f"the server has nothing below {path}: it is not led to the monitor (404)"
        return text, "Is this the prefix in the proxy? nginx: `location ~ ^/ws(/|$)`."
    if status == 200:
        return f"another server than the monitor answers at {path}", "Is this the proxy's prefix?"
    text = " ".join(refusal.body.split())[:150]
    return f"the answer is {status}: {text}", "See the proxy's log and the monitor's."


def is_origin_refused(answer: Answer | str) -> bool:
    """Whether the monitor refuses pages of the web application."""
    if isinstance(answer, str):
        return False
    return answer.refusal.status == 403 and ORIGIN in answer.refusal.body


def origin(way: Way, answer: Answer | str) -> Iterator[Finding]:
    """Whether pages of the web application may connect, and may read what comes."""
    if isinstance(answer, str):
        return
    if is_origin_refused(answer):
        text = f"the monitor refuses pages of {way.origin}"
        remedy = f'Set limits: allowed_origins: ["{way.origin}"] and reload. If that is the host '
        remedy += "of the monitor itself, let the proxy pass on Host: `proxy_set_header Host "
        yield fail("origin", text, f"{remedy}$http_host;`.")
    elif answer.is_monitor and answer.allowed != (way.origin,):
        seen = ", ".join(answer.allowed) or "none"
        text = f"a page of {way.origin} may not read the answers: Access-Control-Allow-Origin is "
        yield fail("origin", f"{text}{seen}", "The monitor sets this header; let the proxy not.")
    elif answer.is_monitor:
        yield ok("origin", f"pages of {way.origin} may connect, and read the answers")


def clock(answers: Sequence[tuple[str, Answer | str]]) -> Iterator[Finding]:
    """Whether the clocks of this machine, the monitor and the proxy agree."""
    apart = {
        name: one.apart
        for name, one in answers
        if isinstance(one, Answer) and one.apart is not None
    }
    if not apart:
        return
    name, most = max(apart.items(), key=lambda item: abs(item[1]))
    text = f"the clock of {name} is {abs(most):.0f} s {'ahead of' if most > 0 else 'behind'} this "
    text += "machine's"
    remedy = "Synchronize both by NTP: `timedatectl set-ntp true`. Tokens and certificates are "
    remedy += "refused too early or too late, and times on pages are wrong."
    if abs(most) > FAR_APART:
        yield fail("clock", text, remedy)
    elif abs(most) > APART:
        yield warn("clock", text, remedy)
    else:
        yield ok("clock", f"this machine's clock agrees with that of {' and '.join(apart)}")
