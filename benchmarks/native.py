"""Builds the C programs of the benchmark when they are first needed."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
FLAGS = ("-O2", "-flto", "-Wall", "-Wextra", "-std=gnu11")


class MissingTool(Exception):
    """Something that the benchmark needs is missing; the text says what."""


def cache_folder() -> Path:
    """Return the folder for built programs; create it if it does not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "recodex-monitor-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build(name: str) -> Path:
    """Return the program built from ``NAME*.c``; compile it if a source or header has changed.

    Raises:
        MissingTool: there is no C compiler or no libzmq to build it with.
    """
    sources = sorted(HERE.glob(f"{name}*.c"))
    texts = [one.read_bytes() for one in (*sources, *sorted(HERE.glob(f"{name}*.h")))]
    digest = hashlib.sha256(b"".join(texts) + repr(FLAGS).encode()).hexdigest()[:16]
    program = cache_folder() / f"{name}-{digest}"
    if not program.exists():
        _compile(sources, program)
    return program


def _compile(sources: Sequence[Path], program: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise MissingTool("no C compiler: `cc` is not on the PATH (Debian: apt install gcc)")
    # Renamed when complete: an interrupted build leaves no broken program.
    partial = program.with_name(f"{program.name}.{os.getpid()}")
    command = [compiler, *FLAGS, "-o", str(partial), *map(str, sources), "-lzmq"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        partial.unlink(missing_ok=True)
        raise MissingTool(_explain(program.name, result.stderr))
    partial.rename(program)


def _explain(name: str, errors: str) -> str:
    if "zmq.h" in errors or "-lzmq" in errors:
        return "libzmq's header or library is missing (Debian: apt install libzmq3-dev)"
    return f"{name} does not compile:\n{errors}"
