"""Following many channels: whatever happens, each channel's list is its log."""

import json
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recodex_monitor.channels.channel import CHUNK_SIZE
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser
from tests.support.frames import TEXT, frame
from tests.support.messages import message

CHANNELS = "abc"
STEPS = st.tuples(
    st.sampled_from(("publish", "flood", "finish", "follow", "unfollow"))
    | st.sampled_from(("cut", "pause", "resume", "full")),
    st.sampled_from(CHANNELS),
)


class Page:
    """A page that follows channels as docs/protocol.md says, and keeps what it got of each."""

    def __init__(self, factory: Any) -> None:
        self.factory = factory
        self.got: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        self.followed: set[str] = set()
        self.subscribed: set[str] = set()
        self.ended: set[str] = set()
        self.connect()

    def connect(self) -> None:
        """Connect, and resume each channel after its last id."""
        self.browser = Browser(self.factory)
        self.browser.open("jobs")
        for channel in sorted(self.followed):
            self.follow(channel)

    def follow(self, channel: str) -> None:
        """Follow a channel after the last id, if there is one."""
        self.followed.add(channel)
        self.subscribed.discard(channel)
        after = self.got[channel][-1][1] if self.got[channel] else None
        self.ask(follow=channel, after=after)

    def unfollow(self, channel: str) -> None:
        """Follow a channel no longer."""
        self.followed.discard(channel)
        self.ask(unfollow=channel)

    def ask(self, **request: object) -> None:
        """Send a request."""
        self.browser.send(frame(TEXT, json.dumps(request).encode()))

    def read(self) -> None:
        """Take what has come."""
        for text in self.browser.texts():
            told = json.loads(text)
            channel, command = told["channel"], told["command"]
            if command == "SUBSCRIBED":
                assert told["recovered"] or not self.got[channel], told
                self.subscribed.add(channel)
            elif command == "END":
                assert channel in self.subscribed, told
                self.followed.discard(channel)
                self.ended.add(channel)
            else:
                assert channel in self.subscribed, told
                self.got[channel].append((command, told["id"]))


class ModelTests(ClientsTestCase):
    """Any follow, unfollow, cut and resume, with any log."""

    def do(self, page: Page, step: str, channel: str, command: str) -> list[str]:
        """Do a step; returns what was published."""
        match step:
            case "publish" | "flood" | "finish":
                command = "FINISHED" if step == "finish" else command
                if step == "flood":
                    command += "x" * (CHUNK_SIZE // 4)
                commands = [command] * (10 if step == "flood" else 1)
                self.hub.publish([message(channel, each) for each in commands])
                return commands
            case "follow":
                if channel not in page.followed:
                    page.follow(channel)
            case "unfollow":
                page.read()
                page.unfollow(channel)
            case "cut":
                page.read()
                page.browser.lose()
                page.connect()
            case "full":
                page.browser.transport.full = True
            case "pause":
                page.browser.pause()
            case "resume":
                page.browser.resume()
        return []

    @settings(max_examples=150, deadline=None)
    @given(st.lists(STEPS, max_size=40))
    def test_lists_are_logs(self, steps: list[tuple[str, str]]) -> None:
        """The client's list of each channel is the channel's log at the end."""
        self.setUp()
        page, logs = Page(self.factory), defaultdict[str, list[str]](list)
        for number, (step, channel) in enumerate(steps):
            published = self.do(page, step, channel, f"C{number}")
            if "FINISHED" not in logs[channel]:
                logs[channel] += published
        for channel in CHANNELS:
            page.read()
            self.do(page, "follow", channel, "")
        while page.browser.transport.full:
            page.browser.transport.full = False
            page.browser.resume()
        page.browser.resume()
        page.read()
        got = {name: [command for command, _ in page.got[name]] for name in CHANNELS}
        self.assertEqual(got, {name: logs[name] for name in CHANNELS})
        ended = {name for name in CHANNELS if "FINISHED" in logs[name]}
        self.assertEqual(page.ended, ended)
