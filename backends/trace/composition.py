"""Whether a function does nothing but call kernels of the library.

Takes a function and the arguments of a call; gives the first thing that is something else, in words:

    def step(params, x, y):                                       ""
        loss, grads = op.mlp_loss_and_grads(params, x, y)
        return loss, op.sgd_step(params, grads, 0.1)
    def step(params, x, y): print(x.shape)                        "names print"

A program of the trace of such a function has the results of these calls: the function computes nothing
itself, so nothing else can have an effect, raise an error or round in another way. It may loop, unpack and
build lists, tuples and dicts, and call other functions of this kind.
"""

from __future__ import annotations

import builtins
import dis
import functools
import types
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy

from .captures import MAX_DEPTH, MAX_ITEMS, is_ours

_PLAIN = (bool, float, int, str, type(None))
_BUILTINS = frozenset(["dict", "enumerate", "len", "list", "range", "reversed", "tuple", "zip"])

# The instructions that move values, build trees, loop over them and call. An unknown one is something else.
_STACK = ["CACHE", "COPY", "EXTENDED_ARG", "NOP", "NOT_TAKEN", "POP_TOP", "PUSH_NULL", "RESUME", "SWAP"]
_VARIABLES = ["COPY_FREE_VARS", "LOAD_CLOSURE", "LOAD_CONST", "LOAD_SMALL_INT", "MAKE_CELL", "STORE_DEREF"]
_TREES = ["BUILD_CONST_KEY_MAP", "BUILD_LIST", "BUILD_MAP", "BUILD_TUPLE", "DICT_MERGE", "DICT_UPDATE"]
_ITEMS = ["LIST_APPEND", "LIST_EXTEND", "LIST_TO_TUPLE", "MAP_ADD", "UNPACK_EX"]
_LOOPS = ["END_FOR", "FOR_ITER", "GET_ITER", "JUMP_BACKWARD", "JUMP_FORWARD", "POP_ITER", "RERAISE"]
_CALLS = ["CALL", "CALL_FUNCTION_EX", "CALL_INTRINSIC_1", "CALL_KW", "KW_NAMES", "PRECALL"]
_FUNCTIONS = ["MAKE_FUNCTION", "RETURN_CONST", "RETURN_VALUE", "SET_FUNCTION_ATTRIBUTE", "UNPACK_SEQUENCE"]
_ALLOWED = frozenset([*_STACK, *_VARIABLES, *_TREES, *_ITEMS, *_LOOPS, *_CALLS, *_FUNCTIONS])

_CONSTANTS = ("LOAD_CONST", "LOAD_SMALL_INT")

_NOTHING: Any = object()


def not_composed(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], reached: list[Any]) -> str:
    """What a call does besides calls of kernels, in words; empty if there is nothing.

    reached: the lists and dicts that the function can reach are appended to it
    """
    search = _Search(reached)
    return search.value(function) or _first(map(search.argument, [*args, *kwargs.values()]))


def _first(found: Iterable[str]) -> str:
    return next(filter(None, found), "")


class _Search:
    """One search. Its methods return what is something else, in words; empty if there is nothing."""

    def __init__(self, reached: list[Any]) -> None:
        self._reached = reached
        self._seen: dict[int, Any] = {}  # objects by their ids, which are valid as long as the objects live

    def argument(self, value: Any) -> str:
        """Search an argument: arrays and numbers in lists, tuples and dicts."""
        kind = type(value)
        if kind is numpy.ndarray or kind in _PLAIN:
            return ""
        if kind is dict or kind is list:
            self._reached.append(value)
        if kind is dict:
            return _first(map(self.argument, value.values()))
        if kind is list or kind is tuple:
            return _first(map(self.argument, value))
        return f"has an argument of type {kind.__name__}"

    def value(self, value: Any, depth: int = 0) -> str:
        """Search an object that a function names."""
        kind = type(value)
        if kind in _PLAIN or id(value) in self._seen:
            return ""
        self._seen[id(value)] = value
        if kind is list or kind is tuple or kind is dict:
            if len(value) > MAX_ITEMS or depth >= MAX_DEPTH:  # whose changes are not seen
                return f"names a {kind.__name__} of {len(value)} items"
            self._reached.append(value)
            items = [*value, *value.values()] if kind is dict else value
            return _first(self.value(item, depth + 1) for item in items)
        if kind is functools.partial:
            return _first(map(self.value, (value.func, value.args, value.keywords)))
        if kind is types.FunctionType and not is_ours(value.__module__ or ""):
            return self._function(value)
        inner = getattr(value, "__wrapped__", None)
        if is_ours(kind.__module__) and isinstance(inner, types.FunctionType):  # a kernel
            return "" if is_ours(inner.__module__ or "") else self.value(inner)
        name = getattr(value, "__name__", kind.__name__)
        return "" if name in _BUILTINS and value is getattr(builtins, name) else f"names {name}"

    def _function(self, function: types.FunctionType) -> str:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        try:
            closed = {name: cell.cell_contents for name, cell in cells}
        except ValueError:
            return "reads a variable that has no value yet"
        found = self._code(function.__code__, closed, function.__globals__)
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        return found or _first(map(self.value, defaults))

    def _code(self, code: types.CodeType, closed: Mapping[str, Any], known_globals: Mapping[str, Any]) -> str:
        """Search the code of a function, and of those inside it.

        closed: the variables that the outermost function closes over; others belong to the call
        """
        named = _NOTHING  # the module that the last instruction has named
        for before, instruction in pairwise([None, *dis.get_instructions(code)]):
            assert instruction is not None
            operation, name = instruction.opname, instruction.argval
            if operation in ("LOAD_ATTR", "LOAD_METHOD"):
                if named is _NOTHING or name not in vars(named):
                    return f"names the attribute {name}"
                found, named = self.value(vars(named)[name]), _NOTHING
                if found:
                    return found
                continue
            if named is not _NOTHING:
                return f"names the module {named.__name__}"
            value = _NOTHING
            if operation == "LOAD_GLOBAL":
                value = known_globals.get(name, vars(builtins).get(name, _NOTHING))
                if value is _NOTHING:
                    return f"names {name}, which does not exist"
            elif operation == "LOAD_DEREF":
                value = closed.get(name, _NOTHING)
            elif operation == "STORE_DEREF" and name in closed:
                return f"sets the variable {name} of another function"
            elif not _is_allowed(instruction, before):
                return f"has the instruction {operation}"
            if isinstance(value, types.ModuleType):
                named = value
            elif value is not _NOTHING and (found := self.value(value)):
                return found
        inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        outer = {name: value for name, value in closed.items() if name not in code.co_cellvars}
        return _first(self._code(one, outer, known_globals) for one in inner)


def _is_allowed(instruction: dis.Instruction, before: dis.Instruction | None) -> bool:
    """Whether an instruction moves values, builds trees, loops or calls."""
    name = instruction.opname
    # An item, since Python 3.14 an operator. Others than constants may look up elements of arrays.
    if name == "BINARY_SUBSCR" or (name == "BINARY_OP" and instruction.argrepr == "[]"):
        return before is not None and before.opname in _CONSTANTS and type(before.argval) in (int, str)
    # Such as LOAD_FAST, STORE_FAST_LOAD_FAST and LOAD_FAST_AND_CLEAR, of variables of the call.
    is_of_variables = name.startswith(("LOAD_FAST", "STORE_FAST"))
    return is_of_variables or name == "LOAD_DEREF" or name in _ALLOWED
