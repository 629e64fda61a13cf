"""Sums of float32 over many rows: the statements that move them to float64 every so often.

For `sum(x, axis=0)` the program has, after each row, and after the last:

    if row & 63 == 63:
        for element in range(n1):
            d1[element] += float64(s1[element])
            s1[element] = float32(0.0)

    for element in range(n1):
        s1[element] = float32(d1[element] + float64(s1[element]))
"""

from __future__ import annotations

from ..codegen.text import Lines
from ..codegen.totals import BLOCKS_OF_PART, ROWS_OF_PART, is_kept_wide
from ..ir.graph import Node
from ..ir.operations import Op


def start(node: Node, size: str, lines: Lines) -> None:
    """The total before the first block of a worker."""
    if node.operation is Op.MATMUL:
        lines.add(f"if last - first > {BLOCKS_OF_PART}:")
        lines = lines.deeper()
    lines.add(f"for element in range({size}):")
    lines.add(f"    d{node.number}[element] = 0.0")


def after_row(node: Node, size: str, lines: Lines) -> None:
    """Move the part after its last row."""
    lines.add(f"if row & {ROWS_OF_PART - 1} == {ROWS_OF_PART - 1}:")
    _move(node, size, lines)
    lines.add(f"        s{node.number}[element] = float32(0.0)")


def before_block(node: Node, size: str, lines: Lines) -> None:
    """Move the part before the product of the next part's first block, which overwrites it."""
    lines.add(f"if block > first and (block - first) & {BLOCKS_OF_PART - 1} == 0:")
    _move(node, size, lines)


def is_first_block(node: Node) -> str:
    """The condition for the first block of a part of a product."""
    return f"(block - first) & {BLOCKS_OF_PART - 1} == 0" if is_kept_wide(node) else "block == first"


def _move(node: Node, size: str, lines: Lines) -> None:
    lines.add(f"    for element in range({size}):")
    lines.add(f"        d{node.number}[element] += float64(s{node.number}[element])")


def end(node: Node, size: str, lines: Lines) -> None:
    """The worker's sum, rounded once."""
    if node.operation is Op.MATMUL:
        lines.add(f"if last - first > {BLOCKS_OF_PART}:")
        lines = lines.deeper()
    part, total = f"s{node.number}[element]", f"d{node.number}[element]"
    lines.add(f"for element in range({size}):")
    lines.add(f"    {part} = float32({total} + float64({part}))")
