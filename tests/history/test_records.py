"""Records: the entries of a turn in one row."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.history.records import pack, unpack

NUMBERS = st.integers(-(2**63), 2**63 - 1)


class RecordTests(SynchronousTestCase):
    """Records: the entries of a turn in one row."""

    @given(st.lists(st.tuples(NUMBERS, NUMBERS, st.binary())))
    def test_packed_and_unpacked(self, entries: list[tuple[int, int, bytes]]) -> None:
        """What is packed is unpacked to the same entries."""
        heads = [value for number, kind, data in entries for value in (number, kind, len(data))]
        record = pack(heads, [data for *_, data in entries])
        self.assertEqual(list(unpack(*record)), entries)

    @given(st.binary(min_size=1), st.data())
    def test_changed(self, data: bytes, draw: st.DataObject) -> None:
        """A record with one changed bit is noticed."""
        heads, data, crc = pack([1, 2, len(data)], [data])
        at = draw.draw(st.integers(0, len(data) - 1))
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        self.assertRaises(ValueError, list, unpack(heads, changed, crc))
