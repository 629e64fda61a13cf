"""What a function reads that is not among its arguments: each value, and the Python expression that reads it.

Closure cells, the globals that its code names, defaults, and from there on items of lists, tuples and dicts,
attributes that some code on the way names, and what the functions that are reached read themselves. For

    SCALE = 2.0
    def f(x): return x * SCALE + params["bias"]

that is `SCALE`, `params` and `params["bias"]`. Library code is taken as given: nobody rebinds `numpy.exp`.
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

# A captured value beyond these is compared item by item, by identity, and not looked into.
MOST_ITEMS, DEEPEST = 256, 12

_LIBRARIES = frozenset(
    ["onepass", "numpy", "array_api_compat", "numba", "cupy", "cupyx", "scipy", "torch", "jax", "jaxlib"]
) | set(sys.stdlib_module_names)

# Methods that run where a class is called, and not where an object is used.
_MAKES = frozenset({"__init__", "__new__", "__post_init__"})


class Read(NamedTuple):
    """One value that is read: by which expression, and what it was.

    kind: "array"; "value" is compared, "same" is the same object as before, "items" has the same items;
          "absent" is a name that a dict does not have; "alias" is another read's object; "any" is not
          compared; "list" and "dict" have the same length and keys, and items that are read as well
    """

    name: str  # of the variable that holds it while guards are checked
    expression: str
    kind: str
    value: Any
    about: str  # in words, for messages


class Captures:
    """All that a function reads beside its arguments.

    constants: the objects that the expressions of `reads` begin at, by name
    """

    def __init__(self, attributes: frozenset[str] = frozenset()) -> None:
        self.reads: list[Read] = []
        self.constants: dict[str, Any] = {}
        self.attributes = attributes
        self.named: set[str] = set()
        self.changeable: list[Place] = []  # what a kernel might write into
        self._known: dict[int, str] = {}
        self._classes: set[type] = set()
        self._alive: list[Any] = []  # so that no id is used again

    def constant(self, value: Any) -> str:
        """A name for an object."""
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def read(self, expression: str, value: Any, about: str, depth: int = 0) -> None:
        """Note that a value is read, and what is read through it."""
        if value is None or isinstance(value, OPTIONS):
            self.note(expression, "value", value, about)
            if isinstance(value, str) and value.isidentifier():
                self.named.add(value)  # of getattr(settings, name)
        elif is_array(value):
            self.note(expression, "array", value, about)
        elif isinstance(value, list | tuple | dict | set | frozenset | deque):
            self._container(expression, value, about, depth)
        elif isinstance(value, types.ModuleType):
            if not is_library(value.__name__):
                self._namespace(expression, value, vars(value), about, depth)
        elif _may_change(value):
            self._object(expression, value, about, depth)

    def _watch(self, place: Place | None) -> None:
        if place is not None:
            self.changeable.append(place)

    def note(self, expression: str, kind: str, value: Any, about: str) -> str:
        """Note one value; the name of the variable that will hold it."""
        name = f"a{len(self.reads)}"
        self.reads.append(Read(name, expression, kind, value, about))
        return name

    def _container(self, expression: str, value: Any, about: str, depth: int) -> None:
        if id(value) in self._known:
            self.note(expression, "alias", self._known[id(value)], about)
            return
        self._watch(container(value, about))
        if isinstance(value, set | frozenset | deque) or len(value) > MOST_ITEMS or depth > DEEPEST:
            items = tuple(value.items()) if isinstance(value, dict) else tuple(value)
            if isinstance(value, dict):
                items = tuple(part for pair in items for part in pair)
            self.note(expression, "items", (type(value), items), about)
            return
        kind = "dict" if isinstance(value, dict) else "list"
        name = self.note(expression, kind, (type(value), len(value), tuple(value)), about)
        self._known[id(value)] = name
        self._alive.append(value)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            key_text = repr(key) if type(key) in (str, int) else self.constant(key)
            self.read(f"{name}[{key_text}]", item, f"{about}[{key!r}]", depth + 1)

    def _namespace(
        self, expression: str, value: Any, variables: Any, about: str, depth: int, *, by_dict: bool = True
    ) -> None:
        """The attributes of a module or of an object that code names."""
        if id(value) in self._known:
            return
        name = self.note(expression, "any", None, about)
        self._known[id(value)] = name
        self._alive.append(value)
        for attribute in sorted(self.attributes):
            if attribute in variables:
                text = f"{name}.__dict__[{attribute!r}]" if by_dict else f"{name}.{attribute}"
                self.read(text, variables[attribute], f"{about}.{attribute}", depth + 1)

    def _object(self, expression: str, value: Any, about: str, depth: int) -> None:
        if id(value) in self._known:
            self.note(expression, "alias", self._known[id(value)], about)
            return
        name = self.note(expression, "same", weak(value), about)
        if depth <= DEEPEST:
            self.inside(name, value, about, depth)

    def inside(self, name: str, value: Any, about: str, depth: int = 0) -> None:
        """What is read through an object that is the same at every call."""
        self._known[id(value)] = name
        self._alive.append(value)
        if isinstance(value, types.FunctionType):
            self.function(value)
        elif isinstance(value, functools.partial):
            self.read(f"{name}.func", value.func, about, depth + 1)
            self._container(f"{name}.args", value.args, f"{about}.args", depth + 1)
            self._container(f"{name}.keywords", value.keywords, f"{about}.keywords", depth + 1)
        elif isinstance(value, types.MethodType):
            self.read(f"{name}.__self__", value.__self__, about, depth + 1)
            self.read(f"{name}.__func__", value.__func__, about, depth + 1)
        elif isinstance(value, type):
            self._class(value, about, depth, _MAKES)
        else:
            self._attributes(name, value, about, depth)

    def _attributes(self, name: str, value: Any, about: str, depth: int) -> None:
        """The attributes of an object that code names, and the methods of its class."""
        inside = getattr(value, "__wrapped__", None)
        if inside is not None:
            self.read(self.constant(inside), inside, about, depth + 1)
        if is_ours(type(value).__module__):
            return
        variables = getattr(value, "__dict__", {})
        self._watch(instance(value, about))
        for attribute in sorted(self.attributes & variables.keys()):
            read = f"{name}.__dict__[{attribute!r}]"
            self.read(read, variables[attribute], f"{about}.{attribute}", depth + 1)
        for attribute in sorted(self.attributes - variables.keys()):
            self._not_shadowed(name, value, attribute, about)
            for base in type(value).__mro__:
                found = vars(base).get(attribute)
                if isinstance(found, types.MemberDescriptorType) and hasattr(value, attribute):
                    slot = getattr(value, attribute)
                    self.read(f"{name}.{attribute}", slot, f"{about}.{attribute}", depth + 1)
        self._class(type(value), about, depth)

    def _not_shadowed(self, name: str, value: Any, attribute: str, about: str) -> None:
        """An attribute of a class is read for an object as long as neither it nor a subclass has its own."""
        nearer = [f"{name}.__dict__"] if hasattr(value, "__dict__") else []
        for base in type(value).__mro__:
            if is_library(base.__module__):
                return
            if attribute in vars(base):
                for variables in nearer:
                    self.note(variables, "absent", attribute, f"{about}.{attribute}")
                return
            nearer.append(f"{self.constant(base)}.__dict__")

    def _class(self, kind: type, about: str, depth: int, more: frozenset[str] = frozenset()) -> None:
        for base in kind.__mro__:
            if is_library(base.__module__) or base in self._classes:
                continue
            self._classes.add(base)
            owner = self.constant(base)
            for attribute, found in list(vars(base).items()):
                special = attribute.startswith("__") and callable(found)
                if attribute not in self.attributes | more and (not special or attribute in _MAKES):
                    continue
                text = f"{owner}.__dict__[{attribute!r}]"
                if isinstance(found, property):
                    for part in ("fget", "fset"):
                        self.read(f"{text}.{part}", getattr(found, part), f"{about}.{attribute}", depth + 1)
                elif isinstance(found, staticmethod | classmethod):
                    self.read(f"{text}.__func__", found.__func__, f"{about}.{attribute}", depth + 1)
                elif not isinstance(found, types.MemberDescriptorType | types.GetSetDescriptorType):
                    self.read(text, found, f"{about}.{attribute}", depth + 1)

    def function(self, function: types.FunctionType) -> None:
        """What a function reads."""
        names, attributes, modules = _names(function.__code__)
        self.named |= attributes
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet
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
        if function.__defaults__:
            text = f"{self.constant(function)}.__defaults__"
            self._container(text, function.__defaults__, f"the defaults of {function.__name__}", 0)
        if function.__kwdefaults__:
            text = f"{self.constant(function)}.__kwdefaults__"
            self._container(text, function.__kwdefaults__, f"the defaults of {function.__name__}", 0)


def captures_of(function: Any, objects: list[tuple[str, Any, str]]) -> Captures:
    """What a function reads beside its arguments, and from those arguments that are objects.

    objects: the static arguments: the expression that reads each, the object, and its name
    """
    attributes: frozenset[str] = frozenset()
    while True:
        found = Captures(attributes)
        own = [(found.constant(function), function, getattr(function, "__name__", "the kernel"))]
        for expression, value, about in own + objects:
            if _may_change(value):
                found.inside(found.note(expression, "any", None, about), value, about)
        if found.named <= attributes:
            return found
        attributes |= found.named


def _module_of(value: Any) -> str:
    if isinstance(value, types.FunctionType | type):
        return str(value.__module__)
    # A kernel of ours is an object that names the module of its function.
    module = getattr(value, "__module__", None)
    return module if isinstance(module, str) else str(type(value).__module__)


def _may_change(value: Any) -> bool:
    """Whether there is anything to guard about an object: not about a function or a class of a library."""
    if isinstance(value, functools.partial | types.MethodType) or not is_library(_module_of(value)):
        return True
    is_instance = not isinstance(value, type | types.FunctionType | types.BuiltinFunctionType)
    return is_instance and bool(getattr(value, "__dict__", None)) and not is_ours(_module_of(value))


def is_ours(module: str) -> bool:
    """Whether a module is of this library."""
    return module.partition(".")[0] == "onepass"


def is_library(module: str | None) -> bool:
    """Whether a module is of Python or of a library whose functions do not change."""
    return (module or "").partition(".")[0] in _LIBRARIES


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The globals, attributes and modules that a function's code names, and the functions inside it."""
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
            attributes.add(constant)  # of getattr(config, "rate")
    return frozenset(names), frozenset(attributes), frozenset(modules)


def weak(value: Any) -> Any:
    """A function that gives the object while it is alive."""
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value
