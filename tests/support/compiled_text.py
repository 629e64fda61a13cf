"""Functions of texts in the language of emitted programs, compiled for tests: of arrays, and over arrays.

double = compiled("def double(n, x): ...", "double", INT64, Pointer(FLOAT64))
double(3, array)

add = elementwise("x + y", x="int8", y="int8")
add(x=array, y=array)         for each element, x + y
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
from onepass.backends.cpu.llvm import machine_code
from onepass.backends.cpu.llvm.names import NAMES
from onepass.backends.cpu.llvm.translate import translate
from onepass.backends.cpu.llvm.values import Pointer, Type
from onepass.backends.ir.dtypes import BOOL, INT64, UINT8, DType, dtype_of

_numbers = count()


def module_of(text: str, entry: str, *types: Type, public: str = "entry") -> str:
    """The LLVM module of a text."""
    return translate(text, {entry: (types, public)}, NAMES)


def compiled(text: str, entry: str, *types: Type) -> Callable[..., None]:
    """A function of a text; an array is passed for a pointer or an address."""
    public = f"{entry}_of_test_{next(_numbers)}"
    machine_code.load(machine_code.machine_code(module_of(text, entry, *types, public=public)))
    address = machine_code.address_of_function(public)
    call = ctypes.CFUNCTYPE(None, *map(_c_type, types))(address)

    def function(*arguments: Any) -> None:
        call(*(given.ctypes.data if isinstance(given, np.ndarray) else given for given in arguments))

    return function


def _c_type(type_: Type) -> Any:
    if isinstance(type_, Pointer):
        return ctypes.c_int64
    return np.ctypeslib.as_ctypes_type(np.dtype(type_.name))


def elementwise(expression: str, result: str, before: str = "", **operands: str) -> Callable[..., Any]:
    """A function over arrays: the expression for each of their elements.

    result:   the dtype of the expression
    before:   functions of the text that the expression calls
    operands: the dtypes of the names in the expression
    """
    text = elementwise_text(expression, result, before, **operands)
    run = compiled(text, "apply", INT64, *(memory_of(name) for name in (result, *operands.values())))

    def apply(**arrays: Any) -> Any:
        given = [np.ascontiguousarray(arrays[name], dtype) for name, dtype in operands.items()]
        out = np.empty(given[0].size, result)
        run(out.size, out, *given)
        return out

    return apply


def elementwise_text(expression: str, result: str, before: str = "", **operands: str) -> str:
    """The text of such a function, `apply(n, out, x, ...)`."""
    reads = [
        f"        {name} = {name}_array[i]{' != 0' if dtype == 'bool' else ''}\n"
        for name, dtype in operands.items()
    ]
    value = f"uint8({expression})" if result == "bool" else expression
    names = "".join(f", {name}_array" for name in operands)
    return (
        f"{before}\n\ndef apply(n, out{names}):\n    for i in range(n):\n"
        f"{''.join(reads)}        out[i] = {value}\n"
    )


def memory_of(dtype: str) -> Pointer:
    """A pointer to elements in memory, where a bool is a byte."""
    found = dtype_of(dtype)
    assert isinstance(found, DType)
    return Pointer(UINT8 if found is BOOL else found)


def optimised(module: str) -> str:
    """The LLVM module after all passes."""
    return str(machine_code.optimised(module))
