"""The progress bar of the driver: tqdm's, or lines of text on a machine that has no tqdm."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any


class Lines:
    """What the driver uses of tqdm: every workload is a line on the standard error stream."""

    def __init__(self, items: Sequence[Any] = (), total: int | None = None, unit: str = "") -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def set_description(self, text: str) -> None:
        self.write(text)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Too much for lines."""

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
