"""Every kernel of the table of cases, compiled for the CPU, against its formula in NumPy."""

from __future__ import annotations

import pytest
from array_trees import assert_near
from cases import CASES, COMPILED_CASES, LAST, Case
from libraries import LIBRARIES, convert
from selection import exhaustively

import onepass as op
from onepass import kernels

# One kernel of each family, and with it each vector function.
IN_FLOAT32 = (
    "tanh",
    "sigmoid",
    "log_softmax",
    "nll_loss_with_grad",
    "multiclass_hinge_with_grad",
    "binary_cross_entropy_with_logits_with_grad",
    "linear_backward",
    "adam_step",
)


def is_usual(case: Case, dtype: str) -> bool:
    if dtype == "float64":
        return any(case is one for one in COMPILED_CASES)
    return case is LAST[case.kernel] and case.kernel in IN_FLOAT32


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        exhaustively(case, dtype, when=not is_usual(case, dtype), id=f"{case}-{dtype}")
        for dtype in ("float64", "float32")
        for case in CASES
    ],
)
def test_a_compiled_kernel_computes_its_formula(case: Case, dtype: str) -> None:
    expected = getattr(kernels, case.kernel)(*case.args, **case.kwargs)
    args, kwargs = convert((case.args, case.kwargs), LIBRARIES["numpy"](), dtype)
    # What runs without a choice of a backend is what runs by name.
    for backend in ("auto", "numba"):
        with op.use_backend(backend):
            got = getattr(op, case.kernel)(*args, **kwargs)
        assert_near(got, expected, dtype)
