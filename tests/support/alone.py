"""Tests that measure short times, and so run while no other test does."""

from collections.abc import Callable
from typing import Any


def alone(test: Callable[..., None]) -> Callable[..., None]:
    """Let ``python -m tests`` run a test method alone, after all others."""
    test.alone = True  # type: ignore[attr-defined]
    return test


def is_alone(test: Any) -> bool:
    """Whether a test case's method is to run alone."""
    method = getattr(test, getattr(test, "_testMethodName", ""), None)
    return getattr(method, "alone", False)
