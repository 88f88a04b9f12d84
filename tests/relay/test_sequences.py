"""Sequences of events that the model once found to go wrong, as short as they could be made."""

from typing import Any

from tests.relay.test_relay_model import Machine, MachineTestCase

Step = tuple[str, dict[str, Any]]


def isolated(channel: str, tenths: int, *, is_heard: bool = True) -> Step:
    """The owner loses the engine for some tenths of a second."""
    return "isolate_owner", {"channel": channel, "tenths": tenths, "is_heard": is_heard}


def joined(node: int, channel: str) -> Step:
    """Somebody follows a channel on a node."""
    return "join", {"node": node, "channel": channel}


def waited(tenths: int, steps: int) -> Step:
    """Time passes, with so many commands of the engine every tenth of a second."""
    return "wait", {"tenths": tenths, "steps": steps}


def said(channel: str, count: int, *, end: bool = True) -> Step:
    """The broker says something; the job ends with that, unless it is too early in the test."""
    return "speak", {"channel": channel, "count": count, "end": end}


RESTARTED: list[Step] = [("stop_engine", {"is_up": False}), ("stop_engine", {"is_up": True})]


class SequenceTests(MachineTestCase):
    """Each follower's list is the log in the end, and its beginning until then."""

    def play(self, *steps: Step) -> None:
        """Let this happen, and check it after every step, and in the end."""
        machine = Machine()
        machine.begin()
        for name, values in steps:
            if name != "isolate_owner" or machine.owner is not None:
                getattr(machine, name)(**values)
            machine.nothing_wrong_is_read()
        machine.teardown()

    def test_late_after_two_owners(self) -> None:
        """What an owner hands over to the next but one was pushed already, under another epoch."""
        self.play(
            joined(1, "a"),
            ("speak", {"channel": "a", "count": 1, "end": False}),
            *RESTARTED,
            waited(8, 3),
            isolated("c", 43),
            waited(26, 0),
        )

    def test_late_of_two_owners(self) -> None:
        """Two owners, one after the other, could not push; the engine restarts between."""
        self.play(
            joined(1, "b"),
            isolated("b", 48),
            *RESTARTED,
            waited(3, 3),
            isolated("a", 44),
            waited(15, 0),
        )
        self.play(joined(2, "c"), isolated("c", 5), *RESTARTED, isolated("c", 47), waited(19, 0))

    def test_owner_lost_while_another_hands_over(self) -> None:
        """The next owner, too, waits for what the first still hears from the broker."""
        self.play(
            joined(2, "b"),
            isolated("b", 55),
            ("cut_for_longer", {"node": 1, "is_cut": True}),
            waited(14, 1000),
            ("speak", {"channel": "b", "count": 4, "end": False}),
            ("stop_engine", {"is_up": False}),
        )

    def test_fenced_off_while_taking_over(self) -> None:
        """A node that takes over so slowly that another one does is an edge again."""
        self.play(
            isolated("a", 19),
            RESTARTED[0],
            waited(13, 3),
            ("terminate", {"node": 2}),
            RESTARTED[1],
            waited(20, 0),
            ("crash", {"node": 0, "is_heard": False}),
            waited(13, 3),
            joined(0, "c"),
            waited(29, 1),
            ("some_commands", {"steps": 3}),
            waited(20, 0),
        )

    def test_waiting_while_another_leaves(self) -> None:
        """Who waits for a channel begins, though one leaves who has followed it from before."""
        self.play(
            joined(1, "b"),
            isolated("a", 36),
            waited(7, 1000),
            isolated("a", 45, is_heard=False),
            waited(38, 0),
            ("some_commands", {"steps": 3}),
            joined(1, "b"),
            ("leave", {"index": 0}),
        )

    def test_dies_while_handing_over(self) -> None:
        """Nobody waits for the rest of a process that was killed, once another is in its place."""
        self.play(
            isolated("b", 45, is_heard=False),
            waited(28, 3),
            ("crash", {"node": 0, "is_heard": True}),
            RESTARTED[0],
            isolated("b", 9, is_heard=False),
        )

    def test_ended_while_read(self) -> None:
        """A job begins and ends just when a node has not found it and asks how it ended."""
        self.play(
            joined(2, "c"),
            said("b", 2),
            joined(2, "a"),
            said("c", 4),
            ("cut_once", {"is_heard": False, "node": 2}),
            said("b", 5),
            said("c", 2, end=False),
            joined(0, "a"),
            said("c", 5),
            said("b", 1),
            said("b", 1, end=False),
            said("c", 3),
            said("b", 3, end=False),
            said("c", 5),
        )
