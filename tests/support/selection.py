"""Parameters of tests that run only where something is installed, or only with --exhaustive."""

from __future__ import annotations

from typing import Any

import pytest


def needing(requirement: str, *values: Any, **named: Any) -> Any:
    """A parameter that is left out where the requirement is missing: `values`, or the requirement's name."""
    return pytest.param(*(values or (requirement,)), marks=pytest.mark.needs(name=requirement), **named)


def exhaustively(*values: Any, when: bool = True, **named: Any) -> Any:
    """A parameter of runs with --exhaustive only; of every run unless `when`."""
    return pytest.param(*values, marks=[pytest.mark.exhaustive] * when, **named)


# NumPy's formulas in every run, and compiled with --exhaustive.
MOSTLY_NUMPY = pytest.mark.parametrize("backend", ["numpy", exhaustively("numba")], indirect=True)
