"""Preflights: what browsers ask before a page of another origin may send a request."""

from typing import Any

from recodex_monitor.clients.origins import MAX_HEADERS
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser, service
from tests.support.http import Answer

ORIGIN = "https://recodex.example.org"
PATHS = ("/events/job", "/channels/job?wait=9", "/none")
ASKS = "Access-Control-Request-Headers"
PRIVATE = "Access-Control-Request-Private-Network: true"


class PreflightTests(ClientsTestCase):
    """Answers to preflights."""

    limits: dict[str, Any] = {"allowed_origins": (ORIGIN, "https://*.test")}  # noqa: RUF012

    def preflight(self, *headers: str, origin: str = ORIGIN, path: str = PATHS[0]) -> Answer:
        """The answer to a browser that asks for GET."""
        asks = (f"Origin: {origin}", "Access-Control-Request-Method: GET")
        return Browser(self.factory).get(path, *asks, *headers, method="OPTIONS")

    def test_allowed(self) -> None:
        """A page of an allowed origin may send GET, and its channel is not followed yet."""
        for path in PATHS:
            found = self.preflight(path=path)
            self.assertEqual((found.status, found.body), (204, b""))
            self.assertEqual(found.headers["access-control-allow-origin"], ORIGIN)
            self.assertEqual(found.headers["access-control-allow-methods"], "GET")
            self.assertEqual(found.headers["access-control-allow-headers"], "Last-Event-ID")
            self.assertEqual(found.headers["access-control-max-age"], "600")
            self.assertIn("date", found.headers)
        self.assertEqual(self.hub.channels, {})

    def test_headers(self) -> None:
        """The headers that are asked for are allowed, if their names are valid, once each."""
        for asked, allowed in (
            ("cache-control,last-event-id", "cache-control, last-event-id"),
            ("traceparent, Cache-Control ,tracestate", "traceparent, Cache-Control, tracestate"),
            (f"x,y\r\n{ASKS}: z,X", "X, y, z"),
            ("a b, x, <y>, \xff, z:", "x"),
            (" ,,", "Last-Event-ID"),
            ("x" * 101, "Last-Event-ID"),
        ):
            found = self.preflight(f"{ASKS}: {asked}")
            self.assertEqual(found.headers["access-control-allow-headers"], allowed)

    def test_many_headers(self) -> None:
        """So many headers are allowed, and no more."""
        asked = [f"x-{number}" for number in range(MAX_HEADERS + 1)]
        found = self.preflight(f"{ASKS}: {','.join(asked)}")
        allowed = found.headers["access-control-allow-headers"].split(", ")
        self.assertEqual(allowed, asked[:MAX_HEADERS])

    def test_private_network(self) -> None:
        """A page of a listed origin may reach a monitor in a private network, if it asks."""
        name = "access-control-allow-private-network"
        for origin in (ORIGIN, "https://dev.test"):
            self.assertEqual(self.preflight(PRIVATE, origin=origin).headers[name], "true")
            self.assertNotIn(name, self.preflight(origin=origin).headers)
        self.assertNotIn(name, self.preflight(PRIVATE.replace("true", "false")).headers)
        refused = self.preflight(PRIVATE, origin="https://evil.example")
        self.assertEqual(refused.status, 403)
        self.assertNotIn(name, refused.headers)

    def test_private_network_for_anybody(self) -> None:
        """Where all origins are allowed, that alone opens no private network."""
        self.clock, self.hub, self.factory = service(allowed_origins=("*",))
        found = self.preflight(PRIVATE)
        self.assertEqual(found.status, 204)
        self.assertNotIn("access-control-allow-private-network", found.headers)
