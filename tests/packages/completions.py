"""Tries the completions in the shells that they are for, as somebody at a terminal would."""

import os
import pty
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

_TIMEOUT = 20.0


def try_completions(share: Path) -> None:
    """Complete a command and an option in each shell that is installed.

    Args:
        share: the folder in which the completions are, such as /usr/share.

    Raises:
        AssertionError: a shell does not complete them.
    """
    functions = next(iter(share.glob("zsh/*/_recodex-monitor"))).parent
    fish = share / "fish/vendor_completions.d/recodex-monitor.fish"
    for words, whole in (("stat", "status"), ("status --wat", "--watch")):
        if shutil.which("fish"):
            told = _fish(fish, f"recodex-monitor {words}")
            assert told.split()[0] == whole, told
        if shutil.which("zsh"):
            shown = _zsh(functions, f"recodex-monitor {words}", whole)
            assert whole in shown, shown


def _fish(file: Path, line: str) -> str:
    script = f"source {file}; complete --do-complete '{line}'"
    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def _zsh(functions: Path, line: str, whole: str) -> str:
    """What an interactive zsh shows when TAB is pressed after a line."""
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": "/nonexistent"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
    try:
        begin = f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D"
        os.write(terminal, f"{begin}; echo rea''dy\n".encode())
        _read(terminal, "ready\r")
        os.write(terminal, f"{line}\t".encode())
        return _read(terminal, f"{whole} ")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def _read(terminal: int, until: str) -> str:
    """What a terminal shows until a text comes, or it takes too long."""
    shown, deadline = "", time.monotonic() + _TIMEOUT
    while until not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    return shown
