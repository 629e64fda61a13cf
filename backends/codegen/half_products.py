"""Products of half precision: what they take from memory, and what they leave there.

A GPU multiplies matrices of 16 bits, and adds up in float32, many times faster than matrices of float32.
Takes a graph in which halves are computed with as float32; gives one in which the factors of every product
are held as the product takes them. `x @ w`, both in bfloat16, stays as it is. In the head of a classifier

    grad @ w.T      becomes      astype(grad) [held as bfloat16] @ w.T

so that the gradient is rounded where it is stored, and whatever else is computed from it has all its digits.
The factors of a product are held in, by the half precision of all floating arguments that it depends on,

    bfloat16   bfloat16, which has the range of float32.
    float16    float16, if the factors of all such products are arguments. What is computed may be too small
               or too large for float16, as gradients are. Then all are float32, and may be rounded to the 11
               bits that float16 has, too (`is_of_eleven_bits`). All, because a weight that only some products
               take as float32 would keep these from the loop over the rows that has the others.
    none       float32, if there are several, or an argument of float32.
"""

from __future__ import annotations

from ..ir.attributes import Held, View
from ..ir.dtypes import BFLOAT16, FLOAT16, FLOAT32, DType
from ..ir.graph import Graph, Node, base, walk
from ..ir.operations import Op
from .buffers import Rounding
from .rebuild import Rebuild
from .stages import Role, role


def multiply_in_halves(outputs: list[Node], rounding: Rounding) -> tuple[Graph, list[Node]]:
    """The graph of these outputs with the factors of its products in the dtypes that the products take."""
    factors = _Factors(outputs, rounding)
    graph, made = factors.run(outputs)
    return graph, [factors.rounded(old, new) for old, new in zip(outputs, made, strict=True)]


def is_of_eleven_bits(product: Node, rounding: Rounding) -> bool:
    """Whether the factors of a product may be rounded to 11 bits: its result is to float16."""
    return rounding.of(product) is FLOAT16


class _Factors(Rebuild):
    def __init__(self, outputs: list[Node], rounding: Rounding) -> None:
        super().__init__()
        self._rounding = rounding
        products = [node for node in walk(outputs) if node.operation is Op.MATMUL]
        computed = {base(factor).operation for node in products for factor in node.inputs} - {Op.INPUT}
        self._half = {None: FLOAT32, BFLOAT16: BFLOAT16, FLOAT16: FLOAT32 if computed else FLOAT16}
        # Whose memory is that of a result.
        self._results = {node for node in map(base, outputs) if not self._is_rounded_later(node)}

    def rebuilt(self, old: Node, inputs: list[Node]) -> Node:
        if old.operation is Op.MATMUL and old.dtype is FLOAT32:
            dtype = self._half[self._rounding.of(old)]
            inputs = [self._held(*factor, dtype, old) for factor in zip(old.inputs, inputs, strict=True)]
        return self.make(old.operation, inputs, old, old.shape, old.attribute)

    def _held(self, old: Node, factor: Node, dtype: DType, product: Node) -> Node:
        """A factor, or a view of it, in memory of this dtype.

        old: the factor in the graph before
        """
        source = base(factor)
        rounding = self._rounding
        half = rounding.of(base(old)) if base(old) in self._results else rounding.in_memory(source)
        if (half or source.dtype) is dtype:
            return factor
        held = self.make(Op.ASTYPE, [source], product, source.shape, Held(dtype))
        return held if source is factor else self.view(held, factor.attribute_as(View).dimensions, product)

    def _is_rounded_later(self, node: Node) -> bool:
        """Whether a result is a product that cannot leave its numbers rounded to a half precision.

        A sum over the rows of several blocks is added up in float32, and a product of float32 is one.
        """
        half = self._rounding.of(node)
        if node.operation is not Op.MATMUL or half is None:
            return False
        return role(node) is Role.SUM or self._half[half] is FLOAT32

    def rounded(self, old: Node, new: Node) -> Node:
        """A result, which is not the memory of a product that has to be rounded later."""
        source = base(new)
        if not self._is_rounded_later(base(old)):
            return new
        copy = self.make(Op.ASTYPE, [source], old, source.shape)
        return copy if source is new else self.view(copy, new.attribute_as(View).dimensions, old)
