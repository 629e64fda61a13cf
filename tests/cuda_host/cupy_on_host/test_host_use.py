"""Kernels called as a CuPy user calls them: trees and views of arrays, scalars, options, out=, threads."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from gpu_programs import network, plain_step, step
from on_gpu import assert_close, bits, to_gpu
from onepass.backends import signatures as forms
from onepass.backends.common import libraries
from onepass.backends.cuda import program as cuda_backend

import onepass as op
from onepass import kernels, report


@op.kernel
def scaled(x: Any, factor: Any) -> Any:
    return x * factor, array_namespace(x).sum(x, axis=0) + factor


@op.kernel
def in_single(x: Any) -> Any:
    """With numbers of float32 in its own text, as `cupy.float32(0.1)` is one."""
    return x * np.float32(0.1), array_namespace(x).maximum(x, np.float32(0.25))


@pytest.fixture
def logits(cupy: Any) -> Any:
    return cupy.asarray(np.random.default_rng(3).standard_normal((6, 10), dtype=np.float32))


def test_a_call_as_in_the_readme(backend: str, cupy: Any, logits: Any) -> None:
    labels = cupy.arange(6) % 10
    expected = kernels.softmax_cross_entropy_with_grad(logits.get(), labels.get())
    got = op.softmax_cross_entropy_with_grad(logits, labels)
    assert_close(cupy, got, expected, "float32")
    assert got[0].device == logits.device


def test_a_key_holds_no_device(cupy: Any, logits: Any) -> None:
    """CuPy's device has no hash: with one in the key, no call works."""
    with pytest.raises(TypeError, match=r"unhashable type: '.*Device'"):
        hash(logits.device)
    libraries._library_of_type.clear()
    for _ in range(2):  # the type is known the second time only
        key = forms.signature_of_call((logits,), {}, [])
        assert key == (cupy.ndarray, logits.dtype, logits.shape, logits.device.id)
        hash(key)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that were compiled."""
    made: list[str] = []
    compile_program = cuda_backend.CudaProgram.__init__

    def counted(self: Any, function: Any, kernel: str, *args: Any, **kwargs: Any) -> None:
        made.append(kernel)
        compile_program(self, function, kernel, *args, **kwargs)

    monkeypatch.setattr(cuda_backend.CudaProgram, "__init__", counted)
    return made


def test_calls_of_one_form_are_one_program(cupy: Any, programs: list[str], logits: Any) -> None:
    @op.kernel
    def shifted(x: Any, by: Any) -> Any:
        return x + by

    forms_of_calls = [(logits, 1.5), (logits[:, ::-1], 2.5), (logits.T, 1.5), (logits[:1], 1.5)]
    forms_of_calls += [(logits.astype("float64"), 1.5), (logits, logits[0])]
    for number, (x, by) in enumerate(forms_of_calls):
        for array in (x, x.copy(), x + 1):
            expected = array.get() + (by if isinstance(by, float) else by.get())
            np.testing.assert_array_equal(shifted(array, by).get(), expected)
        assert len(programs) <= number + 1
    assert programs == ["shifted"] * 5  # a view and another number above 1 are no other form


def test_devices_have_programs_of_their_own(cupy: Any, programs: list[str]) -> None:
    @op.kernel
    def doubled(x: Any) -> Any:
        return 2 * x

    for number in (0, 1, 0, 1):
        with cupy.cuda.Device(number):
            result = doubled(cupy.ones((3, 4)))
            assert result.device.id == number
            np.testing.assert_array_equal(result.get(), np.full((3, 4), 2.0))
    assert programs == ["doubled"] * 2


def test_arrays_in_nested_trees(backend: str, cupy: Any) -> None:
    params = {"body": [np.ones((3, 4)), {"bias": np.arange(4.0)}], "head": (np.full(5, -2.0),)}
    grads = {"body": [np.eye(3, 4), {"bias": np.ones(4)}], "head": (np.arange(5.0),)}
    mine, slopes = to_gpu(cupy, (params, grads), "float32")
    expected_state, state = kernels.adam_init(params), op.adam_init(mine)
    expected = params
    for _ in range(3):
        mine, state = op.adam_step(mine, slopes, state, lr=0.1)
        expected, expected_state = kernels.adam_step(expected, grads, expected_state, lr=0.1)
    assert_close(cupy, mine, expected, "float32")
    assert_close(cupy, state["exp_avg_sq"], expected_state["exp_avg_sq"], "float32")
    assert int(state["step"]) == 3


VIEWS = {
    "rows and columns left out": lambda a: a[1::2, 2:9:3],
    "fewer dimensions": lambda a: a[0],
    "one column": lambda a: a[:, 3:4],
    "transposed": lambda a: a.T,
    "Fortran order": lambda a: a.copy(order="F"),
    "backwards": lambda a: a[::-1, ::-2],
    "broadcast": lambda a: a[:, None, 0] + 0 * a[:1],
    "no rows": lambda a: a[:0],
}


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_read_where_they_lie(view: str, cupy: Any, logits: Any) -> None:
    given = VIEWS[view](logits)
    before = logits.get()
    expected = kernels.sigmoid(given.get())
    assert_close(cupy, op.sigmoid(given), expected, "float32")
    np.testing.assert_array_equal(logits.get(), before)
    zero = cupy.broadcast_to(logits[0, :1], (4, 5))
    assert zero.strides == (0, 0)
    assert_close(cupy, op.softmax(zero), np.full((4, 5), 0.2), "float32")


@pytest.mark.parametrize("scalar", [np.float32(0.1), np.float64(0.1), np.float16(0.1), np.int64(3)], ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numpys_scalars_beside_cupys_arrays(dtype: str, scalar: Any, backend: str, cupy: Any) -> None:
    """`cupy.float32` is NumPy's type: what it makes counts as on NumPy's arrays."""
    assert cupy.float32 is np.float32
    x = np.linspace(-2, 2, 12).reshape(3, 4).astype(dtype)
    if dtype == "float16" and isinstance(scalar, np.integer):
        # NumPy makes float64 of the two, for which a half is not held as what it is.
        with op.use_backend("cupy"), pytest.raises(TypeError, match="no common dtype"):
            scaled(cupy.asarray(x), scalar)
        return
    for factor in (scalar, type(scalar)(2)):
        with op.use_backend("numpy"):
            expected = scaled(x, factor)
        for got, reference in zip(scaled(cupy.asarray(x), factor), expected, strict=True):
            assert got.dtype == reference.dtype
            np.testing.assert_allclose(got.get(), reference, rtol=4e-3 if dtype == "float16" else 1e-6)
    params = [cupy.asarray(x)]
    (stepped,) = op.sgd_step(params, params, scalar)
    assert stepped.dtype == dtype
    np.testing.assert_allclose(stepped.get(), x - float(scalar) * x, rtol=4e-3, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_float32_number_in_a_kernels_text(dtype: str, backend: str, cupy: Any) -> None:
    x = np.linspace(-2, 2, 12).reshape(3, 4).astype(dtype)
    with op.use_backend("numpy"):
        expected = in_single(x)
    for got, reference in zip(in_single(cupy.asarray(x)), expected, strict=True):
        assert got.dtype == reference.dtype
        np.testing.assert_array_equal(got.get(), reference)


def test_a_result_of_no_dimensions_is_an_argument_again(backend: str, cupy: Any, logits: Any) -> None:
    total = op.l1_penalty(logits, 0.5)
    assert total.shape == ()
    expected = np.abs(logits.get()).sum() * np.float32(0.5)
    np.testing.assert_allclose(scaled(logits, total)[0].get(), logits.get() * expected, rtol=1e-5)
    grad = op.l1_penalty_backward(total, logits, 0.5)
    np.testing.assert_allclose(grad.get(), expected * 0.5 * np.sign(logits.get()), rtol=1e-5)


def test_options_of_every_kind(backend: str, cupy: Any, logits: Any) -> None:
    labels, weight = (
        cupy.asarray([0, 1, 2, 9, 1, 4], dtype="uint8"),
        cupy.linspace(0.5, 2, 10, dtype="float32"),
    )
    for options in (
        {"reduction": "none"},
        {"ignore_index": 1, "class_weight": weight},
        {"ignore_index": 2, "class_weight": weight},
        {"label_smoothing": 0.25, "reduction": "sum"},
        {"label_smoothing": np.float32(0.5), "reduction": "sum"},
    ):
        on_numpy = {k: v.get() if isinstance(v, cupy.ndarray) else v for k, v in options.items()}
        expected = kernels.softmax_cross_entropy(logits.get(), labels.get(), **on_numpy)
        assert_close(cupy, op.softmax_cross_entropy(logits, labels, **options), expected, "float32")
    for axis in (0, 1, -1):
        expected = kernels.softmax(logits.get(), axis=axis)
        assert_close(cupy, op.softmax(logits, axis=axis), expected, "float32")


def test_out_takes_results_of_every_layout(backend: str, cupy: Any, logits: Any) -> None:
    expected = op.sigmoid(logits).get()
    beside = cupy.full((14, 31), 7, "float32")
    for out in (
        cupy.empty((6, 10), "float32"),
        cupy.empty((6, 10), "float32", order="F"),
        beside[1:13:2, ::-3][:, :10],
    ):
        assert op.sigmoid(logits, out=out) is out
        np.testing.assert_array_equal(out.get(), expected)
    assert int((beside == 7).sum()) == beside.size - 60
    given = logits.copy()
    assert op.sigmoid(given, out=given) is given
    np.testing.assert_array_equal(given.get(), expected)
    labels, number = cupy.arange(6), cupy.empty((), "float32")
    loss, _ = op.softmax_cross_entropy_with_grad(logits, labels, out=(number, None))
    assert loss is number
    np.testing.assert_array_equal(number.get(), op.softmax_cross_entropy(logits, labels).get())


def test_results_in_given_arrays_take_no_memory(backend: str, cupy: Any, on_the_host: Any) -> None:
    x = cupy.asarray(np.random.default_rng(4).standard_normal((64, 500), dtype=np.float32))
    labels, loss, gradient = cupy.arange(64), cupy.empty((), "float32"), cupy.empty_like(x)
    expected = op.softmax_cross_entropy_with_grad(x, labels)
    sizes: list[int] = []

    def counted(size: int) -> Any:
        sizes.append(size)
        return on_the_host.allocate(size)

    with cupy.cuda.using_allocator(counted):
        for _ in range(3):
            op.softmax_cross_entropy_with_grad(x, labels, out=(loss, gradient))
    assert bits(cupy, (loss, gradient)) == bits(cupy, expected)
    assert sum(sizes) < x.nbytes / 16


def test_training_in_donated_memory(backend: str, cupy: Any) -> None:
    params, x, labels = network(40)
    mine, data = to_gpu(cupy, params, "float32"), to_gpu(cupy, (x, labels), "float32")
    addresses = [array.data.ptr for layer in mine for array in layer]
    for turn in range(6):
        loss, mine = step(mine, *data, cupy.float32(0.1) if turn % 2 else 0.1)
        expected_loss, params = plain_step(params, x, labels, 0.1)
        assert_close(cupy, (loss, mine), (expected_loss, params), "float32", 1e-4)
    assert [array.data.ptr for layer in mine for array in layer] == addresses


def test_two_threads_at_once(backend: str, cupy: Any) -> None:
    params, x, labels = to_gpu(cupy, network(40), "float32")
    expected = bits(cupy, op.mlp_loss_and_grads(params, x, labels))

    @op.kernel
    def fresh(params: Any, x: Any, labels: Any) -> Any:
        return op.mlp_loss_and_grads(params, x, labels)

    start = threading.Barrier(2)

    def work(_: int) -> bool:
        start.wait(timeout=60)
        with op.use_backend(backend):
            return all(bits(cupy, fresh(params, x, labels)) == expected for _ in range(6))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [True, True]


def test_gradients_are_checked_and_the_report_agrees(cupy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scores, labels = cupy.linspace(-1, 1, 15).reshape(5, 3), cupy.asarray([0, 2, 1, 1, 0])
    found = op.check_gradients(op.multiclass_hinge, op.multiclass_hinge_backward, (scores, labels))
    assert found.passed
    assert op.backends()["cupy"].usable
    assert report._agrees("cupy", "float64")
    assert "ok" in capsys.readouterr().out
    assert math.isfinite(float(op.mean_squared_error(scores, scores)))
