"""Which sums of float32 over many rows are added up in float64, and how often their parts are moved there.

A float32 total of millions of rows is so large that it takes in little of each further row, or nothing. So no
part of a sum is of more than a few rows. Parts are added up in float64, and the total of a worker is rounded
once, when all its rows are done. Where a part ends depends on numbers of rows and blocks alone.
"""

from __future__ import annotations

from ..ir.dtypes import FLOAT32, FLOAT64
from ..ir.graph import Node
from ..ir.nest import Buffer, BufferKind
from ..ir.operations import Op

# Powers of two. A product has rounded its block of rows by then, and adding up a matrix takes long.
ROWS_OF_PART, BLOCKS_OF_PART = 64, 64


def is_kept_wide(node: Node) -> bool:
    """Whether a sum over rows has a total in float64 beside its part; sums without axes are all float64."""
    return node.dtype == FLOAT32 and bool(node.axes) and node.operation in (Op.SUM, Op.MATMUL)


def total_of(node: Node, loop: int) -> Buffer:
    """The buffer of a worker's total. Of a product it is only there where a worker has many blocks."""
    kind = BufferKind.TOTAL if node.operation is Op.MATMUL else BufferKind.ROW
    return Buffer(f"d{node.number}", kind, FLOAT64, node.axes, loop=loop)


def is_used(blocks: int, workers: int) -> bool:
    """Whether any worker has more blocks than the part of a product has."""
    return -(-blocks // workers) > BLOCKS_OF_PART
