"""What is concluded from what the monitor tells."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import __version__
from recodex_monitor.doctor import state
from recodex_monitor.doctor.context import Context
from recodex_monitor.settings import export
from recodex_monitor.tools.status_client import Target
from tests.doctor.support import context, levels, said

NEVER = {"cause": "never-connected", "text": "no broker has connected"}
BROKER = {"connected": 1, "since": 90.0, "last": 95.0, "address": "127.0.0.1:7894"}


def told(**changed: Any) -> Context:
    """A context whose monitor is well, but for what is given."""
    made = context()
    running = {**export.shown(made.settings), "version": __version__}
    parts: dict[str, Any] = {"now": 100.0, "uptime": 50.0, "settings": running, "broker": BROKER}
    made.told = {**parts, "hints": [], "followers": 3, "slow": 0, **changed}
    made.status = Target(None, "http://h", "status_uri")  # type: ignore[arg-type]
    return made


class StatusTests(SynchronousTestCase):
    """The status page, and the settings in force."""

    def test_answers(self) -> None:
        """It answers, or it is not there, or it does not answer."""
        self.assertEqual(levels(list(state.status(told()))), {"status": "ok", "in-force": "ok"})
        self.assertEqual(levels(list(state.status(context()))), {"status": "warn"})
        silent = context("status_uri: [127.0.0.1, 4568]")
        self.assertEqual(levels(list(state.status(silent))), {"status": "FAIL"})

    def test_hints(self) -> None:
        """What is wrong with the monitor itself is told with it, and each cause in one place."""
        causes = ("lag", "not-ready", "history", "refused", "never-connected", "node-behind")
        hints = [{"cause": one, "text": one, "remedy": f"mend {one}"} for one in causes]
        made = told(hints=hints)
        found = list(state.status(made))
        self.assertEqual([one.seen for one in found[1:3]], ["lag: lag", "not-ready: not-ready"])
        self.assertEqual([one.level for one in found[1:3]], ["warn", "FAIL"])
        self.assertEqual([one.remedy for one in state.history(made)], ["mend history"])
        self.assertIn("refused: refused", said(list(state.clients(made)), "clients"))

    def test_in_force(self) -> None:
        """Settings and a version that are not in force are named."""
        settings = {**export.shown(context().settings), "version": __version__}
        other = {**settings, "limits": {**settings["limits"], "heartbeat": 7}}
        found = list(state.status(told(settings=other)))
        self.assertIn("limits.heartbeat", said(found, "in-force"))
        found = list(state.status(told(settings={**settings, "version": "0.1"})))
        self.assertIn("0.1 runs", said(found, "in-force"))


class BrokerTests(SynchronousTestCase):
    """The broker."""

    def test_levels(self) -> None:
        """It is connected, was never, or is with another node."""
        found = list(state.broker(told()))
        self.assertEqual(levels(found), {"broker": "ok"})
        self.assertIn("for 10 s; its last message came 5 s ago", said(found, "broker"))
        away = {**BROKER, "connected": 0}
        for hints in ([NEVER], []):
            self.assertEqual(
                levels(list(state.broker(told(broker=away, hints=hints)))), {"broker": "FAIL"}
            )
        self.assertEqual(levels(list(state.broker(context()))), {"broker": "warn"})
        nodes = [{"name": "a", "status": "", "broker": True}]
        cluster = {"owner": "a", "node": "b", "nodes": nodes}
        self.assertIn("a owns", said(list(state.broker(told(cluster=cluster))), "broker"))

    def test_its_configuration(self) -> None:
        """Another port or address in the broker's own file is named, with what is right."""
        file = Path(self.mktemp())
        made = context("zeromq_uri: ['127.0.0.1', 7894]")
        made.broker_config = str(file)
        self.assertEqual(list(state.broker_config(made)), [])
        for text, level in (
            ("monitor: {address: 127.0.0.1, port: 7894}", "ok"),
            ("monitor: {address: localhost, port: 7894}", "ok"),
            ("{}", "ok"),
            ("monitor: {address: 127.0.0.1, port: 4567}", "FAIL"),
            ("monitor: {address: 192.0.2.1, port: 7894}", "FAIL"),
            ("monitor: [", "warn"),
        ):
            file.write_text(text)
            self.assertEqual(
                levels(list(state.broker_config(made))), {"broker-config": level}, text
            )


class ClientTests(SynchronousTestCase):
    """Who was refused."""

    def test_levels(self) -> None:
        """Pages that were refused lately are named; old refusals are not."""
        self.assertEqual(levels(list(state.clients(told()))), {"clients": "ok"})
        one = {"origin": "https://x", "count": 4, "last": 99.0}
        found = list(state.clients(told(refused_origins=[one], now=100.0)))
        self.assertIn("https://x", said(found, "clients"))
        old = told(refused_origins=[{**one, "last": 99.0}], now=9999.0)
        self.assertEqual(levels(list(state.clients(old))), {"clients": "ok"})
        proxy = {"cause": "proxy", "text": "many"}
        self.assertEqual(levels(list(state.clients(told(hints=[proxy])))), {"clients": "warn"})


class ClusterTests(SynchronousTestCase):
    """Nodes."""

    def test_levels(self) -> None:
        """All is well; or the engine is away, or versions differ."""
        node = {"name": "a", "role": "owner", "followers": 1, "version": "2", "status": ""}
        cluster: dict[str, Any] = {"owner": "a", "node": "a", "nodes": [node]}
        cluster["engine"] = {"up": True, "address": "h:6379"}
        self.assertEqual(levels(list(state.cluster(told(cluster=cluster)))), {"cluster": "ok"})
        cluster["nodes"] = [node, {**node, "name": "b", "version": "3"}]
        self.assertIn("2, 3", said(list(state.cluster(told(cluster=cluster))), "cluster"))
        cluster["engine"] = {"up": False}
        hints = [{"cause": "engine-away", "text": "it is away"}]
        found = list(state.cluster(told(cluster=cluster, hints=hints)))
        self.assertEqual(levels(found), {"cluster": "FAIL"})
        self.assertEqual(list(state.cluster(told())), [])

    def test_settings(self) -> None:
        """The settings of another node are read from what it tells."""
        known = {**export.shown(context("zeromq_uri: ['*', 9]").settings), "version": "1"}
        found = state.settings_of({"settings": known})
        assert found is not None
        self.assertEqual(str(found.zeromq_uri), "*:9")
        self.assertIsNone(state.settings_of(None))
        self.assertIsNone(state.settings_of({"settings": {"x": 1}}))
