"""``python -m recodex_monitor`` is the ``recodex-monitor`` command."""

import sys

from recodex_monitor.system import signals


def main() -> int:
    """Run the command; signals are held before it is even imported, which takes a while."""
    signals.hold()
    from recodex_monitor import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
