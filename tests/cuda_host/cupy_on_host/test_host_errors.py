"""What is wrong with a call on CuPy's arrays is said before anything is computed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

import onepass as op


@op.kernel
def found(x: Any) -> Any:
    return array_namespace(x).nonzero(x)[0]


@op.kernel
def product(x: Any, y: Any) -> Any:
    return x * y


def test_arrays_of_numpy_and_cupy(backend: str, cupy: Any) -> None:
    mine, others = cupy.ones((4, 5), "float32"), np.ones((4, 5), np.float32)
    for call in (op.mean_squared_error, op.linear_backward, product):
        given = (
            (mine, others)
            if call is not op.linear_backward
            else (cupy.ones((4, 4), "float32"), mine, others.T)
        )
        with pytest.raises(
            TypeError, match=r"cupy float32 array of shape .* and .* numpy float32 array of shape"
        ):
            call(*given)
    with pytest.raises(TypeError, match=r"x is a numpy float32 array of shape .* and y is a cupy"):
        product(others, mine)
    with pytest.raises(TypeError, match=r"out is a numpy float32 array .*; expected a cupy float32 array"):
        op.relu(mine, out=others)
    with pytest.raises(TypeError, match="y is a numpy float64 array of shape"):
        product(mine, np.asarray(2.0))


def test_an_array_of_numpys_from_outside(backend: str, cupy: Any) -> None:
    others = np.ones(5, np.float32)
    with pytest.raises(TypeError, match=r"cupy and numpy|Unsupported type"):
        op.kernel(lambda x: x * others)(cupy.ones((4, 5), "float32"))
    mine = cupy.arange(5, dtype="float32")
    result = op.kernel(lambda x: mine * x + mine)(cupy.ones((4, 5), "float32"))
    np.testing.assert_array_equal(result.get(), np.tile(2 * np.arange(5.0), (4, 1)))


def test_arrays_of_two_devices(backend: str, cupy: Any) -> None:
    here = cupy.ones((4, 5))
    with cupy.cuda.Device(1):
        there = cupy.ones((4, 5))
    for call in (op.mean_squared_error, product):
        with pytest.raises(ValueError, match=r"is on <CUDA Device 0> and \w+ is on <CUDA Device 1>"):
            call(here, there)
    with pytest.raises(ValueError, match=r"out is on <CUDA Device 1>; expected <CUDA Device 0>"):
        op.relu(here, out=there)


def test_labels_outside_of_the_classes(backend: str, cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = cupy.zeros((4, 3)), cupy.asarray([0, 2, 7, -1])
    loss, grad = op.softmax_cross_entropy_with_grad(logits, labels, reduction="none")
    np.testing.assert_allclose(loss.get(), [np.log(3), np.log(3), np.nan, np.nan])
    assert np.isfinite(grad[:2].get()).all()
    monkeypatch.setenv("ONEPASS_CHECK", "1")
    with pytest.raises(ValueError, match=r"labels\[2\] is 7; expected 0 <= label < 3"):
        op.softmax_cross_entropy_with_grad(logits, labels)
    with pytest.raises(ValueError, match=r"labels\[3\] is -1; .* or ignore_index 7"):
        op.softmax_cross_entropy(logits, labels, ignore_index=7)
    with pytest.raises(ValueError, match=r"labels\[2\] is 7"):
        op.kernel(lambda x, y: op.softmax_cross_entropy(x, y))(logits, labels)
    np.testing.assert_allclose(float(op.softmax_cross_entropy(logits, labels % 3)), np.log(3))


def test_an_operation_that_the_compiler_does_not_know(backend: str, cupy: Any) -> None:
    """Asked for by name, an error; else the result or the same error. The words name kernel and operation."""
    x = cupy.asarray([[3.0, 1.0], [2.0, 5.0]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = found(x)
        except (AttributeError, TypeError) as error:
            words = [str(error)]
        else:
            assert backend == "auto"
            np.testing.assert_array_equal(result.get(), np.nonzero(x.get())[0])
            words = [str(warning.message) for warning in caught]
    assert len(words) == 1
    assert "found: " in words[0]
    assert "nonzero" in words[0]
    assert f"{__file__}, line " in words[0]


@pytest.mark.parametrize("kind", ["poly1d", "Device", "Generator"])
def test_what_is_of_cupy_and_no_array(kind: str, cupy: Any) -> None:
    """An array-like is no argument; another object may be one, but is nothing to multiply with."""
    value = {
        "poly1d": lambda: cupy.poly1d(cupy.asarray([1.0, 2.0])),
        "Device": lambda: cupy.cuda.Device(0),
        "Generator": lambda: cupy.random.Generator,
    }[kind]()
    x = cupy.ones((4, 5))
    refused = (
        "expected an array, a number, or a list" if kind == "poly1d" else "expected an array or a number"
    )
    with op.use_backend("cupy"):
        with pytest.raises(TypeError, match=f"product: .*{refused}"):
            product(x, value)
        with pytest.raises(TypeError, match="expected an array or a number"):
            op.kernel(lambda x: x * value)(x)
    # CuPy itself says no under "auto".
    for call in (lambda: product(x, value), lambda: op.kernel(lambda x: x * value)(x)):
        with pytest.raises(TypeError):
            call()


def test_wrong_arguments(backend: str, cupy: Any) -> None:
    x, labels = cupy.ones((4, 3), "float32"), cupy.zeros(4, int)
    with pytest.raises(ValueError, match=r"labels has shape \(4, 1\); expected \(4,\), the rows of logits"):
        op.softmax_cross_entropy(x, labels[:, None])
    with pytest.raises(TypeError, match="labels is a cupy float64 array of shape"):
        op.softmax_cross_entropy(x, labels.astype(float))
    with pytest.raises(TypeError, match=r"x is a cupy int64 array of shape .*real floating-point dtype"):
        op.relu(labels)
    with pytest.raises(TypeError, match="ignore_index is a cupy int64 array of shape"):
        op.softmax_cross_entropy(x, labels, ignore_index=labels[0])
    with pytest.raises(ValueError, match=r"out has shape \(3, 4\); expected \(4, 3\)"):
        op.relu(x, out=cupy.empty((3, 4), "float32"))
    with pytest.raises(TypeError, match="out is a cupy float64 array"):
        op.relu(x, out=cupy.empty((4, 3)))
    with pytest.raises(ValueError, match="elements of out share memory"):
        op.relu(x, out=cupy.broadcast_to(cupy.empty(3, "float32"), (4, 3)))


def test_another_backend_by_name(cupy: Any) -> None:
    x = cupy.ones((4, 3), "float32")
    for name in ("numpy", "numba"):
        with (
            op.use_backend(name),
            pytest.raises(TypeError, match=f"cupy arrays; expected NumPy arrays for the backend '{name}'"),
        ):
            op.relu(x)
    with (
        op.use_backend("cupy"),
        pytest.raises(TypeError, match="got numpy arrays; expected CuPy arrays for the backend 'cupy'"),
    ):
        op.relu(x.get())
    with op.use_backend("cupy"), pytest.raises(TypeError, match="a cupy complex64 array"):
        product(x.astype("complex64"), x.astype("complex64"))
    with op.use_backend("auto"):  # the eager backend takes what the compiler does not
        np.testing.assert_array_equal(product(x.astype("complex64"), x * 2j).get(), np.full((4, 3), 2j))
