"""Subscriptions: which acknowledgement is the last."""

from recodex_monitor.relay.subscriptions import CHUNK, Subscriptions
from tests.relay.support import PartTestCase


class SubscriptionTests(PartTestCase):
    """A node's subscriptions."""

    def test_last(self) -> None:
        """A channel that was left and joined again begins with the second acknowledgement."""
        subscriptions = Subscriptions(self.engine, self.keys)
        subscriptions.add(["job"])
        subscriptions.remove(["job"])
        subscriptions.add(["job"])
        self.assertEqual([subscriptions.is_begun("job") for _ in range(2)], [False, True])

    def test_session(self) -> None:
        """In a new session, acknowledgements of the one before do not come any more."""
        subscriptions = Subscriptions(self.engine, self.keys)
        subscriptions.add(["job"])
        subscriptions.begin(["job"])
        self.assertTrue(subscriptions.is_begun("job"))

    def test_many(self) -> None:
        """All names are subscribed to, however many."""
        names = [str(number) for number in range(CHUNK * 2 + 1)]
        Subscriptions(self.engine, self.keys).add(names)
        self.assertEqual(len(self.engine.names), len(names))
