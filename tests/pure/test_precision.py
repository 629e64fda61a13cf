"""The choice of a precision: names, scopes, errors. What it does to products needs a GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fresh_python import run_python
from onepass.backends.common.precision import chosen_precision

import onepass as op


def test_the_innermost_choice_holds_until_its_block_ends() -> None:
    assert chosen_precision() is None
    with op.use_precision("high"):
        assert chosen_precision() == "high"
        with op.use_precision("medium"):
            assert chosen_precision() == "medium"
        assert chosen_precision() == "high"
    assert chosen_precision() is None


def test_an_exception_ends_the_choice() -> None:
    with pytest.raises(KeyError), op.use_precision("medium"):
        raise KeyError
    assert chosen_precision() is None


def test_another_thread_has_its_own() -> None:
    with op.use_precision("medium"), ThreadPoolExecutor(1) as threads:
        assert threads.submit(chosen_precision).result() is None


@pytest.mark.parametrize("name", ["low", "", None, 32])
def test_an_unknown_name_is_an_error_at_once(name: object) -> None:
    expected = rf"^use_precision: got {name!r}; expected one of 'highest', 'high', 'medium'\.$"
    with pytest.raises(ValueError, match=expected):
        op.use_precision(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_processor_multiplies_float32_whatever_is_chosen(backend: str) -> None:
    random = np.random.default_rng(0)
    x, weight = (random.standard_normal(shape, dtype=np.float32) for shape in ((33, 65), (65, 17)))
    with op.use_backend(backend):
        expected = op.linear(x, weight)
        for name in ("highest", "high", "medium"):
            with op.use_precision(name):
                np.testing.assert_array_equal(op.linear(x, weight), expected)


CHOSEN = """
from onepass.backends.common.precision import chosen_precision
import onepass as op
with op.use_precision("medium"):
    print(chosen_precision())
try:
    print(chosen_precision())
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("high", "high"),
        ("", "None"),
        ("tf32", "ONEPASS_PRECISION: got 'tf32'; expected one of 'highest', 'high', 'medium'."),
    ],
)
def test_the_environment_chooses_for_what_has_no_choice(value: str, said: str) -> None:
    done = run_python(CHOSEN, ONEPASS_PRECISION=value)
    assert done.stdout.splitlines() == ["medium", said], done.stderr
