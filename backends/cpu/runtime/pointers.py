"""Typed pointers for compiled code: `float32_at(address)[i]` is an element at an int64 address."""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin

Compiled = Any  # a Numba intrinsic: callable from compiled code only


def _pointer_to(element: types.Type) -> Compiled:
    """An intrinsic that makes a pointer to `element` of an int64 address; no bounds, no ownership."""

    def pointer_at(typing_context: Any, address: types.Type) -> Any:
        if not isinstance(address, types.Integer):
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), generate

    # Numba names compiled code after the function, so each pointer type needs its own name.
    pointer_at.__name__ = pointer_at.__qualname__ = f"{element.name}_at"
    return intrinsic(pointer_at)


float32_at = _pointer_to(types.float32)
float64_at = _pointer_to(types.float64)
int8_at = _pointer_to(types.int8)
int16_at = _pointer_to(types.int16)
int32_at = _pointer_to(types.int32)
int64_at = _pointer_to(types.int64)
uint8_at = _pointer_to(types.uint8)
uint16_at = _pointer_to(types.uint16)
uint32_at = _pointer_to(types.uint32)
uint64_at = _pointer_to(types.uint64)
bool_at = _pointer_to(types.boolean)


def _stack_of(element: types.Type) -> Compiled:
    """An intrinsic that makes an array of `element` on the stack; its length must be a literal.

    LLVM knows that no other pointer aliases it, so loops need no overlap checks for it.
    """

    def stack_of(typing_context: Any, length: types.Type) -> Any:
        if not isinstance(length, types.IntegerLiteral):
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            size = ir.Constant(ir.IntType(64), length.literal_value)
            array = cgutils.alloca_once(builder, context.get_data_type(element), size=size)
            array.align = 64
            return array

        return types.CPointer(element)(length), generate

    stack_of.__name__ = stack_of.__qualname__ = f"stack_of_{element.name}"
    return intrinsic(prefer_literal=True)(stack_of)


stack_of_float32 = _stack_of(types.float32)
stack_of_float64 = _stack_of(types.float64)
stack_of_int8 = _stack_of(types.int8)
stack_of_int16 = _stack_of(types.int16)
stack_of_int32 = _stack_of(types.int32)
stack_of_int64 = _stack_of(types.int64)
stack_of_uint8 = _stack_of(types.uint8)
stack_of_uint16 = _stack_of(types.uint16)
stack_of_uint32 = _stack_of(types.uint32)
stack_of_uint64 = _stack_of(types.uint64)


def _type_offset(typing_context: Any, pointer: types.Type, elements: types.Type) -> Any:
    """offset(pointer, elements): the pointer advanced by `elements`, which may be negative."""
    if not isinstance(pointer, types.CPointer) or not isinstance(elements, types.Integer):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


offset: Compiled = intrinsic(_type_offset)


def _type_address_of(typing_context: Any, pointer: types.Type) -> Any:
    """address_of(pointer): its address as an int64."""
    if not isinstance(pointer, types.CPointer):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], ir.IntType(64))

    return types.int64(pointer), generate


address_of: Compiled = intrinsic(_type_address_of)


def _type_data_of(typing_context: Any, array: types.Type) -> Any:
    """data_of(array): the pointer to an array's first element; the array must outlive it."""
    if not isinstance(array, types.Array):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


data_of: Compiled = intrinsic(_type_data_of)


def _store_boolean(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """pointer[index] = value for booleans: a bit in a register, a byte in memory. Numba 0.68 fails here."""
    pointer, index, value = arguments
    context.pack_value(builder, signature.args[2], value, builder.gep(pointer, [index]))


lower_builtin(operator.setitem, types.CPointer, types.Integer, types.Boolean)(_store_boolean)
