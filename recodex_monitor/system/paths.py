"""Paths that lead to something of the system instead of a file: our descriptors, links in /dev."""

import os
import re

SYSTEM = ("/dev", "/proc")
"""Folders in which nothing is made."""


def descriptor_of(path: str) -> int | None:
    """The number of our own descriptor to which a path leads, as /dev/stdout does; else None."""
    own = re.compile(rf"/proc/{os.getpid()}/(?:task/\d+/)?fd/(\d+)")
    for step in _steps(path):
        if match := own.fullmatch(step):
            return int(match[1])
    return None


def is_of_system(path: str) -> bool:
    """Whether a path leads by a link in /dev or /proc, whatever is at its end."""
    return any(
        step.startswith(("/dev/", "/proc/")) for step in _steps(path) if os.path.islink(step)
    )


def _steps(path: str) -> list[str]:
    """A path, and the paths to which its links lead, one after the other."""
    steps: list[str] = []
    while len(steps) < 40:  # as many links as Linux follows
        folder, name = os.path.split(os.path.abspath(path))
        path = os.path.join(os.path.realpath(folder), name)
        steps.append(path)
        if not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return steps
