"""What the tests on a GPU share."""

from __future__ import annotations

from pathlib import Path

import pytest
from on_gpu import is_another_backend


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of NumPy's that go through several backends and libraries run once here."""
    items[:] = [
        item for item in items if item.path.parent != Path(__file__).parent or not is_another_backend(item)
    ]
