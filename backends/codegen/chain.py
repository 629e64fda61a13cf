"""A program of several parts: compiled ones, and calls of the arrays' library between them.

Takes the parts of a traced call and a function that compiles one; gives a program that is called like a
single compiled one:

    chain = Chain(traced, split(traced), compile_part, xp)
    chain(leaves)    runs the parts in order; the results of a part are arguments of later ones
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy

from ..common.libraries import library_of
from ..common.out_arrays import ArraySpec, OutArrays
from ..common.trees import map_leaves
from ..ir import interpret
from ..ir.attributes import Leaf
from ..ir.dtypes import FLOAT32, numpy_dtype
from ..ir.graph import Node
from ..ir.operations import Op
from ..trace.symbolic import SymbolicArray
from ..trace.trace import Traced
from .buffers import Rounding
from .parts import Part, Replay, stand_ins

# Takes a function, its arguments and the numbers of those whose memory it may reuse; gives a program.
CompilePart = Callable[[Callable[..., Any], tuple[Any, ...], tuple[int, ...]], Any]


class Step:
    """A part, ready to be run.

    program:  None where the library computes it
    unneeded: values that no later part reads
    """

    def __init__(self, part: Part, program: Any, unneeded: list[Node]) -> None:
        self.part, self.program, self.unneeded = part, program, unneeded


class Chain:
    """The parts of a kernel, for calls of one form.

    kernel, guards, captured: as of a program of one part
    """

    def __init__(
        self,
        traced: Traced,
        parts: Sequence[Part],
        compile_part: CompilePart,
        xp: Any,
        *,
        donated: Sequence[int] = (),
        place: tuple[str, Any] = ("numpy", None),
    ) -> None:
        self.kernel, self.guards = traced.kernel, traced.guards
        self.captured: list[Any] = traced.trace.captured
        self._xp = xp
        self._looks = traced.trace.call_checks
        self._first_captured = traced.trace.first_captured
        self._halves = traced.trace.halves
        rounding = Rounding(self._halves, traced.half, rounds=not traced.trace.any_single)
        self._outputs = traced.outputs
        self._dtypes = [rounding.held(node) for node in self._outputs]
        self._result = traced.result
        self.out_specs = self._specs(*place)
        self.out_orders: dict[Hashable, Any] = {}  # by signature of `out`
        self._uses = Counter(node for part in parts for user in part.nodes for node in user.inputs)
        self._uses.update(self._outputs)
        self._owned = {
            node
            for part in parts
            if not part.is_compiled
            for node in part.nodes
            if node.operation is Op.UPDATE
        }
        self.steps = self._steps(parts, compile_part, donated, traced.trace.names)

    def _steps(
        self, parts: Sequence[Part], compile_part: CompilePart, donated: Sequence[int], names: Sequence[str]
    ) -> list[Step]:
        ends = set(self._outputs)
        last: dict[Node, int] = {}
        readers: dict[Node, int] = {}
        for number, part in enumerate(parts):
            last.update(dict.fromkeys(part.inputs, number))
            for node in part.inputs:
                readers[node] = readers.get(node, 0) + 1
        steps = []
        for number, part in enumerate(parts):
            program = None
            if part.is_compiled:
                free = tuple(
                    position
                    for position, node in enumerate(part.inputs)
                    if node.operation is Op.INPUT
                    and node.attribute_as(Leaf).number in donated
                    and readers[node] == 1
                    and node not in ends
                )
                program = compile_part(Replay(part, names), stand_ins(part), free)
            unneeded = [node for node in part.inputs if last[node] == number and node not in ends]
            steps.append(Step(part, program, unneeded))
        return steps

    def _specs(self, library: str, device: Any) -> Any:
        each = iter(zip(self._outputs, self._dtypes, strict=True))

        def leaf(value: Any) -> Any:
            if not isinstance(value, SymbolicArray):
                return value
            node, dtype = next(each)
            sizes = node.sizes()
            return ArraySpec(sizes, numpy_dtype(dtype), library, device, is_scalar=not sizes)

        return map_leaves(leaf, self._result)

    def __call__(self, values: Sequence[Any], out: OutArrays | None = None) -> Any:
        """The kernel's result for the leaves of a call of this form, with captured arrays behind them.

        out: arrays that take results; each has its result's shape and dtype
        """
        everything = [*values, *self.captured] if len(values) == self._first_captured else values
        for leaf, look in self._looks:
            look(everything[leaf])
        found: dict[Node, Any] = {}
        with numpy.errstate(all="ignore"):
            for step in self.steps:
                self._run(step, found, everything)
        result = self._tree(found, everything)
        if out is None:
            return result
        out.require_disjoint()
        return out.copy_from(result)

    def _run(self, step: Step, found: dict[Node, Any], everything: Sequence[Any]) -> None:
        part = step.part
        for node in part.inputs:
            if node not in found:
                found[node] = self._leaf(node, everything)
        if step.program is None:
            self._by_library(part, found, everything)
        else:
            results = step.program([found[node] for node in part.inputs])
            found.update(zip(part.outputs, results, strict=True))
        for node in step.unneeded:
            del found[node]

    def _leaf(self, node: Node, everything: Sequence[Any]) -> Any:
        """An argument as parts take it: half precision as float32, scalar arguments as Python numbers."""
        leaf = node.attribute_as(Leaf).number
        value = everything[leaf]
        if node.operation is Op.SCALAR:
            return value.item() if isinstance(value, numpy.generic) else value
        if leaf in self._halves:
            return self._xp.astype(value, self._xp.float32)
        return numpy.asarray(value) if isinstance(value, numpy.generic) else value

    def _by_library(self, part: Part, found: dict[Node, Any], everything: Sequence[Any]) -> None:
        call = interpret.Call(everything, {}, self._xp)
        values = {
            node: interpret.computed(call, node, ()) if node.operation is Op.SCALAR else found[node]
            for node in part.inputs
        }
        for node in part.nodes:
            inputs = [values[source] for source in node.inputs]
            try:
                values[node] = self._computed(call, node, inputs)
            except IndexError as error:
                who = f"{self.kernel}: {node.operation} got an index that is out of bounds: {error}"
                raise IndexError(f"{who} ({node.line}).") from None
        found.update((node, values[node]) for node in part.outputs)

    def _is_in_place(self, node: Node) -> bool:
        """Whether a part is replaced in an array that was copied for that, and that nothing else reads."""
        source = node.inputs[0] if node.operation is Op.UPDATE else None
        return source is not None and source in self._owned and self._uses[source] == 1

    def _computed(self, call: interpret.Call, node: Node, inputs: Sequence[Any]) -> Any:
        if self._is_in_place(node):
            return interpret.updated_in_place(call, node, *inputs)
        return interpret.computed(call, node, inputs)

    def _tree(self, found: dict[Node, Any], everything: Sequence[Any]) -> Any:
        """The result, whose arrays share no memory with arguments or each other."""
        given = {id(value) for value in everything}
        each = iter(zip(self._outputs, self._dtypes, strict=True))

        def leaf(value: Any) -> Any:
            if not isinstance(value, SymbolicArray):
                return value
            node, dtype = next(each)
            array = found[node] if node in found else self._leaf(node, everything)
            if node.weak or isinstance(array, numpy.generic):
                return array
            array = self._xp.asarray(array)
            if dtype != node.dtype and node.dtype == FLOAT32:
                array = array.astype(numpy_dtype(dtype))
            if array.base is not None or id(array) in given:
                array = array.copy()
            given.add(id(array))
            return array[()] if not array.ndim and library_of(array) == "numpy" else array

        return map_leaves(leaf, self._result)
