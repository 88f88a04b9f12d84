"""Where a job is played, and where that is not even tried."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor import broker_side
from recodex_monitor.doctor.broker_side import CannotPlay, endpoint_of
from recodex_monitor.doctor.trial import _endpoint
from tests.doctor.support import context


class EndpointTests(SynchronousTestCase):
    """Where a broker connects."""

    def test_of_settings(self) -> None:
        """It is zeromq_uri, as it is reached from here, or another node's."""
        for text, host, found in (
            ("{}", "", "tcp://127.0.0.1:7894"),
            ("zeromq_uri: ['*', 9]", "", "tcp://127.0.0.1:9"),
            ("zeromq_uri: ['::', 9]", "", "tcp://[::1]:9"),
            ("zeromq_uri: ['*', 9]", "10.0.0.2", "tcp://10.0.0.2:9"),
            ("zeromq_uri: ['10.0.0.1', 9]", "10.0.0.2", "tcp://10.0.0.1:9"),
            ("zeromq_uri: 'ipc:/run/m'", "", "ipc:///run/m"),
        ):
            self.assertEqual(endpoint_of(context(text).settings, host), found)

    def test_given(self) -> None:
        """What is asked for comes first; an owner that does not tell is no failure."""
        made = context(cluster={"owner": "a", "node": "b", "nodes": []})
        error = self.assertRaises(CannotPlay, _endpoint, made)
        self.assertFalse(error.is_wrong)
        made.zmq = "tcp://h:1"
        self.assertEqual(_endpoint(made), "tcp://h:1")

    def test_not_tried(self) -> None:
        """What the monitor would refuse is not tried: it would count as a broker's failure."""
        for text in (
            "zeromq: {allowed_networks: ['192.0.2.0/24']}",
            "zeromq: {curve_key: k, curve_clients: c}",
        ):
            zeromq = context(text).settings.zeromq
            error = self.assertRaises(
                CannotPlay, broker_side._check, "tcp://127.0.0.1:7894", zeromq, None
            )
            self.assertFalse(error.is_wrong)
        broker_side._check("tcp://192.0.2.1:7894", zeromq, "key")
