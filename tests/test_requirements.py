"""What is missing here: one skip for each, with the reason why tests were left out."""

from __future__ import annotations

import pytest
from requirements import REQUIREMENTS, missing


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_nothing_is_missing(requirement: str) -> None:
    if reason := missing(requirement):
        pytest.skip(f"{requirement}: {reason}; the tests that need it were left out")
