"""Statements and functions of the language of emitted programs, by the values that they leave in arrays."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest
from compiled_text import compiled, elementwise, elementwise_text, memory_of, module_of, optimised
from onepass.backends.cpu.llvm.values import Pointer
from onepass.backends.ir.dtypes import BOOL, DTYPES, FLOAT32, FLOAT64, INT32, INT64, UINT8, DType

NUMBERS = Pointer(INT64)


def left_by(body: str, *arguments: int, size: int = 8) -> list[int]:
    """What statements leave in `out`, an array of zeros; `a`, `b` and `c` are integers."""
    names = "abc"[: len(arguments)]
    text = f"def run(out{''.join(f', {name}' for name in names)}):\n    " + body.strip().replace(
        "\n", "\n    "
    )
    out = np.zeros(size, np.int64)
    compiled(text, "run", NUMBERS, *[INT64] * len(arguments))(out, *arguments)
    return list(out.tolist())


def by_python(body: str, *arguments: int, size: int = 8) -> list[int]:
    """The same, by Python itself."""
    out = [0] * size
    exec(body, {"out": out, "int64": int, **dict(zip("abc", arguments, strict=False))})
    return out


# Each means the same in Python, with whole numbers and lists for pointers.
BODIES = {
    "a loop": "for i in range(a):\n    out[i] = i * i + 1",
    "a loop from": "for i in range(b, a):\n    out[i] = i",
    "a loop with a step": "for i in range(b, a, 3):\n    out[i] = i",
    "a loop over nothing": "out[0] = 5\nfor i in range(a, b):\n    out[0] = 7",
    "nested loops": "for i in range(a):\n    for j in range(i):\n        out[i] += j * (i + 1)",
    "the counter after a loop": "for i in range(a):\n    pass\nout[0] = i",
    "a counter that the body changes": "for i in range(a):\n    i = i + 100\n    out[i - 100] = i",
    "a stop that the body changes": "n = a\nfor i in range(n):\n    n = 1\n    out[i] = n + i",
    "while": "n = a\nwhile n > 0:\n    out[n] = n * n\n    n -= 2",
    "while in for": "for i in range(a):\n    n = i\n    while n > 1:\n        n //= 2\n        out[i] += 1",
    "if": "if a > b:\n    out[0] = 1\nout[1] = 2",
    "if else": "if a < b:\n    out[0] = 1\nelse:\n    out[1] = 2",
    "elif": "if a < b:\n    out[0] = 1\nelif a == 5:\n    out[1] = 2\nelse:\n    out[2] = 3",
    "if in for": "for i in range(a):\n    if i % 2 == 1:\n        out[i] = 1\n    else:\n        out[i] = i",
    "tuples": "x, y = a, b\nx, y = y, x + y\nout[0] = x\nout[1] = y",
    "a swap of elements": "out[0], out[1] = a, b\nout[0], out[1] = out[1], out[0]",
    "augmented": "x = a\nx += 2\nx *= b\nx -= 1\nx //= 2\nout[0] = x",
    "augmented bits": "x = a\nx %= 7\nx <<= 3\nx |= 1\nx ^= b\nout[0] = x\nout[0] &= 6",
    "a docstring": '"""What it does."""\nout[0] = a',
    "a conditional": "for i in range(a):\n    out[i] = 1 if i < b else (2 if i == b else 3)",
    "a bool variable": "going = True\nn = 0\nwhile going:\n    n += 1\n    going = n < a\nout[0] = n",
    "bools and numbers": "out[0] = (a > b) + (a == 5) - (b > a)\nout[1] = 10 * (a != b)",
    "numbers of the text": "out[0] = 2 + 3 * 4\nout[1] = 7 // 2\nout[2] = 7 % 4\nout[3] = 2 ** 5 - -1",
    "a word that means something else here": "min = a\nout[0] = min + 1",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("arguments", [(5, 2), (7, 3)])
def test_statements_leave_what_python_leaves(name: str, arguments: tuple[int, int]) -> None:
    if name == "a swap of elements":
        assert left_by(BODIES[name], *arguments)[:2] == [arguments[1], arguments[0]]
    assert left_by(BODIES[name], *arguments) == by_python(BODIES[name], *arguments)


@pytest.mark.parametrize("arguments", [(0, 0), (-3, 4), (8, 8)])
def test_loops_over_nothing(arguments: tuple[int, int]) -> None:
    for name in ("a loop", "a loop from", "a loop with a step", "while", "while in for"):
        assert left_by(BODIES[name], *arguments, size=9) == by_python(BODIES[name], *arguments, size=9)


def test_a_loop_may_end_at_the_last_number() -> None:
    last = 2**63 - 1
    assert left_by("for i in range(a, b):\n    out[0] += 1\n    out[1] = i", last - 3, last)[:2] == [
        3,
        last - 1,
    ]


def test_names_of_arguments_are_free() -> None:
    """The writer names registers and blocks itself: v1, p2, b3."""
    text = "def run(v1, p1, b1, entry, v2):\n    v1[0] = p1 + 10 * b1 + 100 * entry + 1000 * v2\n"
    out = np.zeros(1, np.int64)
    compiled(text, "run", NUMBERS, INT64, INT64, INT64, INT64)(out, 1, 2, 3, 4)
    assert out[0] == 4321


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_pointers_read_and_write_their_dtype(dtype: DType) -> None:
    text = f"""\
