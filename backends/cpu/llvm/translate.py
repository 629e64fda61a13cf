"""From the text of functions to the text of an LLVM module.

The text is the part of Python that emitted programs are written in: assignments, loops over `range`, `while`,
`if`, elements of pointers, and calls of functions of values. Every variable has the type of what is first
assigned to it. A function of the text is made once for each list of argument types that it is called with, as
a function of LLVM's; functions of values (see `operations`) write their instructions in place.

    def double(n, x):
        for i in range(n):            define internal void @double(i64 %n, ptr noalias %x) ...
            x[i] = x[i] * 2.0

Two things differ from Python. All parts of `a and b`, of `a or b` and of `x if c else y` are computed, so
none of them may read memory that is not there. And no two pointer arguments of a function that another one
calls may lead to the same memory, if it is written there.
"""

from __future__ import annotations

import ast
import functools
import operator
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...ir.dtypes import BOOL, INT64, DType
from .operations import OfWriter, floor_divide, power, remainder, select
from .values import Pointer, Type, Value, as_value, cast, constant, llvm_type, number, pair_of_numbers
from .writer import FunctionWriter, ModuleWriter


class TextError(TypeError):
    """The text uses what is not in the language, or types that do not go together; says where."""


class Routine:
    """A function of the text.

    node:  its syntax tree
    names: what names mean that it does not assign
    """

    def __init__(self, node: ast.FunctionDef, names: Mapping[str, Any]) -> None:
        self.node, self.names = node, names

    def instance(
        self, module: ModuleWriter, types: tuple[Type, ...], public: str = ""
    ) -> tuple[str, Type | None]:
        """Its name in the module for arguments of these types, and the type of its result."""
        key = id(self), types, public
        if key not in module.instances:
            name = public or f"{self.node.name}.{len(module.instances)}"
            module.instances[key] = None
            module.instances[key] = name, Body(self, module).define(name, types, is_public=bool(public))
        if module.instances[key] is None:
            raise TextError(f"{self.node.name} calls itself")
        return module.instances[key]  # type: ignore[no-any-return]

    def call(self, writer: FunctionWriter, arguments: Sequence[Any]) -> Value | None:
        """Call it; its result, if it has one."""
        values = [number(argument, writer) for argument in arguments]
        name, result = self.instance(writer.module, tuple(value.type for value in values))
        text = f"@{name}({', '.join(map(str, values))})"
        if result is None:
            writer.do(f"call void {text}")
            return None
        return Value(writer.emit(f"call {llvm_type(result)} {text}"), result, writer)


def routines(text: str, names: Mapping[str, Any]) -> dict[str, Routine]:
    """The functions of a text, which may call each other."""
    all_names = dict(names)
    found = {}
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef) or node.decorator_list:
            raise _not_in_language(node)
        found[node.name] = Routine(node, all_names)
    all_names.update(found)
    return found


def translate(text: str, entries: Mapping[str, tuple[Sequence[Type], str]], names: Mapping[str, Any]) -> str:
    """The LLVM module of a text.

    entries: functions that can be called from outside: the types of their arguments, and their names there
    names:   what the text may use
    raises:  TextError, SyntaxError for a text that is not in the language
    """
    module, found = ModuleWriter(), routines(text, names)
    for name, (given, public) in entries.items():
        if name not in found:
            raise TextError(f"the text has no function {name}")
        found[name].instance(module, tuple(given), public)
    return module.text()


def _not_in_language(node: Any) -> TextError:
    return TextError(f"line {node.lineno}: {_first_line(node)}: this is not in the language")


def _first_line(node: Any) -> str:
    return ast.unparse(node).partition("\n")[0]


