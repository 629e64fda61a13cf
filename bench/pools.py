"""The thread pools that this process has loaded. Empty without threadpoolctl."""

from __future__ import annotations

import importlib
from typing import Any


def thread_pools() -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = importlib.import_module("threadpoolctl").threadpool_info()
    except ImportError:
        return []
    return found
