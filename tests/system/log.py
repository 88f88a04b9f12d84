"""What the tests of the log share: a log in a folder of its own."""

import io
import re
import sys
from pathlib import Path
from typing import Any

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import schema
from recodex_monitor.system.log import Log

LINE = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] \[recodex-monitor\] "


class LogTestCase(SynchronousTestCase):
    """A log in a new folder, and a captured standard error."""

    def setUp(self) -> None:
        """Make both."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "monitor.log"
        self.stderr = io.StringIO()
        self.patch(sys, "__stderr__", self.stderr)

    def open(self, level: str = "info", max_size: int = 0, rotations: int = 0, **more: Any) -> Log:
        """Open the log, and let ``logger`` write to it."""
        log = Log(schema.Logger(str(self.path), level, max_size, rotations, **more))
        self.logger = Logger("recodex_monitor.test", observer=log)
        return log

    def lines(self, file: str = "monitor.log") -> list[str]:
        """The lines of one of the log's files, without their time."""
        text = (self.folder / file).read_text("utf-8")
        return [re.sub(f"^{LINE}", "", line) for line in text.splitlines()]