class Body:
    """The statements of one routine, for arguments of given types."""

    def __init__(self, routine: Routine, module: ModuleWriter) -> None:
        self.routine = routine
        self.writer = FunctionWriter(module)
        self.places: dict[str, tuple[Type, str]] = {}
        self.result: Type | None = None

    def define(self, name: str, types: tuple[Type, ...], *, is_public: bool) -> Type | None:
        """Write it into the module; the type of its result."""
        given = self.routine.node.args
        arguments = [argument.arg for argument in given.args]
        if given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg or given.defaults:
            raise _not_in_language(self.routine.node)
        if len(arguments) != len(types):
            raise TextError(
                f"{self.routine.node.name}: expected {len(arguments)} arguments; got {len(types)}"
            )
        parameters = []
        for argument, type_ in zip(arguments, types, strict=True):
            # No two pointers of a function lead to the same memory, if it writes there.
            alone = " noalias" if isinstance(type_, Pointer) and not is_public else ""
            given_as = f"%{argument}.given"  # no name of the writer's has a dot
            parameters.append(f"{llvm_type(type_)}{alone} {given_as}")
            self.assign(argument, Value(given_as, type_, self.writer))
        self.statements(self.routine.node.body)
        if self.result is None:
            self.writer.do("ret void")
        result = "void" if self.result is None else llvm_type(self.result)
        self.writer.define(name, ", ".join(parameters), result, is_public=is_public)
        return self.result

    # Statements

    def statements(self, nodes: Iterable[ast.stmt]) -> None:
        for node in nodes:
            try:
                self.entry_of(_STATEMENTS, node)(self, node)
            except TextError:
                raise
            except (TypeError, ValueError, ArithmeticError) as error:
                where = f"{self.routine.node.name}, line {node.lineno}: {_first_line(node)}"
                raise TextError(f"{where}: {error}") from error

    def entry_of(self, table: Mapping[type, Any], node: Any, kind: ast.AST | None = None) -> Any:
        """What a table has for a kind of node: of this one, where nothing else is given."""
        try:
            return table[type(kind or node)]
        except KeyError:
            raise _not_in_language(node) from None

    def assignment(self, node: ast.Assign) -> None:
        if len(node.targets) != 1:
            raise _not_in_language(node)
        (target,) = node.targets
        if isinstance(target, ast.Tuple):
            values = self.value(node.value)
            if not isinstance(values, tuple) or len(values) != len(target.elts):
                raise TypeError(f"expected a tuple of {len(target.elts)}")
            for one, value in zip(target.elts, values, strict=True):
                self.put(one, value)
        else:
            self.put(target, self.value(node.value))

    def augmented(self, node: ast.AugAssign) -> None:
        joined = self.entry_of(_BINARY, node, node.op)
        if isinstance(node.target, ast.Subscript):
            pointer, index = self.value(node.target.value), self.value(node.target.slice)
            pointer[index] = joined(pointer[index], self.value(node.value))
            return
        self.put(node.target, joined(self.value(node.target), self.value(node.value)))

    def put(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Subscript):
            self.value(target.value)[self.value(target.slice)] = value
        elif isinstance(target, ast.Name):
            self.assign(target.id, value)
        else:
            raise _not_in_language(target)

    def assign(self, name: str, value: Any) -> None:
        """Give a variable a value; the first one decides its type."""
        if name not in self.places:
            value = number(value, self.writer)
            self.places[name] = value.type, self.writer.place(llvm_type(value.type))
        type_, place = self.places[name]
        self.writer.do(f"store {as_value(value, type_, self.writer)}, ptr {place}")

    def loop(self, node: ast.For) -> None:
        call = node.iter
        is_range = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
        if not (is_range and isinstance(node.target, ast.Name)) or node.orelse:
            raise _not_in_language(node)
        assert isinstance(call, ast.Call)
        assert isinstance(node.target, ast.Name)
        start, stop, step = self.range(call)
        counter = self.writer.place("i64")
        self.writer.do(f"store {start}, ptr {counter}")
        head, body, end = (self.writer.label() for _ in range(3))
        self.writer.jump(head)
        self.writer.begin(head)
        now = Value(self.writer.emit(f"load i64, ptr {counter}"), INT64, self.writer)
        self.writer.branch((now < stop).name, body, end)
        self.writer.begin(body)
        self.assign(node.target.id, now)
        self.statements(node.body)
        following = self.writer.emit(f"add nsw i64 {now.name}, {step}")
        self.writer.do(f"store i64 {following}, ptr {counter}")
        self.writer.jump(head)
        self.writer.begin(end)

    def range(self, call: ast.Call) -> tuple[Value, Value, int]:
        """Start, stop and step of a loop."""
        given = self.arguments(call)
        if not 1 <= len(given) <= 3:
            raise TypeError(f"range: expected 1 to 3 arguments; got {len(given)}")
        start, stop = given[:2] if len(given) > 1 else (0, *given)
        step = given[2] if len(given) == 3 else 1
        if type(step) is not int or step < 1:
            raise TypeError("range: expected a step that stands in the text, at least 1")
        return as_value(start, INT64, self.writer), as_value(stop, INT64, self.writer), step

    def condition(self, node: ast.expr) -> Value:
        """A bool that decides where to go on."""
        return as_value(self.value(node), BOOL, self.writer)

    def while_loop(self, node: ast.While) -> None:
        if node.orelse:
            raise _not_in_language(node)
        head, body, end = (self.writer.label() for _ in range(3))
        self.writer.jump(head)
        self.writer.begin(head)
        self.writer.branch(self.condition(node.test).name, body, end)
        self.writer.begin(body)
        self.statements(node.body)
        self.writer.jump(head)
        self.writer.begin(end)

    def branches(self, node: ast.If) -> None:
        yes, no, end = (self.writer.label() for _ in range(3))
        self.writer.branch(self.condition(node.test).name, yes, no)
        self.writer.begin(yes)
        self.statements(node.body)
        self.writer.jump(end)
        self.writer.begin(no)
        self.statements(node.orelse)
        self.writer.jump(end)
        self.writer.begin(end)

    def expression(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.value(node.value)

    def end(self, node: ast.Return) -> None:
        """The last statement of a routine that has a result."""
        if node is not self.routine.node.body[-1] or node.value is None:
            raise TypeError("a return is the last statement of a function, and has a value")
        value = number(self.value(node.value), self.writer)
        self.result = value.type
        self.writer.do(f"ret {value}")

    # Expressions

    def value(self, node: ast.expr) -> Any:
        """What an expression is: a value, a Python number, or what a name means."""
        return self.entry_of(_EXPRESSIONS, node)(self, node)

    def constant(self, node: ast.Constant) -> Any:
        if not isinstance(node.value, bool | int | float):
            raise _not_in_language(node)
        return node.value

    def name(self, node: ast.Name) -> Any:
        if node.id in self.places:
            type_, place = self.places[node.id]
            return Value(self.writer.emit(f"load {llvm_type(type_)}, ptr {place}"), type_, self.writer)
        try:
            return self.routine.names[node.id]
        except KeyError:
            raise TypeError(f"{node.id} is unknown") from None

    def attribute(self, node: ast.Attribute) -> Any:
        """A function of a module, such as `math.sin`."""
        module = self.value(node.value)
        if not isinstance(module, types.SimpleNamespace) or not hasattr(module, node.attr):
            raise _not_in_language(node)
        return getattr(module, node.attr)

    def arguments(self, node: ast.Call) -> list[Any]:
        if node.keywords:
            raise _not_in_language(node)
        return [self.value(argument) for argument in node.args]

    def call(self, node: ast.Call) -> Any:
        function, arguments = self.value(node.func), self.arguments(node)
        if isinstance(function, DType):
            if len(arguments) != 1:
                raise TypeError(f"{function}: expected 1 number; got {len(arguments)}")
            (given,) = arguments
            if isinstance(given, Value):
                return cast(given, function)
            return Value(constant(given, function), function, self.writer)
        if isinstance(function, Routine):
            return function.call(self.writer, arguments)
        if isinstance(function, OfWriter):
            return function.function(self.writer, *arguments)
        if not callable(function):
            raise TypeError(f"{ast.unparse(node.func)} is no function")
        return function(*arguments)

    def subscript(self, node: ast.Subscript) -> Value:
        pointer = self.value(node.value)
        if not isinstance(pointer, Value):
            raise TypeError(f"{ast.unparse(node.value)} is no pointer")
        return pointer[self.value(node.slice)]

    def conditional(self, node: ast.IfExp) -> Any:
        test = self.value(node.test)
        yes, no = self.value(node.body), self.value(node.orelse)
        return (yes if test else no) if isinstance(test, bool) else select(test, yes, no)

    def binary(self, node: ast.BinOp) -> Any:
        return self.entry_of(_BINARY, node, node.op)(self.value(node.left), self.value(node.right))

    def comparison(self, node: ast.Compare) -> Any:
        if len(node.ops) != 1:
            raise _not_in_language(node)
        (operation,), (right,) = node.ops, node.comparators
        return self.entry_of(_BINARY, node, operation)(self.value(node.left), self.value(right))

    def both_or_either(self, node: ast.BoolOp) -> Any:
        """`and` and `or` of bools; all of them are computed."""
        joined = operator.and_ if isinstance(node.op, ast.And) else operator.or_
        return functools.reduce(joined, map(self.condition, node.values))

    def negated(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not) and isinstance(value, Value):
            return ~cast(value, BOOL)
        return self.entry_of(_UNARY, node, node.op)(value)


# x ** y of integers, by squaring. A negative exponent gives 1.
_POWER = routines(
    """
def power_of_integers(x, y):
    total = x ^ x ^ 1
    factor = x
    exponent = y
    while exponent > 0:
        total = total * select(exponent & 1 != 0, factor, 1)
        factor = factor * factor
        exponent = exponent >> 1
    return total
""",
    {"select": select},
)["power_of_integers"]


def _power(x: Any, y: Any) -> Any:
    if not isinstance(x, Value) and not isinstance(y, Value):
        return x**y
    x, y = pair_of_numbers(x, y)
    return power(x, y) if x.dtype.is_float else _POWER.call(x.writer, [x, y])


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda x, y: floor_divide(x, y) if isinstance(x, Value) or isinstance(y, Value) else x // y,
    ast.Mod: lambda x, y: remainder(x, y) if isinstance(x, Value) or isinstance(y, Value) else x % y,
    ast.Pow: _power,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_STATEMENTS: dict[type, Callable[[Body, Any], None]] = {
    ast.Assign: Body.assignment,
    ast.AugAssign: Body.augmented,
    ast.For: Body.loop,
    ast.While: Body.while_loop,
    ast.If: Body.branches,
    ast.Expr: Body.expression,
    ast.Return: Body.end,
    ast.Pass: lambda _body, _node: None,
}
_EXPRESSIONS: dict[type, Callable[[Body, Any], Any]] = {
    ast.Name: Body.name,
    ast.Constant: Body.constant,
    ast.BinOp: Body.binary,
    ast.BoolOp: Body.both_or_either,
    ast.Compare: Body.comparison,
    ast.UnaryOp: Body.negated,
    ast.IfExp: Body.conditional,
    ast.Call: Body.call,
    ast.Subscript: Body.subscript,
    ast.Tuple: lambda body, node: tuple(body.value(item) for item in node.elts),
    ast.Attribute: Body.attribute,
}
