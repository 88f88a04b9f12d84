"""Yielding: what an owner that is none any more puts into the list."""

import json
from typing import Any

from twisted.internet.defer import ensureDeferred

from recodex_monitor.channels.channel import End
from recodex_monitor.relay.late import CHUNK
from recodex_monitor.relay.pending import Pending
from recodex_monitor.relay.yielding import Entry, append, entries_of
from tests.relay.support import PartTestCase


def pending(first: int, count: int) -> Pending:
    """Messages that were not acknowledged."""
    one = Pending("job", "7", first - 1)
    one.texts = [b"%d" % number for number in range(first, first + count)]
    return one


def told(entry: Entry) -> dict[str, Any]:
    """What an entry says."""
    name, _, text = entry.text.partition(" ")
    assert name == entry.id
    found: dict[str, Any] = json.loads(text)
    return found


class EntryTests(PartTestCase):
    """What is in the list."""

    def test_chunks(self) -> None:
        """Many messages are several entries, and the end goes with the last."""
        one = pending(3, CHUNK + 1)
        one.end = End.FINISHED
        first, second = map(told, entries_of([one], "token"))
        self.assertEqual((first["first"], len(first["texts"]), first["end"]), (3, CHUNK, None))
        self.assertEqual((second["first"], second["texts"]), (CHUNK + 3, [str(CHUNK + 3)]))
        self.assertEqual((second["end"], second["token"]), ("finished", "token"))

    def test_late(self) -> None:
        """What came from the list is still there, and not put there again."""
        one = pending(3, 4)
        one.late = {3, 4}
        (entry,) = map(told, entries_of([one], ""))
        self.assertEqual((entry["first"], entry["texts"]), (5, ["5", "6"]))

    def test_once(self) -> None:
        """An entry whose reply was lost is not there twice."""
        entries = [*entries_of([pending(1, 1)], "")]
        self.engine.is_slow = True
        appending = ensureDeferred(append(self.engine, self.keys, entries))
        self.engine.answer(is_lost=True)
        self.failureResultOf(appending)
        self.engine.is_slow = False
        self.successResultOf(ensureDeferred(append(self.engine, self.keys, entries)))
        self.assertEqual((len(self.server.data[b"rx:late"]), entries), (1, []))
