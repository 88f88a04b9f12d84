"""``python -m recodex_monitor`` is the ``recodex-monitor`` command."""

import sys

from recodex_monitor.cli import main

if __name__ == "__main__":
    sys.exit(main())
