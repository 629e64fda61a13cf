"""The examples as modules: their `main` is called with options, and returns what it found."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
ON_NUMPY = ["--backend", "numpy", "--no-plot"]


def require_extra() -> None:
    """Skip the module that calls this where the packages of the examples are missing."""
    for package in ("matplotlib", "sklearn", "tqdm"):
        pytest.importorskip(package, reason="the extra `examples` is not installed")
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))


def run(example: str, *options: str) -> Any:
    """What the example's `main` returns."""
    return importlib.import_module(example).main(list(options))


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")
