"""The command that runs this process, for other processes and for people who paste it."""

import os
import shlex
import site
import sys
from pathlib import Path

NAME = "recodex-monitor"


def own_command() -> list[str]:
    """The command that runs this process, as words that work in every folder and environment.

    That is the installed command by its full path or, if Python was called with ``-m``, this
    Python. So the command's folder need not be in the ``PATH``.
    """
    script = Path(sys.argv[0]).absolute()
    if script.name == NAME and os.access(script, os.X_OK):
        return [str(script)]
    command = [sys.executable, "-m", "recodex_monitor"]
    root = str(Path(__file__).parents[2])
    # From a source tree, `-m` finds the package only in the folder where it was called.
    return command if root in site.getsitepackages() else ["env", f"PYTHONPATH={root}", *command]


def pasted(*arguments: str) -> str:
    """The command with these arguments, quoted for a shell."""
    return shlex.join([*own_command(), *arguments])
