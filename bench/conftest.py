"""Let `pytest bench --benchmark-only` override the project's default option --benchmark-skip."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("benchmark_only", False):
        config.option.benchmark_skip = False
