"""The error for a variable of the environment whose value is not one that it may have."""

from __future__ import annotations


class SettingError(ValueError):
    """A variable of the environment has a value that it may not have: an error of the call that reads it."""
