"""Who listens, by files as the kernel's."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor import ports
from recodex_monitor.settings.endpoints import Address, SocketFile
from tests.doctor.support import context, said

TCP = """  sl  local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
   0: 0100007F:11D7 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 100 1
   1: 0100007F:1ED6 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 101 1
   2: 0100007F:9999 0100007F:11D7 01 00000000:00000000 00:00000000 00000000 0 0 102 1
"""
TCP6 = """  sl  local_address
   0: 00000000000000000000000001000000:11D8 0:0 0A 0:0 00:0 0 0 0 103 1
"""
UNIX = """Num       RefCount Protocol Flags    Type St Inode Path
0000: 00000002 00000000 00010000 0001 01 104 /run/m/s
0000: 00000002 00000000 00000000 0001 03 105 /run/m/s
"""


class PortTests(SynchronousTestCase):
    """A machine with a monitor and another program."""

    def setUp(self) -> None:
        """Make the files."""
        self.proc = Path(self.mktemp())
        (self.proc / "net").mkdir(parents=True)
        for name, text in (("tcp", TCP), ("tcp6", TCP6), ("unix", UNIX)):
            (self.proc / "net" / name).write_text(text)
        self.patch(ports, "PROC", self.proc)
        self.run_process(7, "python3", "python3 -I -m recodex_monitor -c config.yml", 100, 104)
        self.run_process(8, "nginx", "nginx: master", 101)

    def run_process(self, pid: int, name: str, command: str, *inodes: int) -> None:
        """A process with these sockets."""
        folder = self.proc / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "comm").write_text(f"{name}\n")
        (folder / "cmdline").write_bytes(command.replace(" ", "\0").encode())
        for number, inode in enumerate(inodes):
            (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")

    def test_listening(self) -> None:
        """All kinds of sockets are found, those that listen."""
        found = ports.listening()
        self.assertEqual(
            [(one.host, one.port) for one in found],
            [("127.0.0.1", 4567), ("127.0.0.1", 7894), ("::1", 4568), ("/run/m/s", 0)],
        )
        for endpoint, inodes in (
            (Address("127.0.0.1", 4567), ["100"]),
            (Address("*", 4567), ["100"]),
            (Address("192.0.2.1", 4567), []),
            (SocketFile("/run/m/s", "unix"), ["104"]),
        ):
            self.assertEqual([one.inode for one in ports.at(endpoint, found)], inodes)

    def test_check(self) -> None:
        """The monitor, a stranger and nobody are told apart."""
        text = "status_uri: ['127.0.0.1', 9]"
        first, second, third = ports.check(context(text))
        self.assertEqual((first.level, "python3 (pid 7)" in first.seen), ("ok", True))
        self.assertEqual((second.level, "nginx (pid 8)" in second.seen), ("FAIL", True))
        self.assertEqual((third.level, "nothing listens" in third.seen), ("FAIL", True))

    def test_monitor(self) -> None:
        """The monitor's process is the one that has its port."""
        found = ports.monitor(context())
        assert found is not None
        self.assertEqual(found.pid, 7)
        elsewhere = context("websocket_uri: ['127.0.0.1', 7]\nzeromq_uri: [h, 8]")
        self.assertIsNone(ports.monitor(elsewhere))

    def test_edge(self) -> None:
        """A node that does not own does not listen for the broker."""
        nodes = [{"name": "a", "status": ""}]
        made = context(cluster={"owner": "a", "node": "b", "nodes": nodes})
        self.assertIn("another node owns", said(list(ports.check(made)), "ports"))
