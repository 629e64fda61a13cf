"""Stores that go around the caches, for compiled programs whose results are larger than these.

An ordinary store fetches the line that it is about to overwrite: a third of the traffic of a loop that reads
as much as it writes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .pointers import address_of, offset

LINE = 64  # bytes of a line of the cache, and of the widest vector


def _line(typing_context: Any, to: types.Type, source: types.Type) -> Any:
    """copy_line(to, source): one line, to an address that its size divides, around the caches."""
    if not isinstance(to, types.CPointer) or to != source:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.IntType(64), LINE // 8)
        line = builder.load(builder.bitcast(arguments[1], vector.as_pointer()), align=8)
        line.align = 4
        stored = builder.store(line, builder.bitcast(arguments[0], vector.as_pointer()), align=LINE)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(to, source), generate


def _fence(typing_context: Any) -> Any:
    """fence(): all stores before it, also those around the caches, come before all after it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


copy_line: Any = intrinsic(_line)
fence: Any = intrinsic(_fence)


@njit(inline="never", error_model="numpy")
def stream(to, source, count, itemsize):  # type: ignore[no-untyped-def]
    """to[:count] = source[:count] around the caches, but for what shares a line with other elements."""
    each = LINE // itemsize
    first = min(count, (-(address_of(to) // itemsize)) % each)
    last = first + (count - first) // each * each
    for i in range(first):
        to[i] = source[i]
    for i in range(first, last, each):
        copy_line(offset(to, i), offset(source, i))
    for i in range(last, count):
        to[i] = source[i]
