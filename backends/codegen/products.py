"""How matrix products are computed and shared out: chosen from sizes and layouts alone.

A product over the rows of both factors, `x.T @ grad`, is either

    added up over the rows   in the loop that computes `grad`: each worker has a part as large as the
                             result, adds to it with every block, and the parts are added up at the end
    by result                in a loop of its own over the rows of the result, in a later stage: `x` and
                             `grad` are in memory for all rows, and what is computed from the result,
                             such as the update of a weight, is computed in the same loop

The second has no parts and no barrier for them, and writes the result once. But `grad` has to be stored for
all rows, and `x` is read twice. For x of (128, 784) and grad of (128, 100) it is the better one. For a linear
head, whose `grad` has a column for each class of a vocabulary, it would need memory for all logits.

A product with a dimension of a few numbers, such as that of two features or ten classes, is computed in
loops. BLAS copies both factors into an order of its own, which takes longer than so small a product.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..ir.attributes import Layout, Transposes
from ..ir.graph import Node, base, walk
from ..ir.nest import Buffer, ProductWay
from ..ir.operations import Op
from .stages import Role, is_by_result, role
from .target import Target
from .totals import BLOCKS_OF_PART

# The result's rows are shared out, so there are enough for several blocks.
FEWEST_RESULT_ROWS = 128
# What is read twice costs little where each number of it is multiplied so often.
FEWEST_COLUMNS = 64
# BLAS adds up all rows in float32: as many as a part of blocks has that is added up in float32.
MOST_ROWS = 64 * BLOCKS_OF_PART
# What is stored for all rows may be so many times as large as the result. A worker's part of the result, and
# the result itself where only an update needs it, are not in memory then.
MOST_STORED = 2
# Loops over a dimension fill the vectors of a processor.
FULL_LOOP = 16
# Loops for ten columns take 50 ms each to compile, and are faster than BLAS only if they are so long.
LONG_LOOP = 256


def share_out_by_result(outputs: Iterable[Node]) -> None:
    """Mark the products over rows that are computed by rows of their result."""
    outputs = list(outputs)
    ends = {base(output) for output in outputs}
    for node in walk(outputs):
        if node.operation is Op.MATMUL and role(node) is Role.SUM and _pays(node, ends):
            node.attribute = replace(node.attribute_as(Transposes), by_result=True)


def _pays(node: Node, ends: set[Node]) -> bool:
    """Whether a product over rows is better computed by rows of its result."""
    if None in node.shape or any(source.operation is Op.VIEW for source in node.inputs):
        return False
    result_rows, columns = node.sizes()
    rows, _ = node.inputs[0].sizes()
    stored = sum(
        columns * rows
        for source, columns in zip(node.inputs, (result_rows, columns), strict=True)
        if role(source) is Role.ROW and source not in ends
    )
    return (
        result_rows >= FEWEST_RESULT_ROWS
        and columns >= FEWEST_COLUMNS
        and rows <= MOST_ROWS
        and stored <= MOST_STORED * result_rows * columns
    )


def way_of(node: Node, factors: Iterable[Buffer], target: Target) -> ProductWay:
    """What computes a product."""

    def is_few(numbers: int, length: int) -> bool:
        """Whether loops of this length, for so many numbers, are faster than BLAS."""
        few = target.few_of_long if length >= LONG_LOOP else target.few
        return numbers <= few and length >= FULL_LOOP

    if role(node) is Role.WHOLE or is_by_result(node):
        return ProductWay.BLAS
    if any(buffer.layout is Layout.COLUMNS for buffer in factors):
        return ProductWay.BLAS
    rows, columns = node.sizes()
    if role(node) is Role.SUM:
        if is_few(columns, rows):
            return ProductWay.FEW_COLUMNS
        return ProductWay.FEW_ROWS if is_few(rows, columns) else ProductWay.BLAS
    terms = node.inputs[0].sizes()[1]
    if is_few(terms, columns):
        return ProductWay.FEW_TERMS
    return ProductWay.FEW_COLUMNS if is_few(columns, terms) else ProductWay.BLAS