def copy(source, target):
    last = offset({dtype}_at(target), 3)
    for index in range(4):
        last[-index] = {dtype}_at(source)[index]
"""
    kind = np.dtype(dtype.name)
    limits = {"f": (np.inf, -0.0), "b": (True, False)}.get(kind.kind) or (
        np.iinfo(kind).max,
        np.iinfo(kind).min,
    )
    source, target = np.array([*limits, 1, 0], kind), np.zeros(6, kind)
    compiled(text, "copy", INT64, INT64)(source, target)
    assert target.tobytes() == np.array([*source[::-1], 0, 0], kind).tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arguments_of_every_dtype(dtype: DType) -> None:
    value = "uint8(x)" if dtype is BOOL else "x"
    memory = memory_of(dtype.name)
    run = compiled(f"def run(x, out):\n    out[0] = {value}\n", "run", dtype, memory)
    out = np.zeros(1, memory.to.name)
    for number in (1, 0) if dtype is BOOL else (1, 0, 100, -100 if dtype.is_float or dtype.lowest else 7):
        run(number, out)
        assert out[0] == number


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_on_the_stack(dtype: DType) -> None:
    text = f"""\
def reverse(x):
    kept = stack_of_{dtype}(16)
    for i in range(16):
        kept[i] = x[i]
    for i in range(16):
        x[i] = kept[15 - i]
"""
    memory = memory_of(dtype.name)
    x = np.arange(16).astype(memory.to.name)
    compiled(text, "reverse", memory)(x)
    np.testing.assert_array_equal(x, np.arange(16)[::-1])


def test_an_address_comes_back() -> None:
    text = "def run(x, out):\n    out[0] = address_of(x)\n    out[1] = address_of(offset(x, 3)) - out[0]\n"
    x, out = np.zeros(4, np.float32), np.zeros(2, np.int64)
    compiled(text, "run", Pointer(FLOAT32), NUMBERS)(x, out)
    assert out.tolist() == [x.ctypes.data, 12]


ROUTINES = """\
def square(x):
    return x * x


def sum_of_squares(x, n):
    total = x[0] - x[0]
    for i in range(n):
        total += square(x[i])
    return total


def fill(x, n, value):
    for i in range(n):
        x[i] = value


def run(n, floats, integers, out):
    out[0] = float64(sum_of_squares(floats, n))
    out[1] = float64(sum_of_squares(integers, n))
    out[2] = square(1.5)
    fill(offset(out, 3), 2, square(square(2.0)))
    fill(integers, n, square(int32(3)))
"""


def test_functions_of_a_text_call_each_other_with_any_types() -> None:
    floats, integers = np.array([0.5, 1.5, 2.0], np.float32), np.array([1, 2, 3], np.int32)
    out = np.zeros(6)
    compiled(ROUTINES, "run", INT64, Pointer(FLOAT32), Pointer(INT32), Pointer(FLOAT64))(
        3, floats, integers, out
    )
    assert out.tolist() == [6.5, 14, 2.25, 16, 16, 0]
    assert integers.tolist() == [9, 9, 9]


def test_a_function_is_made_once_for_its_types() -> None:
    module = module_of(ROUTINES, "run", INT64, Pointer(FLOAT32), Pointer(INT32), Pointer(FLOAT64))
    assert len(re.findall(r"define internal float @square", module)) == 1
    assert len(re.findall(r"define internal double @square", module)) == 1
    assert len(re.findall(r"define internal i32 @square", module)) == 1
    assert len(re.findall(r"define void @entry", module)) == 1


def test_a_function_before_the_one_that_it_calls() -> None:
    before = "def twice(x):\n    return once(x) + once(x)\n\n\ndef once(x):\n    return x + 1\n"
    got = elementwise("twice(x)", "int8", before, x="int8")(x=np.array([1, -5]))
    assert got.tolist() == [4, -8]


def test_calls_of_addresses() -> None:
    text = """\
