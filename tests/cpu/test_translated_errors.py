"""What is not in the language of emitted programs is an error that says what and where."""

from __future__ import annotations

import ast
import re

import pytest
from compiled_text import module_of
from onepass.backends.cpu.llvm.translate import TextError
from onepass.backends.cpu.llvm.values import Pointer
from onepass.backends.ir.dtypes import BOOL, FLOAT32, FLOAT64, INT32, INT64

TYPES = {
    "i": INT64,
    "j": INT32,
    "f": FLOAT32,
    "d": FLOAT64,
    "b": BOOL,
    "x": Pointer(FLOAT32),
    "n": Pointer(INT64),
}


def refused(body: str) -> str:
    """What is said of statements with these arguments."""
    text = f"def run({', '.join(TYPES)}):\n    first = 0\n    " + body.replace("\n", "\n    ") + "\n"
    with pytest.raises(TextError) as caught:
        module_of(text, "run", *TYPES.values())
    assert isinstance(caught.value, TypeError)
    return str(caught.value)


# Statements and expressions that Python has, and this language has not.
UNKNOWN = [
    "del i",
    "import math",
    "global i",
    "raise i",
    "break",
    "assert b",
    "with i:\n    pass",
    "try:\n    pass\nfinally:\n    pass",
    "def inner():\n    pass",
    "i: int = 3",
    "i = k = 1",
    "i.real = 1",
    "[i, k] = 1, 2",
    "for i in x:\n    pass",
    "for i in zip(x, n):\n    pass",
    "for i, k in range(3):\n    pass",
    "for k in range(3):\n    pass\nelse:\n    first = 1",
    "while b:\n    pass\nelse:\n    first = 1",
    "k = [i]",
    "k = {i: i}",
    "k = 'text'",
    "k = None",
    "k = 1j",
    "k = lambda: i",
    "k = x[1:2]",
    "k = 0 < i < 3",
    "k = i is i",
    "k = i in n",
    "k = +i",
    "k = i @ i",
    "i @= i",
    "k = i.name",
    "k = math.pi",
    "k = float32.bits",
    "k = min(*n)",
    "k = max(i, key=i)",
    "k = f'{i}'",
    "k = (m := i)",
]


@pytest.mark.parametrize("body", UNKNOWN)
def test_what_is_not_in_the_language(body: str) -> None:
    said = refused(body)
    assert "not in the language" in said
    line = re.search(r"line (\d+)", said)
    assert line
    assert 3 <= int(line[1]) <= 2 + len(body.splitlines())


