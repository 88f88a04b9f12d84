"""Whether the process can open the files that a start takes.

Without them ZeroMQ would end the process by an abort, which says nothing of the cause.
"""

import os
import resource

TO_START = 40
"""Files that a monitor opens until it runs, with room for what its libraries open briefly."""


def raise_limit() -> int:
    """Let the process open as many files as it may; returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def require(count: int = TO_START) -> None:
    """Check that this many files can be opened.

    Raises:
        OSError: they cannot; the text says why and what to do.
    """
    limit = raise_limit()
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        why = f"only {len(opened)} files can be opened, and a start takes {count}: {error.strerror}"
        how = "set LimitNOFILE in the systemd unit, elsewhere `ulimit -n`"
        raise OSError(error.errno, f"{why} (the limit is {limit}; {how})") from None
    finally:
        for descriptor in opened:
            os.close(descriptor)
