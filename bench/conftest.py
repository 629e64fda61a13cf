"""`pytest bench --benchmark-only` works beside the project's --benchmark-skip, which is for `pytest`."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("benchmark_only", False):
        config.option.benchmark_skip = False
