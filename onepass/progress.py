"""The progress bar of a measurement: tqdm, or lines of text if tqdm is not installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any


class Lines:
    """The part of tqdm's interface that measurements use. Prints one line for each workload to stderr."""

    def __init__(self, items: Sequence[Any] = (), total: int | None = None, unit: str = "") -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def set_description(self, text: str) -> None:
        self.write(text)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Not shown: one line for each sample would be too much."""

    def update(self) -> None:
        pass

    def close(self) -> None:
        pass

    @staticmethod
    def write(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _bar() -> Any:
    try:
        return importlib.import_module("tqdm").tqdm
    except ImportError:
        return Lines


bar: Any = _bar()
