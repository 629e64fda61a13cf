"""Checks that a plan does what its graph says, whatever made it.

Takes a Plan; raises a PlanError where

    a value is used that no statement before it has computed there
    a buffer is loaded from that does not have the value yet, or has another value by now
    an output is stored nowhere, or twice
    an operand has another dtype than the statement takes

`Load r0[row, column]` of v17 in the third pass is right where the last store of r0 before it is one of v17,
and wrong where v36 has been stored over it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir import nest as ir
from ..ir.dtypes import INT64, DType
from ..ir.graph import Node, base
from ..ir.nest import Buffer, BufferKind, Item, Load, Loop, LoopNest, Operand, Store, Value
from ..ir.operations import Op
from ..ir.verify import VerificationError
from .aliasing import Access, accesses
from .plan import Plan
from .stages import Role, role


class PlanError(VerificationError):
    """A plan that is wrong: a bug of this library."""


def verify_plan(plan: Plan) -> None:
    """Raise a PlanError where a plan is wrong."""
    contents = _Contents(plan)
    for stage in plan.stages:
        prologue: set[Value] = set()
        _statements(stage.prologue, prologue)
        contents.loads(stage.prologue)
        for loop in stage.loops:
            for pack in loop.packs:
                contents.has(pack.argument, pack.node, "pack")
                contents.of[pack.buffer] = pack.node
            for step in loop.steps:
                if isinstance(step, ir.MatMul):
                    contents.product(step)
                    continue
                for nest in (step, *([] if step.streaming is None else [step.streaming])):
                    _statements(nest.body, set(prologue))
                    contents.nest(nest)
                contents.stored(step)
            contents.end_loop()
        for product in stage.products:
            contents.product(product)
        contents.end_stage(stage)
    numbers: set[Value] = set()
    _statements(plan.scalar_outputs.body, numbers)
    contents.loads(plan.scalar_outputs.body)
    missing = [v for v in plan.scalar_outputs.values.values() if isinstance(v, Value) and v not in numbers]
    if missing:
        raise PlanError(f"{[str(value.node) for value in missing]} are outputs that nothing computes")
    contents.require_outputs()


# Values


def _statements(items: Iterable[Item], known: set[Value], kept: set[Value] | None = None) -> None:
    """Every value is computed before it is used, where its user can see it; `known` gains what is computed.

    kept: values that later passes find in registers
    """
    kept = set() if kept is None else kept
    for item in items:
        for value in ir.used(item):
            if value not in known and value not in kept:
                raise PlanError(f"{type(item).__name__} uses {value.node} before it is computed")
        _dtypes(item)
        if isinstance(item, Loop | ir.TileLoop | ir.AtLabel):
            inside = set(known)
            _statements(item.body, inside, kept)
            # A reduction, and a value that each row of a tile has, outlive their loop.
            results = {i.value for i in item.body if isinstance(i, ir.Reduce)}
            known |= results | {value for value in inside if value.buffer is not None}
            if isinstance(item, ir.TileLoop):
                continue
        computed = ir.defined(item)
        if computed is not None:
            known.add(computed)
        if isinstance(item, ir.Keep):
            kept.add(item.kept)


def _dtypes(item: Item) -> None:
    if isinstance(item, ir.Compute):
        node = item.value.node
        for operand, source in zip(item.operands, node.inputs, strict=True):
            if _dtype(operand) != source.dtype:
                raise PlanError(f"{node} takes {source.dtype}; got {_dtype(operand)}")
    elif isinstance(item, Store):
        got = _dtype(item.operand)
        if got != item.buffer.dtype:
            raise PlanError(f"{item.buffer.name} holds {item.buffer.dtype}; got {got}")


def _dtype(operand: Operand) -> DType:
    if isinstance(operand, Value):
        return operand.node.dtype
    return operand.dtype if isinstance(operand, ir.Literal) else INT64


# Memory


class _Contents:
    """Which values the buffers have, as the plan goes on.

    of:     buffer -> the value that all of it has; of a block buffer, for the rows of the block
    writes: value -> how many steps store it where it is read as a whole
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        arguments = {plan.place[n]: n for n in plan.place if n.operation is Op.INPUT}
        self.of: dict[Buffer, Node] = dict(arguments)
        self.writes: dict[Node, int] = {}

    def has(self, buffer: Buffer, node: Node, reader: object) -> None:
        there = self.of.get(buffer)
        if there is not node:
            raise PlanError(f"{reader} reads {node} from {buffer.name}, which has {there}")

    def loads(self, items: Iterable[Item]) -> None:
        """Loads outside of loops over rows."""
        for item in items:
            if isinstance(item, Load):
                self.has(item.buffer, item.source, item.value.node)

    def product(self, product: ir.MatMul) -> None:
        for buffer, source in zip((product.a, product.b), product.node.inputs, strict=True):
            self.has(buffer, base(source), product.node)
        if role(product.node) is not Role.SUM:
            self.write(product.out, product.node)

    def nest(self, nest: LoopNest) -> None:
        """Every load finds its value: stored before the nest, or in it and not overwritten since."""
        found = accesses(nest)
        nodes = _nodes_of(nest)
        for number, access in enumerate(found):
            if not access.is_store:
                self._load(access, found, nodes, number)

    def _load(self, load: Access, found: list[Access], nodes: list[Node], number: int) -> None:
        node = nodes[number]
        before = [nodes[i] for i in range(number) if found[i].is_store and found[i].buffer is load.buffer]
        there = before[-1] if before else self.of.get(load.buffer)
        if there is not node:
            raise PlanError(f"{node} is loaded from {load.buffer.name}, which has {there}")
        for i, other in enumerate(found):
            if not other.is_store or other.buffer is not load.buffer or nodes[i] is node:
                continue
            if load.index[:1] != other.index[:1]:
                raise PlanError(f"{node} is loaded from {load.buffer.name} at another row")
            in_one_loop = load.loop is not None and load.loop is other.loop
            same = load.index == other.index
            if in_one_loop and not same:
                raise PlanError(f"{node} is loaded from {load.buffer.name} while {nodes[i]} is stored")

    def stored(self, nest: LoopNest) -> None:
        """What the buffers have when a nest is done."""
        pairs = zip(accesses(nest), _nodes_of(nest), strict=True)
        # The label's column is stored by a statement of its own.
        for buffer, node in dict.fromkeys((access.buffer, node) for access, node in pairs if access.is_store):
            self.write(buffer, node)

    def write(self, buffer: Buffer, node: Node) -> None:
        """A step stores a value, which may also be in another buffer for a block."""
        self.of[buffer] = node
        if buffer is self.plan.place.get(node):
            self.writes[node] = self.writes.get(node, 0) + 1

    def end_loop(self) -> None:
        """The rows of the last block are of no use to anybody else."""
        self.of = {buffer: node for buffer, node in self.of.items() if buffer.kind is not BufferKind.BLOCK}

    def end_stage(self, stage: ir.Stage) -> None:
        """Sums are complete."""
        for node in stage.sums:
            if node.axes:
                self.write(self.plan.place[node], node)

    def require_outputs(self) -> None:
        for output in self.plan.outputs:
            node = base(output)
            if not node.axes:
                if node not in self.plan.scalar_outputs.values:
                    raise PlanError(f"{node} is an output that nothing computes")
                continue
            count = self.writes.get(node, 0)
            if count != 1:
                raise PlanError(f"{node} is an output that is stored {count} times")
            buffer = self.plan.place[node]
            is_result = buffer.kind in (BufferKind.RESULT, BufferKind.ARGUMENT)
            if not is_result or self.of.get(buffer) is not node:
                raise PlanError(f"{buffer.name} does not have the output {node}")


def _nodes_of(nest: LoopNest) -> list[Node]:
    """The values that the loads and stores of a nest are of, in order."""
    items = (item for item in nest.items() if isinstance(item, Load | Store))
    return [item.node if isinstance(item, Store) else item.source for item in items]