def add(a, b, out):
    out[0] = float64(a) + float64(b)


def run(address, out):
    call(address, 2, float32(0.5), out)
"""
    add = compiled(text, "add", INT64, FLOAT32, Pointer(FLOAT64))
    out = np.zeros(1)
    add(1, 0.25, out)
    assert out[0] == 1.25
    seen = []
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_float, ctypes.c_int64)
    called = kind(lambda *given: seen.append(given))
    address = ctypes.cast(called, ctypes.c_void_p).value
    compiled(text, "run", INT64, Pointer(FLOAT64))(address, out)
    assert seen == [(2, 0.5, out.ctypes.data)]


def test_what_threads_share() -> None:
    text = """\
def run(x, out):
    atomic_store(x, 5)
    atomic_add(x, 2)
    out[0] = atomic_load(x)
    out[1] = int64(exchanged(x, 6, 1))
    out[2] = int64(exchanged(x, 7, 9))
    out[3] = atomic_load(x)
    pause()
    sched_yield()
"""
    out = np.full(4, -1)
    compiled(text, "run", NUMBERS, NUMBERS)(np.zeros(1, np.int64), out)
    assert out.tolist() == [7, 0, 1, 9]


def test_arguments_of_the_entry_may_lead_to_the_same_memory() -> None:
    text = "def run(n, x, y):\n    for i in range(n):\n        y[i + 1] = x[i] + 1.0\n"
    run = compiled(text, "run", INT64, Pointer(FLOAT64), Pointer(FLOAT64))
    x = np.zeros(100)
    run(99, x, x)
    assert x.tolist() == list(range(100))


LLVM_TYPES = {"float32": "float", "float64": "double", "int32": "i32"}


@pytest.mark.parametrize(
    ("dtype", "expression"),
    [
        *(
            (dtype, text)
            for dtype in LLVM_TYPES
            for text in ("x + x * y", "x if x < y else y", "x * int_of(y)")
        ),
        ("int32", "x - x // 8"),
    ],
)
def test_llvm_vectorises_loops(expression: str, dtype: str) -> None:
    text = elementwise_text(expression.replace("int_of(y)", f"{dtype}(int32(y))"), dtype, x=dtype, y=dtype)
    done = optimised(module_of(text, "apply", INT64, *[memory_of(dtype)] * 3))
    (body,) = re.findall(r"^vector\.body[^\n]*:.*?\n\n", done, re.MULTILINE | re.DOTALL)
    assert re.search(rf"load <\d+ x {LLVM_TYPES[dtype]}>", body), body


def test_sums_are_not_reordered_but_for_those_that_may() -> None:
    body = "    for i in range(n):\n        total = {}\n    out[0] = total\n"
    for step, is_free in (("total + x[i]", False), ("plus(total, x[i])", True)):
        text = "def run(n, x, out):\n    total = float32(0.0)\n" + body.format(step)
        module = module_of(text, "run", INT64, Pointer(FLOAT32), Pointer(FLOAT32))
        assert ("reassoc" in module) == is_free
        run = compiled(text, "run", INT64, Pointer(FLOAT32), Pointer(FLOAT32))
        x, out = np.random.default_rng(0).standard_normal(1000).astype(np.float32), np.zeros(1, np.float32)
        run(1000, x, out)
        in_order = np.float32(0)
        for number in x:
            in_order += number
        assert (out[0] == in_order) or is_free
        np.testing.assert_allclose(out[0], x.astype(float).sum(), rtol=1e-5)


def test_products_and_sums_are_not_fused() -> None:
    x, y, z = (np.random.default_rng(seed).standard_normal(500).astype(np.float32) for seed in range(3))
    got = elementwise("x * y + z", "float32", x="float32", y="float32", z="float32")(x=x, y=y, z=z)
    assert got.tobytes() == (x * y + z).tobytes()


def test_bytes_that_are_bools() -> None:
    x = np.array([0, 1, 1, 0], bool)
    assert elementwise("not x", "bool", x="bool")(x=x).tolist() == [True, False, False, True]
    assert memory_of("bool") == Pointer(UINT8)
