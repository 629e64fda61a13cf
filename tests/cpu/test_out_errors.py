"""`out=` that does not fit, and where it means something else."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from array_trees import read_only
from out_arrays import (
    LABELS,
    X,
    Y,
    statistics,
)

import onepass as op

LOSS = "softmax_cross_entropy_with_grad"
REFUSED: list[tuple[type[Exception], str, Any]] = [
    (ValueError, r"relu: out has shape \(40, 6\); expected \(6, 40\), the shape of the result\.", X.T),
    (ValueError, r"relu: out has shape \(1, 6, 40\); expected \(6, 40\)", X[None]),
    (ValueError, r"relu: out is read-only; expected a writable array\.", read_only(X)),
    (ValueError, r"relu: out is read-only", np.broadcast_to(X[0], X.shape)),
    (
        ValueError,
        r"relu: elements of out share memory",
        np.lib.stride_tricks.as_strided(np.zeros(100), X.shape, (8, 8)),
    ),
    (
        TypeError,
        r"relu: out is a numpy float32 array of shape \(6, 40\); expected a numpy float64 array of shape",
        X.astype(np.float32),
    ),
    (TypeError, r"relu: out is a numpy >f8 array", X.astype(">f8")),
    (TypeError, r"relu: out is a numpy int64 array", X.astype(np.int64)),
    (TypeError, r"relu: out is a list; expected a numpy float64 array", [X]),
    (TypeError, r"relu: out is 3\.0; expected a numpy float64 array of shape", 3.0),
    (TypeError, r"relu: out is a numpy\.MaskedArray; expected", np.ma.masked_array(X)),
    (TypeError, r"relu: out is a memoryview; expected", memoryview(X)),
]


@pytest.mark.parametrize(
    ("error", "message", "out"), REFUSED, ids=[message[6:40] for _, message, _ in REFUSED]
)
def test_an_array_that_does_not_fit_is_refused(
    error: type[Exception], message: str, out: Any, backend: str
) -> None:
    before = np.array(out)
    with pytest.raises(error, match=f"^{message}"):
        op.relu(X, out=out)
    np.testing.assert_array_equal(np.asarray(out), before)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (
            X,
            rf"{LOSS}: out is a numpy float64 array of shape \(6, 40\); expected a tuple of 2, the structure",
        ),
        (
            (X,),
            rf"{LOSS}: out is a tuple of 1; expected a tuple of 2, the structure of the result",
        ),
        ((X, X.copy()), rf"{LOSS}: out\[0\] has shape \(6, 40\); expected \(\), the shape"),
        ({"loss": None}, rf"{LOSS}: out is a dict of \['loss'\]; expected a tuple of 2"),
        ((None, (X, X)), rf"{LOSS}: out\[1\] is a tuple; expected a numpy float64 array"),
        (("", X), rf"{LOSS}: out\[0\] is ''; expected a numpy float64 array of shape \(\)"),
    ],
)
def test_another_structure_is_refused(out: Any, message: str, backend: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        op.softmax_cross_entropy_with_grad(X, LABELS, out=out)


def test_what_is_refused_in_a_dict_is_named(backend: str) -> None:
    for out, message in (
        (
            {"mean": None},
            r"statistics: out is a dict of \['mean'\]; expected a dict of \['gram', 'mean', 'rest'\]",
        ),
        (
            {"mean": None, "gram": [X], "rest": None},
            r"statistics: out\['gram'\]\[0\] has shape \(6, 40\); expected",
        ),
        (
            {"mean": None, "gram": None, "rest": [X]},
            r"statistics: out\['rest'\] is a list of 1; expected a dict of",
        ),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            statistics(X, Y, out=out)
    nothing = op.kernel(lambda x: (x, [x, None]))
    with pytest.raises(TypeError, match=r"out\[1\]\[1\] is a numpy .* expected None, as the result is no"):
        nothing(X, out=(None, [None, X]))


def test_a_parameter_called_out_keeps_its_meaning(backend: str) -> None:
    result = op.sigmoid(X)
    np.testing.assert_array_equal(op.sigmoid_backward(Y, out=result), op.sigmoid_backward(Y, result))
    own = op.kernel(lambda x, out: x + out)
    np.testing.assert_array_equal(own(X, out=Y), X + Y)
    any_name = op.kernel(lambda x, **named: x + named["out"])
    np.testing.assert_array_equal(any_name(X, out=Y), X + Y)


def test_inside_a_kernel_nothing_is_written(backend: str) -> None:
    buffer = np.zeros_like(X)
    kernels = [
        op.kernel(lambda x: op.relu(x, out=buffer)),
        op.kernel(lambda x: x + op.relu(Y, out=buffer)),
        op.kernel(lambda x: statistics(x, x, out={"mean": None, "gram": [None], "rest": None})),
    ]
    for kernel in kernels:
        with pytest.raises(TypeError, match=r": got out= inside a kernel; .*Return the result"):
            kernel(X)
        assert not buffer.any()
    np.testing.assert_array_equal(op.kernel(lambda x: op.relu(x, out=None))(X), op.relu(X))


def test_wrong_arguments_leave_the_destination_alone(backend: str) -> None:
    gradient = np.full_like(X, 5)
    with pytest.raises(ValueError, match=re.escape("labels[0] is 99")):
        op.softmax_cross_entropy_with_grad(X, np.array([99, *LABELS[1:]]), out=(None, gradient))
    with pytest.raises(TypeError, match="unexpected keyword argument 'Out'"):
        op.relu(X, Out=gradient)  # type: ignore[call-overload]
    assert (gradient == 5).all()
