"""The log of a channel, and subscriptions that read it."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import CHUNK_SIZE, Channel, Subscription
from recodex_monitor.channels.frames import text_frame

APPEND = st.integers(0, 300) | st.sampled_from([CHUNK_SIZE - 4, CHUNK_SIZE - 3, 70000])
READ = st.none()


def follow(channel: Channel) -> Subscription:
    """A subscription at the beginning of a channel."""
    subscription = Subscription()
    subscription.channel = channel
    return subscription


def payloads(data: bytes) -> Iterator[bytes]:
    """Take whole text frames apart, as a client does."""
    while data:
        assert data[0] == 0x81, "a frame begins here"
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        assert len(data) >= start + size, "the frame is whole"
        yield data[start : start + size]
        data = data[start + size :]


class ReadTests(SynchronousTestCase):
    """Subscriptions read the log."""

    @settings(deadline=None)
    @given(st.lists(APPEND | READ, max_size=120))
    def test_reads(self, steps: list[int | None]) -> None:
        """However reads and messages alternate, all is read in order, in chunks of whole frames."""
        channel = Channel("job")
        subscription = follow(channel)
        texts: list[bytes] = []
        read: list[bytes] = []
        longest = 0

        def read_once() -> None:
            chunk = subscription.read()
            self.assertLess(len(chunk), CHUNK_SIZE + longest + 1)
            read.extend(payloads(chunk))

        for size in steps:
            if size is None:
                read_once()
            else:
                texts.append(b"%d " % len(texts) + b"x" * size)
                channel.append(texts[-1])
                longest = max(longest, len(text_frame(texts[-1])))
        while subscription.behind:
            read_once()
        self.assertEqual(read, texts)
        self.assertEqual(subscription.read(), b"")

    def test_large_chunks(self) -> None:
        """A long replay comes in chunks that are not much smaller than they may be."""
        channel = Channel("job")
        for _ in range(1000):
            channel.append(b"x" * 98)
        subscription = follow(channel)
        reads = 0
        while subscription.behind:
            subscription.read()
            reads += 1
        self.assertLessEqual(reads, 100_000 // CHUNK_SIZE + 1)

    def test_behind(self) -> None:
        """A subscription is behind by the bytes that it has not read."""
        channel = Channel("job")
        channel.append(b"one")
        subscription = follow(channel)
        self.assertEqual(subscription.behind, 5)
        subscription.read()
        channel.append(b"three")
        self.assertEqual(subscription.behind, 7)

    @settings(max_examples=50)
    @given(st.lists(st.integers(0, 300) | st.just(CHUNK_SIZE), max_size=200))
    def test_position(self, sizes: list[int]) -> None:
        """The end of each message is found by its number, and the number by that position."""
        channel, ends = Channel("job"), [0]
        for number, size in enumerate(sizes):
            if number % 3:
                channel.append(b"x" * size)
            else:
                channel.extend(text_frame(b"x" * size), 1)
            ends.append(len(channel.log))
        self.assertEqual([channel.position(count) for count in range(len(ends))], ends)
        self.assertEqual([channel.count_at(end) for end in ends if end], [*range(1, len(ends))])

    def test_epochs(self) -> None:
        """Two channels of the same id have different epochs, which need no quoting in a URL."""
        first, second = Channel("job").epoch, Channel("job").epoch
        self.assertNotEqual(first, second)
        self.assertRegex(first + second, "^[A-Za-z0-9_-]+$")
