"""Simplification: the same values from fewer and cheaper operations, with every axis known.

Takes a traced graph; gives a smaller one. Views of views are one view, `x ** 2` is `x * x`, `-(-x)` is x, a
product of one term an element is elementwise:

    v2 = pow(v0, 2.0)        becomes    v1 = multiply(v0, v0)

Afterwards the dimensions that an operation lines up are the same axis, so one loop can serve both, and no two
dimensions of a value run over one axis.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence

from ..ir.attributes import Attribute, BroadcastTo, Constant, Gather, Reduction, Reshape, Transposes, View
from ..ir.dtypes import INT64, PYTHON_TYPES, DType, python_dtype
from ..ir.facts import is_inside
from ..ir.graph import Axis, Graph, Node, Shape, base
from ..ir.operations import ELEMENTWISE, REDUCTIONS, Op
from .rebuild import Rebuild


class AxesConflictError(Exception):
    """Two dimensions of one value would become the same axis."""


class ReshapeError(Exception):
    """The cuts of two reshapes do not nest, so no axes serve both."""


class Axes:
    """Which axes stand together in one value, and so must stay two."""

    def __init__(self) -> None:
        self._together: dict[Axis, set[Axis]] = {}

    def note(self, shape: Shape) -> None:
        axes = {axis.find() for axis in shape if axis is not None}
        for axis in axes:
            self._together.setdefault(axis, set()).update(axes - {axis})

    def unify(self, a: Axis, b: Axis) -> None:
        a, b = a.find(), b.find()
        if a is b:
            return
        if a.parts and b.parts:
            self.align(a.parts, b.parts)
        beside_a, beside_b = self._together.get(a, set()), self._together.get(b, set())
        fewer, more = sorted((beside_a, beside_b), key=len)
        other = a if fewer is beside_b else b
        # An axis beside one is beside the other way round: the shorter set tells, and joins the longer one.
        if any(axis.find() is other for axis in fewer):
            raise AxesConflictError
        a.unify(b)
        more.update(fewer)
        self._together[a.find()] = more

    def align(self, one: Sequence[Axis], other: Sequence[Axis]) -> None:
        """Make two products of axes the same one.

        raises: ReshapeError where their cuts do not nest
        """
        mine, theirs = factors(one), factors(other)
        cuts = common_cuts([axis.size for axis in mine], [axis.size for axis in theirs])
        for first, second in zip(self.cut(mine, cuts), self.cut(theirs, cuts), strict=True):
            self.unify(first, second)

    def cut(self, axes: Sequence[Axis], sizes: Sequence[int]) -> list[Axis]:
        """Axes of these sizes; an axis that is the product of several gets them as parts."""
        left, found = list(sizes), []
        for axis in axes:
            own = [left.pop(0)]
            while math.prod(own) < axis.size:
                own.append(left.pop(0))
            if len(own) == 1:
                found.append(axis)
                continue
            parts = tuple(map(Axis, own))
            axis.find().parts = parts
            self.note(parts)
            found += parts
        return found


def factors(axes: Sequence[Axis]) -> list[Axis]:
    """The axes without parts that others are products of."""
    return [factor for axis in axes for factor in axis.factors()]


def require_apart(shape: Sequence[Axis | None]) -> None:
    """Raise an AxesConflictError where two dimensions have an axis in common."""
    found = factors([axis for axis in shape if axis is not None])
    if len(set(found)) < len(found):
        raise AxesConflictError


def common_cuts(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Sizes whose products are the sizes of both.

    raises: ReshapeError where there are none: of 2, 6 and 3, 4 neither nests in the other
    """
    ends = sorted({*itertools.accumulate(one, operator.mul), *itertools.accumulate(other, operator.mul)})
    found = []
    before = 1
    for end in ends:
        if end % before:
            raise ReshapeError
        found.append(end // before)
        before = end
    return found


def _apart(shape: Shape) -> Shape:
    """The shape with an axis for each dimension: of a product with itself both are the same one."""
    seen: set[Axis] = set()
    dimensions: list[Axis | None] = []
    for axis in shape:
        own = fresh(axis) if axis is not None and axis.find() in seen else axis
        dimensions.append(own)
        if own is not None:
            seen.add(own.find())
    return tuple(dimensions)


def fresh(axis: Axis | None) -> Axis | None:
    """Another axis of the same size."""
    return None if axis is None else Axis(axis.size, axis.find().source)


def simplify(graph: Graph, outputs: list[Node]) -> tuple[Graph, list[Node]]:
    """The outputs in a new graph."""
    return Simplified().run(outputs)


class Simplified(Rebuild):
    """The simplified graph while it is made; `known` maps nodes of the old one to its own."""

    def __init__(self) -> None:
        super().__init__()
        self.axes = Axes()

    def make(
        self,
        operation: Op,
        inputs: list[Node],
        old: Node,
        shape: Shape,
        attribute: Attribute | None = None,
        dtype: DType | None = None,
    ) -> Node:
        self.axes.note(shape)
        return super().make(operation, inputs, old, shape, attribute, dtype)

    def rebuilt(self, old: Node, inputs: list[Node]) -> Node:
        if old.operation is Op.VIEW:
            return self.view(inputs[0], old.attribute_as(View).dimensions, old)
        if old.operation is Op.MATMUL:
            return self.matmul(inputs, old)
        if old.operation in REDUCTIONS:
            return self.reduction(inputs[0], old)
        if old.operation is Op.TAKE_ALONG_AXIS:
            return self.take_along_axis(inputs, old)
        if old.operation is Op.TAKE:
            return self.take(inputs, old)
        if old.operation is Op.RESHAPE:
            return self.reshaped(inputs[0], old)
        if old.operation in MOVES:
            return MOVES[old.operation](self, inputs, old)
        if old.operation is Op.BROADCAST_TO:
            return self.elementwise(Op.BROADCAST_TO, inputs, old, old.attribute_as(BroadcastTo).shape)
        if old.operation in ELEMENTWISE:
            return self.plainer(old, inputs) or self.elementwise(old.operation, inputs, old, None)
        return self.make(old.operation, inputs, old, old.shape, old.attribute)

    def elementwise(
        self,
        operation: Op,
        inputs: list[Node],
        old: Node,
        target: Shape | None = None,
        dtype: DType | None = None,
    ) -> Node:
        """Line up the dimensions from the last on; a value whose own would fall together is copied first."""
        target = None if target is None else _apart(target)
        ndim = max([node.ndim for node in inputs] + [len(target or ())])
        missing: list[Axis | None] = [None] * (ndim - len(target or ()))
        shape = missing + list(target or ())
        if target is not None:
            self.axes.note(target)
        lined_up: list[Node] = []
        for node in inputs:
            while True:
                try:
                    for position in range(-node.ndim, 0):
                        axis = node.shape[position]
                        if axis is not None and shape[position] is not None:
                            self.axes.unify(axis, shape[position])  # type: ignore[arg-type]
                    trial = list(shape)
                    for position in range(-node.ndim, 0):
                        trial[position] = trial[position] or node.shape[position]
                    require_apart(trial)
                    self.axes.note(tuple(trial))
                    shape = trial
                    break
                except AxesConflictError:
                    node = self.copy(node)
            lined_up.append(node)
        # What is broadcast from the same number to two shapes is two values.
        attribute = BroadcastTo(tuple(shape)) if operation is Op.BROADCAST_TO else None
        return self.make(operation, lined_up, old, tuple(shape), attribute, dtype)

    def nothing(self, old: Node) -> Node:
        """A value without elements."""
        zero = self.make(Op.CONSTANT, [], old, (), Constant(PYTHON_TYPES[python_dtype(old.dtype)](0)))
        return self.elementwise(Op.BROADCAST_TO, [zero], old, old.shape)

    def reshaped(self, node: Node, old: Node) -> Node:
        """The same axes, some of them as the product of others."""
        sizes = old.attribute_as(Reshape).sizes
        if 0 in sizes:
            return self.nothing(old)
        own = factors([axis for axis in node.shape if axis is not None])
        wanted = [size for size in sizes if size != 1]
        left = self.axes.cut(own, common_cuts([axis.size for axis in own], wanted))
        target: list[Axis | None] = []
        for size in sizes:
            parts: list[Axis] = []
            while math.prod(axis.size for axis in parts) < size:
                parts.append(left.pop(0))
            if len(parts) < 2:
                target.append(parts[0] if parts else None)
                continue
            product = Axis(size)
            product.parts = tuple(parts)
            target.append(product)
        return self.make(Op.RESHAPE, [node], old, tuple(target), old.attribute)

    def copy(self, node: Node) -> Node:
        return self.make(Op.COPY, [node], node, tuple(map(fresh, node.shape)))

    def index(self, number: int, old: Node) -> Node:
        """An integer among indices."""
        return self.make(Op.CONSTANT, [], old, (), Constant(number), INT64)

    def gathered(self, inputs: list[Node], old: Node, ndim: int, attribute: Gather) -> Node:
        """Elements at indices, which broadcast with the dimensions that are taken as they are."""
        source, *indices = inputs
        shape: list[Axis | None] = [None] * ndim
        for axis, place in zip(source.shape, attribute.places, strict=True):
            if place >= 0:
                shape[place] = axis
        lined_up = []
        for index in indices:
            try:
                trial = self.with_index(shape, index)
            except AxesConflictError:
                index = self.copy(index)
                trial = self.with_index(shape, index)
            shape = trial
            lined_up.append(index)
        return self.make(Op.GATHER, [source, *lined_up], old, tuple(shape), attribute, source.dtype)

    def with_index(self, shape: list[Axis | None], index: Node) -> list[Axis | None]:
        """The shape with the dimensions of an index."""
        trial = list(shape)
        for position in range(-index.ndim, 0):
            mine, theirs = index.shape[position], trial[position]
            if mine is not None and theirs is not None:
                self.axes.unify(mine, theirs)
            trial[position] = theirs or mine
        require_apart(trial)
        self.axes.note(tuple(trial))
        return trial

    def plainer(self, old: Node, inputs: list[Node]) -> Node | None:
        """The same value without this operation, or with a cheaper one."""
        first = inputs[0]
        second = inputs[1] if len(inputs) > 1 else None
        number = _number(second)
        if old.operation is Op.NEGATIVE and first.operation is Op.NEGATIVE:
            return first.inputs[0]
        if old.operation is Op.POW and second is not None:
            if number == 2:
                return self.elementwise(Op.MULTIPLY, [first, first], old, None)
            if number == 3:
                square = self.elementwise(Op.MULTIPLY, [first, first], old, None)
                return self.elementwise(Op.MULTIPLY, [square, first], old, None)
            if number == 0.5 and old.dtype.is_float:
                return self.elementwise(Op.SQRT, [first], old, None)
        if number is not None and not (first.weak and not old.weak):
            nothing = (number == 1 and old.operation in (Op.MULTIPLY, Op.DIVIDE, Op.POW)) or (
                number == 0 and old.operation is Op.SUBTRACT and str(number) != "-0.0"
            )
            if nothing and first.ndim == old.ndim:
                return first
        if old.operation is Op.MULTIPLY and _number(first) == 1:
            assert second is not None
            return second if second.ndim == old.ndim else None
        return None

    def reduction(self, node: Node, old: Node) -> Node:
        """Along dimensions of 1, the element itself."""
        along = old.attribute_as(Reduction).dimensions
        kept = tuple(d for d in range(node.ndim) if d not in along)
        if all(node.shape[d] is None for d in along):
            return self.view(node, kept, old)
        return self.make(old.operation, [node], old, tuple(node.shape[d] for d in kept), old.attribute)

    def take_along_axis(self, inputs: list[Node], old: Node) -> Node:
        scores, index = inputs
        if scores.shape[0] is not None and index.shape[0] is not None:
            try:
                self.axes.unify(scores.shape[0], index.shape[0])
            except AxesConflictError:
                index = self.copy(index)
                self.axes.unify(scores.shape[0], index.shape[0])  # type: ignore[arg-type]
        if scores.shape[1] is None and is_inside(base(index), None):
            return scores
        return self.make(Op.TAKE_ALONG_AXIS, [scores, index], old, (scores.shape[0], None))

    def take(self, inputs: list[Node], old: Node) -> Node:
        vector, index = inputs
        if vector.shape[0] is not None or not is_inside(base(index), None):
            return self.make(Op.TAKE, inputs, old, index.shape)
        number = self.view(vector, (), old)
        if not any(index.shape):
            return self.view(number, (None,) * index.ndim, old)
        return self.elementwise(Op.BROADCAST_TO, [number], old, index.shape)

    def untransposed(self, node: Node) -> tuple[Node, bool]:
        """A factor as it is stored, and whether its two dimensions are exchanged in the product."""
        if node.operation is Op.VIEW:
            first, second = node.attribute_as(View).dimensions
            if first is not None and second is not None and first > second:
                return self.view(node.inputs[0], (second, first), node), True
        return node, False

    def matmul(self, inputs: list[Node], old: Node) -> Node:
        (a, transpose_a), (b, transpose_b) = map(self.untransposed, inputs)
        if inputs[0].shape[1] is None:
            # One term an element is no sum.
            return self.elementwise(Op.MULTIPLY, inputs, old, None)
        if inputs[0].shape[0] is None and inputs[1].shape[1] is None:
            row, column = self.view(inputs[0], (1,), old), self.view(inputs[1], (0,), old)
            terms = self.elementwise(Op.MULTIPLY, [row, column], old, None)
            return self.view(self.make(Op.SUM, [terms], old, (), Reduction((0,))), (None, None), old)
        if transpose_a and transpose_b:
            swapped = self.matmul([b, a], old)
            return self.view(swapped, (1, 0), old)
        if transpose_a and a.shape[0] is not None:
            try:
                self.axes.unify(a.shape[0], b.shape[0])  # type: ignore[arg-type]
            except AxesConflictError:
                b = self.copy(b)
                self.axes.unify(a.shape[0], b.shape[0])  # type: ignore[arg-type]
        rows = fresh(a.shape[1]) if transpose_a else a.shape[0]
        shape = (rows, fresh(b.shape[0 if transpose_b else 1]))
        return self.make(Op.MATMUL, [a, b], old, shape, Transposes(transpose_a, transpose_b))


def _number(node: Node | None) -> float | None:
    """The number of a constant; None of anything else."""
    return node.attribute.value if node is not None and isinstance(node.attribute, Constant) else None


# What becomes elements at computed indices: see `moves`, which fills it.
MOVES: dict[Op, Callable[[Simplified, list[Node], Node], Node]] = {}
