"""Which sums of float32 over many rows are added up in float64, and how often their parts are moved there.

A float32 total of millions of rows is so large that it takes in little of each further row, or nothing. So no
part of a sum is of more than a few rows; parts are added up in float64, and the total of a share is rounded
once, when all its rows are done. Where a part ends depends on numbers of rows and blocks alone.
"""

from __future__ import annotations

from ..ir.dtypes import FLOAT32, FLOAT64
from ..ir.graph import Node
from ..ir.operations import Op
from .plan import Kind, Memory

# Powers of two. A product has rounded its block of rows by then, and adding up a matrix takes long.
ROWS_OF_PART, BLOCKS_OF_PART = 64, 64


def is_kept_wide(node: Node) -> bool:
    """Whether a sum over rows has a total in float64 beside its part; sums without axes are all float64."""
    return node.dtype == FLOAT32 and bool(node.axes) and node.operation in (Op.SUM, Op.MATMUL)


def total_of(node: Node, phase: int) -> Memory:
    """The memory of a share's total. Of a product it is only there where a share has many blocks."""
    kind: Kind = "total" if node.operation is Op.MATMUL else "row"
    return Memory(f"d{node.number}", kind, FLOAT64, node.axes, phase=phase)


def is_used(blocks: int, shares: int) -> bool:
    """Whether any share has more blocks than the part of a product has."""
    return -(-blocks // shares) > BLOCKS_OF_PART
