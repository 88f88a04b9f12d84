"""Clients of the public port over plain HTTP, in memory."""

from typing import Any

from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser
from tests.support.http import Answer

ORIGIN = "https://recodex.example.org"


class SiteTestCase(ClientsTestCase):
    """Clients over plain HTTP, with a running job; pages of one origin are allowed."""

    limits: dict[str, Any] = {"allowed_origins": (ORIGIN,)}  # noqa: RUF012

    def setUp(self) -> None:
        """Publish the first message of the job."""
        super().setUp()
        self.publish("STARTED")

    def get(self, path: str, *headers: str, method: str = "GET", version: str = "1.1") -> Answer:
        """The answer to a request of a new client."""
        return Browser(self.factory).get(path, *headers, method=method, version=version)
