"""Tops: what an owner had pushed when it was fenced off."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import ensureDeferred

from recodex_monitor.relay.tops import Tops
from tests.relay.support import PartTestCase


class TopsTests(PartTestCase):
    """What an owner notes, and a later one reads."""

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of this."""
        return self.successResultOf(ensureDeferred(work))

    def test_later_owner(self) -> None:
        """Another owner knows it, though it has noted something else of the same owner since."""
        one, two = Tops(self.engine, self.keys), Tops(self.engine, self.keys)
        self.done(one.record({"a"}, {"job": 3}))
        self.done(two.record({"a", "b"}, {"job": 9}))
        told = [self.done(two.of(token, "job")) for token in ("a", "b", "c")]
        self.assertEqual(told, [3, 9, 0])
        self.assertEqual(self.done(two.of("a", "other")), 0)

    def test_no_channels(self) -> None:
        """That there was nothing is noted, too."""
        one, two = Tops(self.engine, self.keys), Tops(self.engine, self.keys)
        self.done(one.record({"a"}, {}))
        self.done(two.record({"a"}, {"job": 9}))
        self.assertEqual(self.done(two.of("a", "job")), 0)

    def test_lost(self) -> None:
        """What the engine has lost is noted again."""
        one = Tops(self.engine, self.keys)
        self.done(one.record({"a"}, {"job": 3}))
        self.server.data.clear()
        self.done(one.record_again())
        self.assertEqual(self.done(one.of("a", "job")), 3)
