"""Captured values: what a function reads besides its arguments, each with the expression that reads it.

These are closure cells, the globals that its code names, and defaults; from there on items of lists, tuples
and dicts, attributes that the code names, and what the functions that are reached capture themselves. For

    SCALE = 2.0
    def f(x): return x * SCALE + params["bias"]

these are `SCALE`, `params` and `params["bias"]`. Code of libraries is assumed not to change: nobody rebinds
`numpy.exp`.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
import weakref
from collections import deque
from typing import Any, NamedTuple

from ..common.static_values import OPTIONS
from .symbolic import is_array
from .writes import Place, container, instance

# A larger or more deeply nested value is compared item by item, by identity; its items are not followed.
MAX_ITEMS, MAX_DEPTH = 256, 12

_LIBRARIES = frozenset(
    ["onepass", "numpy", "array_api_compat", "numba", "cupy", "cupyx", "scipy", "torch", "jax", "jaxlib"]
) | set(sys.stdlib_module_names)

# Methods that run when a class is called, and not when an object is used.
_CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__"})


class Read(NamedTuple):
    """One captured value: the expression that reads it, and the value in the trace.

    kind: how later calls compare it. "array": an array; "value": by value; "same": by identity; "items": the
          same items, by identity; "absent": the dict still has no such key; "alias": it is still the object
          of another read; "list", "dict": the same length and keys, and each item is a read of its own;
          "any": not compared
    """

    name: str  # of the variable that holds it in the function that checks the guards
    expression: str
    kind: str
    value: Any
    description: str  # for messages


class Captures:
    """All captured values of a function.

    attributes: names of the attributes to read of captured objects
    constants:  the objects at which the expressions of `reads` begin, by name
    """

    def __init__(self, attributes: frozenset[str] = frozenset()) -> None:
        self.reads: list[Read] = []
        self.constants: dict[str, Any] = {}
        self.attributes = attributes
        self.named: set[str] = set()
        self.changeable: list[Place] = []  # what the function may write into
        self._known: dict[int, str] = {}
        self._classes: set[type] = set()
        self._alive: list[Any] = []  # keeps the ids of `_known` valid

    def constant(self, value: Any) -> str:
        """A name for an object."""
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def read(self, expression: str, value: Any, description: str, depth: int = 0) -> None:
        """Add a captured value, and those that are read through it."""
        if value is None or isinstance(value, OPTIONS):
            self.note(expression, "value", value, description)
            if isinstance(value, str) and value.isidentifier():
                self.named.add(value)  # for getattr(settings, name)
        elif is_array(value):
            self.note(expression, "array", value, description)
        elif isinstance(value, list | tuple | dict | set | frozenset | deque):
            self._container(expression, value, description, depth)
        elif isinstance(value, types.ModuleType):
            if not is_library(value.__name__):
                self._module(expression, value, description, depth)
        elif _may_change(value):
            self._object(expression, value, description, depth)
        else:  # what belongs to a library stays as it is, but the name may be bound to something else
            self.note(expression, "same", weak(value), description)

    def _watch(self, place: Place | None) -> None:
        if place is not None:
            self.changeable.append(place)

    def note(self, expression: str, kind: str, value: Any, description: str) -> str:
        """Add one captured value; returns the name of the variable that will hold it."""
        name = f"a{len(self.reads)}"
        self.reads.append(Read(name, expression, kind, value, description))
        return name

    def _container(self, expression: str, value: Any, description: str, depth: int) -> None:
        if id(value) in self._known:
            self.note(expression, "alias", self._known[id(value)], description)
            return
        self._watch(container(value, description))
        if isinstance(value, set | frozenset | deque) or len(value) > MAX_ITEMS or depth > MAX_DEPTH:
            items = tuple(value.items()) if isinstance(value, dict) else tuple(value)
            if isinstance(value, dict):
                items = tuple(part for pair in items for part in pair)
            self.note(expression, "items", (type(value), items), description)
            return
        kind = "dict" if isinstance(value, dict) else "list"
        name = self.note(expression, kind, (type(value), len(value), tuple(value)), description)
        self._known[id(value)] = name
        self._alive.append(value)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            key_text = repr(key) if type(key) in (str, int) else self.constant(key)
            self.read(f"{name}[{key_text}]", item, f"{description}[{key!r}]", depth + 1)

    def _module(self, expression: str, value: types.ModuleType, description: str, depth: int) -> None:
        """Add the attributes of a module that the code names."""
        if id(value) in self._known:
            return
        name = self.note(expression, "any", None, description)
        self._known[id(value)] = name
        self._alive.append(value)
        variables = vars(value)
        for attribute in sorted(self.attributes):
            if attribute in variables:
                text = f"{name}.__dict__[{attribute!r}]"
                self.read(text, variables[attribute], f"{description}.{attribute}", depth + 1)

    def _object(self, expression: str, value: Any, description: str, depth: int) -> None:
        if id(value) in self._known:
            self.note(expression, "alias", self._known[id(value)], description)
            return
        name = self.note(expression, "same", weak(value), description)
        if depth <= MAX_DEPTH:
            self.inside(name, value, description, depth)

    def inside(self, name: str, value: Any, description: str, depth: int = 0) -> None:
        """Add what is read through an object that is the same in every call."""
        self._known[id(value)] = name
        self._alive.append(value)
        if isinstance(value, types.FunctionType):
            self.function(value)
        elif isinstance(value, functools.partial):
            self.read(f"{name}.func", value.func, description, depth + 1)
            self._container(f"{name}.args", value.args, f"{description}.args", depth + 1)
            self._container(f"{name}.keywords", value.keywords, f"{description}.keywords", depth + 1)
        elif isinstance(value, types.MethodType):
            self.read(f"{name}.__self__", value.__self__, description, depth + 1)
            self.read(f"{name}.__func__", value.__func__, description, depth + 1)
        elif isinstance(value, type):
            self._class(value, description, depth, _CONSTRUCTORS)
        else:
            self._attributes(name, value, description, depth)

    def _attributes(self, name: str, value: Any, description: str, depth: int) -> None:
        """Add the attributes of an object that the code names, and the methods of its class."""
        # A kernel has a function, and may have a backward.
        for inside in (getattr(value, "__wrapped__", None), *getattr(value, "also_traced", ())):
            if inside is not None:
                self.read(self.constant(inside), inside, description, depth + 1)
        if is_ours(type(value).__module__):
            return
        variables = getattr(value, "__dict__", {})
        self._watch(instance(value, description))
        for attribute in sorted(self.attributes & variables.keys()):
            read = f"{name}.__dict__[{attribute!r}]"
            self.read(read, variables[attribute], f"{description}.{attribute}", depth + 1)
        for attribute in sorted(self.attributes - variables.keys()):
            self._not_shadowed(name, value, attribute, description)
            for base in type(value).__mro__:
                found = vars(base).get(attribute)
                if isinstance(found, types.MemberDescriptorType) and hasattr(value, attribute):
                    slot = getattr(value, attribute)
                    self.read(f"{name}.{attribute}", slot, f"{description}.{attribute}", depth + 1)
        self._class(type(value), description, depth)

    def _not_shadowed(self, name: str, value: Any, attribute: str, description: str) -> None:
        """Guard that an attribute of a class is not shadowed by the object or a subclass."""
        nearer = [f"{name}.__dict__"] if hasattr(value, "__dict__") else []
        for base in type(value).__mro__:
            if is_library(base.__module__):
                return
            if attribute in vars(base):
                for variables in nearer:
                    self.note(variables, "absent", attribute, f"{description}.{attribute}")
                return
            nearer.append(f"{self.constant(base)}.__dict__")

    def _class(self, kind: type, description: str, depth: int, more: frozenset[str] = frozenset()) -> None:
        """Add the methods and attributes of a class: those that the code names, `more`, and operators."""
        for base in kind.__mro__:
            if is_library(base.__module__) or base in self._classes:
                continue
            self._classes.add(base)
            owner = self.constant(base)
            for attribute, found in list(vars(base).items()):
                special = attribute.startswith("__") and callable(found)
                if attribute not in self.attributes | more and (not special or attribute in _CONSTRUCTORS):
                    continue
                text = f"{owner}.__dict__[{attribute!r}]"
                if isinstance(found, property):
                    for part in ("fget", "fset"):
                        self.read(
                            f"{text}.{part}", getattr(found, part), f"{description}.{attribute}", depth + 1
                        )
                elif isinstance(found, staticmethod | classmethod):
                    self.read(f"{text}.__func__", found.__func__, f"{description}.{attribute}", depth + 1)
                elif not isinstance(found, types.MemberDescriptorType | types.GetSetDescriptorType):
                    self.read(text, found, f"{description}.{attribute}", depth + 1)

    def function(self, function: types.FunctionType) -> None:
        """Add what a function reads."""
        names, attributes, modules = _names(function.__code__)
        self.named |= attributes
        # A notebook that reloads a module gives its functions new code.
        own = self.constant(function)
        self.note(f"{own}.__code__", "same", weak(function.__code__), f"the code of {function.__name__}")
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # the variable has no value yet
                continue
            text = f"{self.constant(cell)}.cell_contents"
            self._watch(Place("cell", cell, value, f"the variable {name}"))
            self.read(text, value, f"the variable {name} of {function.__name__}")
        known = function.__globals__
        owner = self.constant(known) if names else ""
        for name in sorted(names):
            if name in known:
                self._watch(Place("name", (known, name), known[name], f"the global {name}"))
                self.read(f"{owner}[{name!r}]", known[name], f"the global {name}")
        for name in sorted(modules & sys.modules.keys()):
            self.read(self.constant(sys.modules[name]), sys.modules[name], f"the module {name}")
        description = f"the defaults of {function.__name__}"
        if function.__defaults__:
            self._container(f"{own}.__defaults__", function.__defaults__, description, 0)
        if function.__kwdefaults__:
            self._container(f"{own}.__kwdefaults__", function.__kwdefaults__, description, 0)


def captures_of(function: Any, objects: list[tuple[str, Any, str]]) -> Captures:
    """The captured values of a function, and the attributes that it reads of arguments that are objects.

    objects: (expression, object, name) for each such argument
    """
    attributes: frozenset[str] = frozenset()
    while True:
        found = Captures(attributes)
        own = [(found.constant(function), function, getattr(function, "__name__", "the kernel"))]
        for expression, value, description in own + objects:
            if _may_change(value):
                found.inside(found.note(expression, "any", None, description), value, description)
        if found.named <= attributes:
            return found
        attributes |= found.named


def _module_of(value: Any) -> str:
    if isinstance(value, types.FunctionType | type):
        return str(value.__module__)
    # A kernel of this library is an object with the module of its function.
    module = getattr(value, "__module__", None)
    return module if isinstance(module, str) else str(type(value).__module__)


def _may_change(value: Any) -> bool:
    """Whether an object needs guards; functions and classes of libraries do not."""
    if isinstance(value, functools.partial | types.MethodType) or not is_library(_module_of(value)):
        return True
    is_instance = not isinstance(value, type | types.FunctionType | types.BuiltinFunctionType)
    return is_instance and bool(getattr(value, "__dict__", None)) and not is_ours(_module_of(value))


def is_ours(module: str) -> bool:
    """Whether a module belongs to this library."""
    return module.partition(".")[0] == "onepass"


def is_library(module: str | None) -> bool:
    """Whether a module belongs to Python, or to a library whose code does not change."""
    return (module or "").partition(".")[0] in _LIBRARIES


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The globals, attributes and modules that the code of a function and its inner functions names."""
    names: set[str] = set()
    attributes: set[str] = set()
    modules: set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "LOAD_CLASSDEREF"):
            names.add(str(instruction.argval))
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"):
            attributes.add(str(instruction.argval))
        elif instruction.opname == "IMPORT_NAME":
            modules.add(str(instruction.argval))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _names(constant)
            names |= inner[0]
            attributes |= inner[1]
            modules |= inner[2]
        elif isinstance(constant, str) and constant.isidentifier():
            attributes.add(constant)  # for getattr(config, "rate")
    return frozenset(names), frozenset(attributes), frozenset(modules)


def weak(value: Any) -> Any:
    """A function that returns the object, or None after it was deleted."""
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value
