"""What the shared part of the printers asks of a dialect: how values, numbers and statements are spelled."""

from __future__ import annotations

from typing import Protocol

from ..ir.dtypes import DType
from ..ir.graph import Node
from ..ir.operations import Op


class Dialect(Protocol):
    """A module with these functions: `numba_dialect` or `cuda_dialect`."""

    def literal(self, number: object, dtype: DType) -> str:
        """A typed constant."""

    def elementwise(self, node: Node, operands: list[str]) -> str:
        """The expression of an elementwise operation."""

    def start(self, operation: Op, dtype: DType) -> str:
        """What a reduction of nothing is."""

    def join(self, operation: Op, dtype: DType, total: str, element: str) -> str:
        """`total` with one element more."""

    def declare(self, name: str, dtype: DType, value: str) -> str:
        """The statement that gives a value a name."""

    def read(self, place: str, dtype: DType) -> str:
        """A value out of its place in memory, where a bool is a byte."""

    def written(self, value: str, dtype: DType) -> str:
        """A value as it is put into memory."""

    def number_from(self, dtype: DType, slot: str) -> str:
        """A single number, out of its slot of `numbers`."""

    def index(self, text: str) -> str:
        """A position as a value of int64."""

    def flag(self, slot: int) -> str:
        """Where it is noted that an index was outside."""

    def inside(self, name: str, value: str, length: str, dtype: DType, flag: str) -> list[str]:
        """Statements that make of an index one inside: from the end where negative, then clamped.

        flag: what is set where it was outside; empty where nobody looks
        """
