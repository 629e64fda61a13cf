"""Python numbers in the result of a GPU kernel, computed on the host from the Python numbers of the call.

A number that depends on no array, such as the number of steps in the state of Adam, stays a Python number, as
it does on the CPU and without the compiler. As an array on the device it would be another kind of argument
in the next call, which would then need another program.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy

from ..ir.attributes import Constant, Leaf, Size
from ..ir.dtypes import numpy_dtype
from ..ir.graph import Node, base, sources
from ..ir.operations import ELEMENTWISE, Op

# Python's operators give the same as numpy.add and so on. For two scalars they take a tenth of the time.
_OPERATORS = {Op.ADD: operator.add, Op.SUBTRACT: operator.sub, Op.MULTIPLY: operator.mul}
_Step: TypeAlias = Callable[[list[Any], Sequence[Any]], Any]


class HostNumbers:
    """Those of the outputs of a plan that are Python numbers, as a function of the leaves of a call.

    slots: numbers of the graph that stand in the place of leaves
    """

    def __init__(self, outputs: Iterable[Node], slots: Mapping[int, float]) -> None:
        self._slots = slots
        found = dict.fromkeys(map(base, outputs))
        of_numbers: dict[Node, bool] = {}
        self._outputs = [node for node in found if node.weak and _is_of_numbers(node, of_numbers)]
        self._positions = {node: position for position, node in enumerate(self._outputs)}
        needed: dict[int, Node] = {}
        stack = list(self._outputs)
        while stack:
            node = stack.pop()
            if node.number not in needed:
                needed[node.number] = node
                stack += map(base, node.inputs)
        # A node is made after its inputs.
        order = [needed[number] for number in sorted(needed)]
        places = {node: place for place, node in enumerate(order)}
        self._steps = [self._step(node, places) for node in order]
        self._results = [places[node] for node in self._outputs]

    def position(self, node: Node) -> int | None:
        """Which of the numbers an output is; None for what is computed on the device."""
        return self._positions.get(node)

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """The Python numbers."""
        if not self._outputs:
            return []  # entering `errstate` takes longer than all else
        found: list[Any] = []
        with numpy.errstate(all="ignore"):  # as in a compiled program, a quotient by 0 is infinite
            for step in self._steps:
                found.append(step(found, values))
        return [found[place].item() for place in self._results]

    def _step(self, node: Node, places: Mapping[Node, int]) -> _Step:
        """A function of the numbers so far and the leaves of a call.

        returns: a NumPy scalar of the dtype in which a compiled program holds the number
        """
        kind = numpy_dtype(node.dtype).type
        if node.operation is Op.SCALAR:
            slot = node.attribute_as(Leaf).number
            if slot not in self._slots:
                return lambda _, values: kind(values[slot])
            return _always(kind(self._slots[slot]))
        if node.operation is Op.CONSTANT:
            return _always(kind(node.attribute_as(Constant).value))
        if node.operation is Op.SIZE:
            return _always(kind(node.attribute_as(Size).axis.find().size))
        inputs = [places[base(source)] for source in node.inputs]
        function: Callable[..., Any]
        if node.operation is Op.ASTYPE:
            function = kind
        else:
            # The operations of the table have the names of the standard, which are NumPy's.
            function = _OPERATORS.get(node.operation) or getattr(numpy, node.operation.value)
        return lambda found, _: function(*[found[place] for place in inputs])


def _always(number: Any) -> _Step:
    return lambda *_: number


def _is_of_numbers(output: Node, known: dict[Node, bool]) -> bool:
    """Whether it is computed from Python numbers and sizes alone, by operations of single numbers.

    known: the answers so far
    """
    stack = [output]
    while stack:
        node = stack[-1]
        inputs = () if node.shape else sources(node)
        missing = [source for source in inputs if source not in known]
        if missing:
            stack += missing
            continue
        stack.pop()
        is_number = node.operation in (Op.SCALAR, Op.CONSTANT, Op.SIZE)
        is_computed = node.operation in ELEMENTWISE and all(known[source] for source in inputs)
        known[node] = not node.shape and (is_number or is_computed)
    return known[output]
