"""Elementwise operations of symbolic arrays: promotion, broadcasting, and Python's operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .graph import Axis, Node, Shape
from .operations import ELEMENTWISE, FLOATS, INTEGERS, accepts, promote
from .symbolic import SymbolicArray, Trace, as_symbolic, trace_of, where


def apply(operation: str, *values: Any) -> Any:
    """An elementwise operation of arrays and numbers, with the standard's promotion and broadcasting."""
    rule = ELEMENTWISE[operation]
    trace = trace_of(values)
    if operation in ("equal", "not_equal") and any(value is None for value in values):
        return operation == "not_equal"
    arrays = [as_symbolic(trace, value) for value in values]
    typed = arrays[1:] if operation == "where" else arrays
    if operation == "where" and arrays[0].dtype != "bool":
        raise trace.error(TypeError, f"where: the condition has dtype {arrays[0].dtype}; expected bool")
    dtype, weak = common_dtype(trace, operation, typed)
    if operation == "divide" and weak and dtype == "int64":
        dtype = "float64"
    if operation == "pow" and weak and dtype == "int64" and (arrays[1].known is None or arrays[1].known < 0):
        dtype = "float64"
    if not accepts(rule.takes, dtype):
        if not (weak and rule.takes == "float" and dtype == "int64"):
            raise trace.error(TypeError, f"{operation} of dtype {dtype}; expected {rule.takes}")
        dtype = "float64"
    inputs = [cast(trace, array, dtype, weak).node for array in typed]
    if operation == "where":
        inputs = [arrays[0].node, *inputs]
        weak = weak and arrays[0].node.weak
    shape = broadcast_shape(trace, operation, inputs)
    result = "bool" if rule.gives == "bool" else dtype
    node = trace.graph.node(
        operation, inputs, None, shape=shape, dtype=result, weak=weak and not shape, line=where()
    )
    return SymbolicArray(trace, node, _known(operation, arrays), _depends(arrays))


def common_dtype(trace: Trace, operation: str, arrays: list[SymbolicArray]) -> tuple[str, bool]:
    """The dtype of the operation, and whether only Python numbers take part."""
    strong = [array.dtype for array in arrays if not array.node.weak]
    if not strong:
        order = ("bool", "int64", "float64")
        return max((array.dtype for array in arrays), key=order.index), True
    dtype = strong[0]
    for other in strong[1:]:
        both = promote(dtype, other)
        if both is None:
            raise trace.error(
                TypeError,
                f"{operation} of {dtype} and {other} arrays; the array API does not promote between them. "
                "Convert one with xp.astype",
            )
        dtype = both
    for array in arrays:
        fits = (
            dtype in FLOATS
            or (array.dtype == "int64" and dtype in INTEGERS)
            or (array.dtype == "bool" and dtype == "bool")
        )
        if array.node.weak and not (fits and (array.dtype != "bool" or dtype == "bool")):
            kind = {"float64": "float", "int64": "int", "bool": "bool"}[array.dtype]
            raise trace.error(
                TypeError, f"{operation} of a {dtype} array and a Python {kind}; convert one with xp.astype"
            )
    return dtype, False


def cast(trace: Trace, array: SymbolicArray, dtype: str, weak: bool = False) -> SymbolicArray:
    """The array in another dtype; itself where it has it already."""
    node = array.node
    if node.dtype == dtype and node.weak == weak:
        return array
    if node.operation == "constant":
        number = node.attribute
        number = bool(number) if dtype == "bool" else float(number) if dtype in FLOATS else int(number)
        made = trace.graph.node("constant", (), number, dtype=dtype, weak=weak)
        return SymbolicArray(trace, made, array.known)
    made = trace.graph.node("astype", (node,), None, shape=node.shape, dtype=dtype, weak=weak, line=where())
    return SymbolicArray(trace, made, array.known, array.depends)


def broadcast_shape(trace: Trace, operation: str, nodes: list[Node]) -> Shape:
    """The shape of the result; sizes must be equal or 1."""
    ndim = max(node.ndim for node in nodes)
    shape: list[Axis | None] = []
    for position in range(-ndim, 0):
        axes = [node.shape[position] for node in nodes if node.ndim >= -position]
        found = [axis for axis in axes if axis is not None]
        if len({axis.size for axis in found}) > 1:
            shapes = " and ".join(str(node.sizes()) for node in nodes)
            raise trace.error(ValueError, f"{operation} of shapes {shapes}, which do not broadcast")
        shape.append(found[0] if found else None)
    return tuple(shape)


_PYTHON: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "floor_divide": lambda a, b: a // b,
    "remainder": lambda a, b: a % b,
    "pow": lambda a, b: a**b,
    "negative": lambda a: -a,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "abs": abs,
}


def _known(operation: str, arrays: list[SymbolicArray]) -> Any:
    if operation not in _PYTHON or any(array.known is None for array in arrays):
        return None
    try:
        return _PYTHON[operation](*(array.known for array in arrays))
    except (ArithmeticError, TypeError):
        return None


def _depends(arrays: list[SymbolicArray]) -> frozenset[int]:
    """The scalar arguments, if nothing else is in it but numbers that are known."""
    if all(array.depends or array.known is not None for array in arrays):
        return frozenset().union(*(array.depends for array in arrays))
    return frozenset()


def _operator(operation: str, *, reflected: bool = False) -> Callable[..., Any]:
    def operator(self: SymbolicArray, *other: Any) -> Any:
        return apply(operation, *other, self) if reflected else apply(operation, self, *other)

    return operator


OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
}
COMPARISONS_AND_SIGNS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
    "neg": "negative",
    "abs": "abs",
    "invert": "bitwise_invert",
}
# Written once for all, because Python wants each of them as a method.
for _name, _operation in OPERATORS.items():
    setattr(SymbolicArray, f"__{_name}__", _operator(_operation))
    setattr(SymbolicArray, f"__r{_name}__", _operator(_operation, reflected=True))
for _name, _operation in COMPARISONS_AND_SIGNS.items():
    setattr(SymbolicArray, f"__{_name}__", _operator(_operation))
