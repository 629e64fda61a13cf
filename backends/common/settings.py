"""Settings: the error for a variable of the environment, and a value that holds in a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class SettingError(ValueError):
    """A variable of the environment has a value that it may not have: an error of the call that reads it."""


@contextmanager
def set_inside(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Context manager: the variable has this value in the block, in this thread and async task."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
