"""The operations on bits in the vector functions, and that a largest element is found with vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled_text import compiled, memory_of, module_of, optimised
from onepass.backends.cpu.llvm import operations
from onepass.backends.cpu.llvm.names import NAMES
from onepass.backends.cpu.llvm.translate import translate
from onepass.backends.ir.dtypes import INT64, dtype_of

DTYPES = ("float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "kind"), [("greatest", "fmaximum"), ("least", "fminimum")])
def test_a_largest_element_is_found_with_vectors(name: str, kind: str, dtype: str) -> None:
    text = f"""\
def find(n, x, out):
    best = x[0]
    for i in range(n):
        best = {name}(best, x[i])
    out[0] = best
"""
    types = INT64, memory_of(dtype), memory_of(dtype)
    assert f"llvm.vector.reduce.{kind}" in optimised(module_of(text, "find", *types))
    find = compiled(text, "find", *types)
    for x in (np.linspace(-500, -499, 301), np.array([1, np.inf, 3]), np.array([1, 2, np.nan, -np.inf])):
        out = np.empty(1, dtype)
        find(x.size, x.astype(dtype), out)
        expected = {"greatest": np.max, "least": np.min}[name](x.astype(dtype))
        np.testing.assert_array_equal(out[0], expected)


@pytest.fixture
def of_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts may use the operations on bits, which programs have no names for."""
    import compiled_text

    names = {
        name: getattr(operations, name)
        for name in ("bits_of_float", "float_of_bits", "power_of_two", "inverse_power_of_two_below")
    }
    both = {"exponent_and_mantissa": operations.exponent_and_mantissa}
    monkeypatch.setattr(compiled_text, "NAMES", {**NAMES, **names, **both})
    assert compiled_text.translate is translate


NUMBERS = (1.0, -0.0, 1e-40, np.inf, -2.5, 3e38)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_and_back(dtype: str, of_bits: None) -> None:
    text = """\
def run(n, x, bits, out):
    for i in range(n):
        bits[i] = bits_of_float(x[i])
        out[i] = float_of_bits(bits[i])
"""
    integer = f"int{8 * np.dtype(dtype).itemsize}"
    x = np.array(NUMBERS).astype(dtype)
    bits, out = np.empty(x.size, integer), np.empty_like(x)
    types: list[Any] = [memory_of(name) for name in (dtype, integer, dtype)]
    compiled(text, "run", INT64, *types)(x.size, x, bits, out)
    assert bits.tolist() == x.view(integer).tolist()
    assert out.tobytes() == x.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponents_and_mantissas(dtype: str, of_bits: None) -> None:
    text = """\
def run(n, x, exponents, mantissas, inverses):
    for i in range(n):
        exponents[i], mantissas[i] = exponent_and_mantissa(x[i])
        inverses[i] = inverse_power_of_two_below(x[i])
"""
    assert dtype_of(dtype)
    x = np.concatenate([np.exp2(np.linspace(-100, 100, 999)), [1, 2, 0.5**0.5, 2**0.5, 1.4142]]).astype(dtype)
    exponents, mantissas, inverses = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    compiled(text, "run", INT64, *[memory_of(dtype)] * 4)(x.size, x, exponents, mantissas, inverses)
    np.testing.assert_array_equal(np.ldexp(mantissas, exponents.astype(int)), x)
    assert mantissas.min() >= np.dtype(dtype).type(0.5**0.5)
    assert mantissas.max() < 2**0.5
    np.testing.assert_array_equal(inverses, np.ldexp(np.ones_like(x), -exponents.astype(int)))
