"""What a function may do besides computing its result.

Takes a function and the leaves of a call; gives the first thing in the code that may have an effect, or that
nothing is known of; empty if there is none:

    def loss(x): return np.mean(x * x)                    ""
    def loss(x): print(x.shape); return np.mean(x * x)    "names print"

Where it is empty, a program of the trace can take the place of the function, and nobody sees a difference.
In doubt there is an effect. Not looked for is what a trace finds by itself: writes into arguments, and into
lists and dicts that are captured (`writes`).
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import types
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy

from ..common.trees import is_record, leaves
from . import fft, linalg, namespace
from .captures import is_ours
from .numpy_functions import FUNCTIONS
from .numpy_methods import METHODS

# The names in modules of arrays, and of attributes of arrays, numbers, lists and dicts, that have no effect
# beyond the object.
_KNOWN_NAMES = frozenset(
    [
        *(name for name in vars(namespace) if name.islower() and not name.startswith("_")),
        *(name for name, value in vars(numpy).items() if isinstance(value, numpy.ufunc)),
        *(name.rpartition(".")[2] for name in (*FUNCTIONS, *METHODS, *linalg.__all__, *fft.__all__)),
        *("T", "mT", "shape", "ndim", "size", "dtype", "device", "itemsize", "nbytes"),
        *(
            "linalg",
            "fft",
            "array",
            "asarray",
            "ascontiguousarray",
            "array_namespace",
            "reduce",
            "accumulate",
        ),
        *("outer", "at", "bool_", "integer", "floating", "number", "issubdtype"),
        *("append", "extend", "insert", "pop", "get", "items", "keys", "values", "index", "count", "copy"),
    ]
)

# Those of them that write into an array.
_WRITING_NAMES = frozenset(["at", "copyto", "fill", "fill_diagonal", "put_along_axis"])
_WRITING_METHODS = frozenset(["partition", "sort"])  # functions of the same names write nothing

_BUILTINS = frozenset(
    [
        *("abs", "all", "any", "bool", "dict", "divmod", "enumerate", "filter", "float", "frozenset", "int"),
        *("isinstance", "len", "list", "map", "max", "min", "pow", "range", "reversed", "round", "set"),
        *("slice", "sorted", "str", "sum", "tuple", "zip"),
    ]
)
_OWN_FUNCTIONS = frozenset(["grad", "stop_gradient", "value_and_grad", "vjp"])
_ARRAY_LIBRARIES = frozenset(["numpy", "array_api_compat"])
_PURE_MODULES = frozenset(["math", "itertools"])
_PLAIN = frozenset([bool, bytes, complex, float, int, range, slice, str, type(None), type(...)])

# Statements that change something, bind names that cannot be followed, or handle the errors of a trace.
_REFUSED = {
    "DELETE_ATTR": "deletes an attribute",
    "DELETE_GLOBAL": "deletes a global",
    "IMPORT_FROM": "imports a module",
    "IMPORT_NAME": "imports a module",
    "LOAD_BUILD_CLASS": "defines a class",
    "PUSH_EXC_INFO": "handles exceptions",
    "STORE_ATTR": "sets an attribute",
    "STORE_GLOBAL": "sets a global",
}
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

_NOTHING: Any = object()


class Effects(NamedTuple):
    """What is known of a call.

    found:    what may have an effect besides the result, in words; empty if there is nothing
    captured: the arrays that the function captures
    """

    found: str
    captured: list[Any]


def effects_of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Effects:
    """Search the code of a function, and what a call gives to it."""
    search = _Search()
    found = search.value(function)
    captured = list(search.captured)
    if captured and search.writes:
        found = found or f"captures an array, and {search.writes}"
    return Effects(found or search.value((args, kwargs)), captured)


def _first(found: Iterable[str]) -> str:
    return next(filter(None, found), "")


class _Search:
    """One search. A method returns what may have an effect, in words; empty if it finds nothing."""

    def __init__(self) -> None:
        self.captured: list[Any] = []  # arrays
        self.writes = ""  # what writes into an array that the function may not have made
        self._seen: dict[int, Any] = {}  # objects by their ids, which stay valid as long as they are here

    def value(self, value: Any) -> str:
        """Search an object that a function can reach."""
        if type(value) in _PLAIN or isinstance(value, numpy.generic | numpy.dtype) or id(value) in self._seen:
            return ""
        self._seen[id(value)] = value
        kind = type(value)
        if kind is numpy.ndarray:
            self.captured.append(value)
            return ""
        if kind in (list, tuple, set, frozenset):
            return _first(map(self.value, value))
        if kind is dict:
            return _first(map(self.value, [*value, *value.values()]))
        if kind is functools.partial:
            return _first(map(self.value, (value.func, value.args, value.keywords)))
        if is_ours(kind.__module__):
            if hasattr(value, "__wrapped__"):  # a kernel
                return _first(map(self.value, (value.__wrapped__, *getattr(value, "also_traced", ()))))
            if isinstance(value, tuple) or is_record(value):  # the state of an optimiser
                return _first(map(self.value, leaves(value)))
        if _is_known(value):
            return ""
        if kind is types.FunctionType and not is_ours(value.__module__ or ""):
            return self._function(value)
        return f"names {getattr(value, '__name__', kind.__name__)}"

    def _function(self, function: types.FunctionType) -> str:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        try:
            closed = {name: cell.cell_contents for name, cell in cells}
        except ValueError:
            return "reads a variable that has no value yet"
        defaults = (function.__defaults__, function.__kwdefaults__)
        return self._code(function.__code__, closed, function.__globals__) or _first(
            map(self.value, defaults)
        )

    def _code(self, code: types.CodeType, closed: Mapping[str, Any], known_globals: Mapping[str, Any]) -> str:
        """Search the code of a function, and of those inside it.

        closed: the variables that the outermost function closes over; others belong to the call
        """
        if code.co_flags & _GENERATORS and code.co_name != "<genexpr>":
            return f"has the generator {code.co_name}"
        chain = _NOTHING  # the object that a name and the attributes behind it have given so far
        for instruction in dis.get_instructions(code):
            operation, name = instruction.opname, instruction.argval
            if operation == "EXTENDED_ARG":
                continue
            if operation in ("LOAD_ATTR", "LOAD_METHOD"):
                if isinstance(chain, types.ModuleType) and not _is_of_arrays(chain):
                    chain = vars(chain).get(name, _NOTHING)
                    if chain is _NOTHING:
                        return f"names {name}"
                    continue
                found = self._attribute(chain, name)
                chain = _NOTHING
                if found:
                    return found
                continue
            if chain is not _NOTHING and (found := self.value(chain)):
                return found
            chain = _NOTHING
            if operation in _REFUSED:
                return _REFUSED[operation]
            if operation in ("LOAD_GLOBAL", "LOAD_NAME"):
                chain = known_globals.get(name, vars(builtins).get(name, _NOTHING))
                if chain is _NOTHING:
                    return f"names {name}, which does not exist"
            elif operation in ("LOAD_DEREF", "LOAD_CLASSDEREF") and name in closed:
                chain = closed[name]
            elif operation == "STORE_DEREF" and name in closed:
                return f"sets the variable {name} of another function"
            self._note_writes(instruction)
        if any(isinstance(names, tuple | str) and "out" in names for names in code.co_consts):
            self.writes = "gives out="  # the constants have the keywords of calls
        inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        own = set(code.co_cellvars)
        outer = {name: value for name, value in closed.items() if name not in own}
        return _first(self._code(one, outer, known_globals) for one in inner)

    def _attribute(self, owner: Any, name: str) -> str:
        """Search an attribute of an object, or of a value of the call."""
        if owner is not _NOTHING and not isinstance(owner, types.ModuleType) and (found := self.value(owner)):
            return found
        is_method = not isinstance(owner, types.ModuleType)
        if name in _WRITING_NAMES or (is_method and name in _WRITING_METHODS):
            self.writes = f"calls {name}"
        return "" if name in _KNOWN_NAMES else f"names {name}"

    def _note_writes(self, instruction: dis.Instruction) -> None:
        """Note what may write into an array."""
        if instruction.opname in ("STORE_SUBSCR", "STORE_SLICE", "DELETE_SUBSCR"):
            self.writes = "sets elements"
        elif instruction.opname == "BINARY_OP" and instruction.argrepr.endswith("="):
            self.writes = f"has {instruction.argrepr}"


def _is_of_arrays(module: types.ModuleType) -> bool:
    """Whether the known names in a module have no effects."""
    return module.__name__.partition(".")[0] in _ARRAY_LIBRARIES and "random" not in module.__name__


def _is_known(value: Any) -> bool:
    """Whether an object of a library, or of Python, has no effects."""
    if isinstance(value, types.ModuleType):
        return _is_of_arrays(value) or value.__name__ == "math"
    if isinstance(value, type) and issubclass(value, BaseException):
        return True
    if isinstance(value, numpy.ufunc):  # and not one of `frompyfunc`
        return getattr(numpy, value.__name__, None) is value
    module, name = getattr(value, "__module__", None) or "", getattr(value, "__name__", "")
    top = module.partition(".")[0]
    if top == "builtins":
        return name in _BUILTINS and value is getattr(builtins, name)
    if top in _ARRAY_LIBRARIES:
        return name in _KNOWN_NAMES and "random" not in module
    if is_ours(module):
        return isinstance(value, types.FunctionType) and (
            name in _OWN_FUNCTIONS or module.startswith("onepass.kernels")
        )
    return top in _PURE_MODULES or value is functools.partial or value is functools.reduce