# By statement: what is said of it.
WRONG = {
    "k = unknown": "unknown is unknown",
    "k = unknown(i)": "unknown is unknown",
    "k = i + f": "expected two operands of one dtype; got int64 and float32",
    "k = i + j": "int64 and int32",
    "k = f * d": "float32 and float64",
    "k = b + f": "bool and float32",
    "k = x + 1": "expected a number; got a pointer to float32",
    "k = i + 0.5": "expected int64; got the float 0.5",
    "k = i < 0.5": "expected int64; got the float 0.5",
    "k = j + 3000000000": "3000000000 is no int32",
    "k = uint8(256)": "256 is no uint8",
    "k = int8(-129)": "-129 is no int8",
    "k = int64(nan)": "nan is no int64",
    "k = int64(inf)": "inf is no int64",
    "k = f & f": "expected integers or bools",
    "k = f << 1": "expected integers for a shift",
    "k = ~f": "expected integers or bools",
    "k = f or b": "expected bool; got float32",
    "k = i and b": "expected bool; got int64",
    "if i:\n    pass": "expected bool; got int64",
    "while 1:\n    pass": "expected a bool; got 1",
    "k = f if i else f": "select: expected a bool; got int64",
    "k = f if b else i": "float32 and int64",
    "k = f[0]": "expected a pointer; got float32",
    "k = min[0]": "min is no pointer",
    "k = x[j]": "expected int64; got int32",
    "k = x[0.5]": "expected int64; got the float 0.5",
    "x[b] = f": "expected int64; got bool",
    "x[0] = d": "expected float32; got float64",
    "x[0] = i": "expected float32; got int64",
    "n[0] = f": "expected int64; got float32",
    "n[0] = 0.5": "expected int64; got the float 0.5",
    "f = d": "expected float32; got float64",
    "first = 0.5": "expected int64; got the float 0.5",
    "b = 1": "expected a bool; got 1",
    "x = n": "expected a pointer to float32; got a pointer to int64",
    "x = 0": "expected a pointer to float32; got 0",
    "k = i, i": "expected a number; got",
    "k, m = i": "expected a tuple of 2",
    "k, m = i, i, i": "expected a tuple of 2",
    "k = float32(f, f)": "float32: expected 1 number; got 2",
    "k = float32()": "float32: expected 1 number; got 0",
    "k = float32(x)": "expected a number; got a pointer",
    "k = i(3)": "i is no function",
    "k = sqrt(i)": "sqrt: expected a float of a dtype; got int64",
    "k = sqrt(2.0)": "sqrt: expected a float of a dtype; got 2.0",
    "k = sqrt(f, f)": "takes 1 positional argument",
    "k = maximum(1.0, 2.0)": "expected a number of a dtype; got 1.0 and 2.0",
    "k = maximum(i, i)": "expected a float of a dtype; got int64",
    "k = plus(i, i)": "expected floats; got int64",
    "k = math.sin(i)": "sin: expected a float of a dtype; got int64",
    "k = math.sin(f, f)": "sin: expected 1 numbers; got 2",
    "k = math.atan2(f, d)": "float32 and float64",
    "k = select(i, f, f)": "select: expected a bool; got int64",
    "k = select(True, f, f)": "select: expected a bool; got True",
    "k = float32_at(j)": "expected int64; got int32",
    "k = float32_at(x)": "expected int64; got a pointer to float32",
    "k = address_of(i)": "address_of: expected a pointer; got int64",
    "k = offset(i, 1)": "expected a pointer; got int64",
    "k = stack_of_float32(i)": "expected a length that stands in the text",
    "k = stack_of_float32(0)": "expected a length that stands in the text",
    "k = atomic_load(x)": "expected a pointer to int64; got a pointer to float32",
    "atomic_store(n, f)": "expected int64; got float32",
    "call(j)": "expected int64; got int32",
    "call(i, min)": "expected a number; got",
    "k = pause()": "expected a number; got None",
    "for k in range():\n    pass": "range: expected 1 to 3 arguments; got 0",
    "for k in range(1, 2, 3, 4):\n    pass": "range: expected 1 to 3 arguments; got 4",
    "for k in range(0, 9, i):\n    pass": "a step that stands in the text, at least 1",
    "for k in range(9, 0, -1):\n    pass": "a step that stands in the text, at least 1",
    "for k in range(0, 9, 0):\n    pass": "a step that stands in the text, at least 1",
    "for k in range(j):\n    pass": "expected int64; got int32",
    "for k in range(j, 9):\n    pass": "expected int64; got int32",
    "for k in range(2.0):\n    pass": "expected int64; got the float 2.0",
    "for f in range(3):\n    pass": "expected float32; got int64",
    "if b:\n    return i": "a return is the last statement of a function",
    "return": "a return is the last statement of a function, and has a value",
    "return i, i": "expected a number; got",
    "k = 1 // 0": "division by zero|modulo by zero",
    "k = 1 << -1": "negative shift count",
}


@pytest.mark.parametrize("body", WRONG)
def test_types_that_do_not_go_together(body: str) -> None:
    said = refused(body)
    assert re.search(WRONG[body], said), said
    lines = ast.unparse(ast.parse(f"def run():\n    {body.replace(chr(10), chr(10) + '    ')}")).splitlines()
    number = len(lines) - 1 if "return" in body else 1
    assert said.startswith(f"run, line {2 + number}: {lines[number].strip()}: "), said


WRONG_TEXTS = {
    "x = 1\ndef run(i):\n    pass": "line 1: x = 1: this is not in the language",
    "import math\ndef run(i):\n    pass": "line 1: import math",
    "@cached\ndef run(i):\n    pass": "not in the language",
    "def run(i=3):\n    pass": "not in the language",
    "def run(*i):\n    pass": "not in the language",
    "def run(i, **k):\n    pass": "not in the language",
    "def run(*, i):\n    pass": "not in the language",
    "def run():\n    pass": "run: expected 0 arguments; got 1",
    "def run(i, j):\n    pass": "run: expected 2 arguments; got 1",
    "def other(i):\n    pass": "the text has no function run",
    "def run(i):\n    run(i)": "run calls itself",
    "def run(i):\n    other(i)\ndef other(i):\n    run(i)": "run calls itself|other calls itself",
    "def run(i):\n    other(i, i)\ndef other(i):\n    pass": "other: expected 1 arguments; got 2",
    "def run(i):\n    k = other(i)\ndef other(i):\n    pass": "expected a number; got None",
    "def run(i):\n    k = other(i)\ndef other(i):\n    return i + 0.5": "^other, line 4: return",
    "def run(i):\n    if i > 0:\n        k = i\n    k = m": "^run, line 4: k = m: m is unknown",
}


@pytest.mark.parametrize("text", WRONG_TEXTS)
def test_functions_that_are_not_in_the_language(text: str) -> None:
    with pytest.raises(TextError, match=WRONG_TEXTS[text]):
        module_of(text, "run", INT64)


def test_what_is_no_python_is_a_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        module_of("def run(i):\n    retrun i", "run", INT64)
