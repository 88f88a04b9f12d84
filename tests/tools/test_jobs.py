"""Tests of simulated jobs and of reading captures."""

import base64
import json
import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools import jobs
from recodex_monitor.tools.jobs import Frames

_outcomes = st.sampled_from(list(jobs.OUTCOMES))
_messages = st.lists(st.lists(st.binary(max_size=3), min_size=1, max_size=4), max_size=30)


def _commands(outcome: str, tasks: int = 10, seed: int = 1) -> list[bytes]:
    return [frames[1] for frames in jobs.make_job(random.Random(seed), tasks, outcome)]


def _task_states(outcome: str, tasks: int = 10, seed: int = 1) -> list[tuple[bytes, bytes]]:
    made = jobs.make_job(random.Random(seed), tasks, outcome)
    return [(frames[2], frames[3]) for frames in made if frames[1] == b"TASK"]


class MakeJobTests(SynchronousTestCase):
    """A simulated job has the messages that the broker would send."""

    @given(st.integers(), st.integers(0, 50), _outcomes)
    def test_any_job(self, seed: int, tasks: int, outcome: str) -> None:
        """All messages are on one student's channel, and only tasks have more frames."""
        made = jobs.make_job(random.Random(seed), tasks, outcome)
        (channel,) = jobs.channels(made)
        self.assertRegex(channel, rb"\Astudent_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
        for frames in made:
            self.assertEqual(len(frames), 4 if frames[1] == b"TASK" else 2)

    @given(st.integers(), st.integers(0, 50), _outcomes)
    def test_seed(self, seed: int, tasks: int, outcome: str) -> None:
        """The same seed makes the same job."""
        first, second = (jobs.make_job(random.Random(seed), tasks, outcome) for _ in range(2))
        self.assertEqual(first, second)

    def test_channels_differ(self) -> None:
        """Two jobs from one random generator have different channels."""
        rng = random.Random(1)
        made = [jobs.make_job(rng, 1, "normal") for _ in range(2)]
        self.assertNotEqual(made[0][0][0], made[1][0][0])

    @given(st.integers(0, 50))
    def test_normal(self, tasks: int) -> None:
        """A normal job completes the given number of tasks, each once."""
        ended = [b"ENDED", b"UPLOADED", b"FINISHED"]
        expected = [b"DOWNLOADED", b"STARTED", *[b"TASK"] * tasks, *ended]
        self.assertEqual(_commands("normal", tasks), expected)
        states = _task_states("normal", tasks)
        self.assertEqual(len(dict(states)), tasks)
        self.assertEqual({state for _, state in states} - {b"COMPLETED"}, set())

    @given(st.integers(2, 50), st.integers())
    def test_failing(self, tasks: int, seed: int) -> None:
        """A run fails, the judge after it is skipped, and the job ends like any other."""
        states = _task_states("failing", tasks, seed)
        self.assertEqual(_commands("failing", tasks, seed), _commands("normal", tasks))
        failed = [number for number, (_, state) in enumerate(states) if state == b"FAILED"]
        skipped = [number for number, (_, state) in enumerate(states) if state == b"SKIPPED"]
        self.assertGreater(len(failed), 0)
        self.assertEqual(sorted(skipped), sorted(number + 1 for number in failed))
        self.assertTrue(all(states[number][0].endswith(b".run") for number in failed))

    @given(st.integers(1, 50), st.integers())
    def test_fatal(self, tasks: int, seed: int) -> None:
        """After the failed task only the ordinary end follows."""
        states = [state for _, state in _task_states("fatal", tasks, seed)]
        self.assertEqual(states, [b"COMPLETED"] * (len(states) - 1) + [b"FAILED"])
        self.assertLessEqual(len(states), tasks)
        self.assertEqual(_commands("fatal", tasks, seed)[-3:], [b"ENDED", b"UPLOADED", b"FINISHED"])

    def test_failures_of_the_job(self) -> None:
        """Jobs that fail before any task have the messages of a real broker."""
        self.assertEqual(_commands("build-failure"), [b"DOWNLOADED", b"FAILED", b"FINISHED"])
        self.assertEqual(_commands("rejected"), [b"FAILED"])
        self.assertEqual(_commands("overtaken"), [b"DOWNLOADED", b"FAILED", b"ABORTED"])

    def test_restarted(self) -> None:
        """After the abort the whole job follows."""
        commands = _commands("restarted")
        abort = commands.index(b"ABORTED")
        self.assertEqual(commands[:2], [b"DOWNLOADED", b"STARTED"])
        self.assertEqual(commands[abort + 1 :], _commands("normal"))

    @given(st.integers(0, 50))
    def test_never_finished(self, tasks: int) -> None:
        """If the broker gives up, its FAILED is the last message; there is no FINISHED."""
        for outcome, aborts in (("rejected", 0), ("lost", 0), ("exhausted", 3)):
            commands = _commands(outcome, tasks)
            self.assertEqual(commands[-1], b"FAILED")
            self.assertEqual(commands.count(b"ABORTED"), aborts)
            self.assertNotIn(b"FINISHED", commands)

    def test_unknown_outcome(self) -> None:
        """An unknown outcome is refused."""
        self.assertRaises(ValueError, jobs.make_job, random.Random(1), 1, "lucky")


class OrderTests(SynchronousTestCase):
    """Jobs run at the same time, each at its own pace."""

    @given(st.lists(st.lists(st.integers(), max_size=9), max_size=9))
    def test_interleave(self, numbers: list[list[int]]) -> None:
        """No message is lost, and every job keeps its order."""
        made = [[[b"%d" % job, b"%d" % n] for n in ns] for job, ns in enumerate(numbers)]
        mixed = jobs.interleave(made)
        self.assertEqual(len(mixed), sum(map(len, made)))
        for job, messages in enumerate(made):
            self.assertEqual([f for f in mixed if f[0] == b"%d" % job], messages)

    def test_interleave_in_turn(self) -> None:
        """The jobs take turns."""
        mixed = jobs.interleave([[[b"a"], [b"a"], [b"a"]], [[b"b"]], [[b"c"], [b"c"]]])
        self.assertEqual(b"".join(frames[0] for frames in mixed), b"abcaca")

    @given(_messages)
    def test_channels(self, messages: list[Frames]) -> None:
        """Every channel is named once, in the order of appearance."""
        found = jobs.channels(messages)
        self.assertEqual(set(found), {frames[0] for frames in messages})
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual(found[:1], [frames[0] for frames in messages[:1]])

    @given(_messages)
    def test_paced(self, messages: list[Frames]) -> None:
        """The order is kept, and two messages of a channel are at least the pace apart."""
        now, last = 0.0, dict[bytes, float]()
        paced = list(jobs.paced(messages, 0.5))
        self.assertEqual([frames for _, frames in paced], messages)
        for wait, (channel, *_) in paced:
            now += wait
            self.assertGreaterEqual(now - last.get(channel, -1.0), 0.5)
            last[channel] = now

    def test_paced_side_by_side(self) -> None:
        """Messages of different channels do not wait for each other."""
        messages = [[b"a"], [b"b"], [b"a"], [b"b"]]
        self.assertEqual([wait for wait, _ in jobs.paced(messages, 2)], [0, 0, 2, 0])


class ReadCaptureTests(SynchronousTestCase):
    """A capture gives what the broker sent, and nothing else."""

    @given(_messages)
    def test_any_frames(self, messages: list[Frames]) -> None:
        """Frames of any bytes are read unchanged."""
        lines = [
            json.dumps(
                {"type": "zmq", "frames": [{"b64": base64.b64encode(f).decode()} for f in frames]}
            )
            for frames in messages
        ]
        self.assertEqual(jobs.read_capture(lines), messages)

    def test_text_and_other_lines(self) -> None:
        """Frames may be text; lines of other types are skipped."""
        lines = [
            '{"type": "meta", "format": 1}',
            '{"type": "zmq", "frames": ["id", "TASK", {"b64": "//4="}]}',
            '{"type": "ws", "event": "open"}',
        ]
        self.assertEqual(jobs.read_capture(lines), [[b"id", b"TASK", b"\xff\xfe"]])

    def test_mistakes(self) -> None:
        """A line that does not belong to a capture is refused with its number."""
        for bad in (
            "", "x", "3", "[]", "{}", '{"type": "zmq"}', '{"type": "zmq", "frames": []}',
            '{"type": "zmq", "frames": "id"}', '{"type": "zmq", "frames": [1]}',
            '{"type": "zmq", "frames": [{}]}', '{"type": "zmq", "frames": [{"b64": "?"}]}',
            '{"type": "zmq", "frames": ["\\ud800"]}', "[" * 100_000,
        ):  # fmt: skip
            with self.assertRaisesRegex(ValueError, "line 2 "):
                jobs.read_capture(['{"type": "meta"}', bad])
