"""The forms of what is in the engine."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import End
from recodex_monitor.relay.layout import (
    Batch,
    Keys,
    new_epoch,
    parse_ended,
    parse_entries,
    parse_id,
    parse_news,
)


def entry(number: int, epoch: str = "7", *, end: str = "") -> list[object]:
    """An entry of a stream, as XRANGE gives it."""
    fields = [b"m", b"text %d" % number, b"t", b"1500", b"unknown", b"1"]
    return [f"{number}-{epoch}".encode(), fields + ([b"e", end.encode()] if end else [])]


class KeyTests(SynchronousTestCase):
    """Names."""

    def test_channels(self) -> None:
        """A channel's name is found in its key, and other keys have none."""
        keys = Keys("rx")
        for name in ("job", "a:b", "ž"):
            self.assertEqual(keys.channel_id(keys.stream(name)), name)
        for key in (keys.lease, keys.end("job").decode(), "other:c:job", "rx:c"):
            self.assertEqual(keys.channel_id(key.encode()), "")


class FormTests(SynchronousTestCase):
    """What is read."""

    def test_news(self) -> None:
        """A head and texts make a batch."""
        batch = parse_news("job", b"7 3 finished 2500\none\ntwo")
        self.assertEqual(batch, Batch("job", "7", 3, [b"one", b"two"], End.FINISHED, 2.5))
        self.assertEqual(batch.last, 4)
        self.assertIsNone(parse_news("job", b"7 1 - 0\none").end)

    def test_entries(self) -> None:
        """Entries that follow each other make one batch, and unknown fields do not matter."""
        entries = [entry(1), entry(2), entry(2, "8"), entry(4, "8"), entry(5, "8", end="failed")]
        found = [
            (one.epoch, one.first, len(one.texts), one.end) for one in parse_entries("", entries)
        ]
        self.assertEqual(found, [("7", 1, 2, None), ("8", 2, 1, None), ("8", 4, 2, End.FAILED)])

    def test_after(self) -> None:
        """What follows a message is what the hub lacks."""
        batch = Batch("job", "7", 3, [b"3", b"4"])
        for number, rest in ((0, [b"3", b"4"]), (3, [b"4"]), (4, []), (9, [])):
            self.assertEqual(batch.after(number).texts, rest)

    def test_ended(self) -> None:
        """More than is known of a channel that has ended does not matter."""
        ended = parse_ended(b"finished failed 1500 12 7 more")
        self.assertEqual(ended, (End.FINISHED, End.FAILED, 1.5, 12, "7"))

    def test_epochs(self) -> None:
        """They fit into the engine's ids, and differ."""
        epochs = {new_epoch() for _ in range(100)}
        self.assertEqual(len(epochs), 100)
        self.assertTrue(all(0 < int(epoch) < 2**64 for epoch in epochs))

    def test_other_things(self) -> None:
        """What somebody else has put there is a ValueError."""
        for entries in ([[b"1-7", [b"x", b"1"]]], [[b"1-7", None]], [[b"1", []]], [[1, []]]):
            self.assertRaises(ValueError, lambda bad=entries: [*parse_entries("job", bad)])
        self.assertRaises(ValueError, parse_news, "job", b"hello")
        self.assertRaises(ValueError, parse_id, b"1-2-3")
        self.assertRaises(ValueError, parse_ended, b"OK")
