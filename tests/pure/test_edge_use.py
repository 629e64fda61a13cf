"""Hard use: threads and tasks, backends that are missing, neighbouring rows, arguments of a wrong kind."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onepass.backends.common.trees import leaves
from selection import MOSTLY_NUMPY

import onepass as op

N, K = 33, 5
LOGITS = np.random.default_rng(5).standard_normal((N, K))
LABELS = np.arange(N) % K
PAIR = 2 * np.ones(2), np.ones(2)


def test_threads_that_meet_infinities_warn_nobody_and_leave_numpy_s_settings() -> None:
    hard = np.array([[np.inf, 0.0], [-np.inf, -np.inf]])

    def work(_: int) -> str:
        for _ in range(50):
            op.softmax_cross_entropy_with_grad(hard, np.array([0, 1]))
        return str(np.geterr())

    before = str(np.geterr())
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(8))) == {before}
    assert str(np.geterr()) == before
    with pytest.raises(ValueError, match="labels"):
        op.nll_loss(hard, np.array([0, 7]))
    assert str(np.geterr()) == before


def refusal() -> str:
    """What a call with arrays of another library answers here: numbers under "auto", else an error."""
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    try:
        return str(float(op.l1_penalty(strict.asarray([2.0]), 1.0)))
    except TypeError as error:
        return str(error)


def test_the_choice_of_a_backend_is_the_thread_s_own() -> None:
    with op.use_backend("numpy"), ThreadPoolExecutor(1) as pool:
        assert refusal().startswith("l1_penalty: got array_api_strict arrays; expected NumPy arrays for the")
        assert pool.submit(refusal).result() == "2.0"
        with op.use_backend("auto"):
            assert refusal() == "2.0"
        assert "numpy" in refusal()
        with pytest.raises(KeyError), op.use_backend("auto"):
            raise KeyError
        assert "numpy" in refusal()
    assert refusal() == "2.0"


def test_the_choice_of_a_backend_is_the_task_s_own() -> None:
    async def task(backend: str, steps: list[asyncio.Event], turn: int) -> str:
        with op.use_backend(backend):
            steps[turn].set()
            await asyncio.gather(*(step.wait() for step in steps))
            return refusal()

    async def both() -> list[str]:
        steps = [asyncio.Event(), asyncio.Event()]
        inside = await asyncio.gather(task("numpy", steps, 0), task("auto", steps, 1))
        return [*inside, refusal()]

    refused, allowed, outside = asyncio.run(both())
    assert "expected NumPy arrays for the backend 'numpy'" in refused
    assert (allowed, outside) == ("2.0", "2.0")


@pytest.mark.parametrize("name", ["relu", "softmax_cross_entropy_with_grad", "adam_step", "use_backend"])
def test_public_functions_can_be_sent_to_another_process(name: str) -> None:
    assert pickle.loads(pickle.dumps(getattr(op, name))) is getattr(op, name)


@pytest.mark.parametrize("name", ["tpu", "", "NumPy", "Auto", "torch"])
def test_an_unknown_backend_is_an_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^use_backend: got {name!r}; expected one of 'auto', 'numpy', 'numba', 'cu"
    ):
        op.use_backend(name)


def test_a_backend_that_is_not_usable_is_an_error_that_says_why_and_what_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError) as error:
        op.use_backend("cupy")
    why_not = op.backends()["cupy"].why_not
    assert why_not
    assert str(error.value).startswith(f"use_backend: the backend 'cupy' is not usable here: {why_not}. ")
    assert "Usable: 'auto', 'numpy', 'numba'" in str(error.value)


def fail(message: str) -> Callable[[], int]:
    def get_device_count() -> int:
        raise RuntimeError(message)

    return get_device_count


@pytest.mark.parametrize(
    ("get_device_count", "why_not"),
    [
        (None, "CuPy is not installed; pip install 'onepass[cuda12]' or 'onepass[cuda13]'"),
        (fail("driver too old"), "CuPy finds no CUDA driver: driver too old"),
        (lambda: 0, "CuPy finds no GPU"),
    ],
)
def test_cupy_that_cannot_run_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, get_device_count: Any, why_not: str
) -> None:
    cupy: Any = None
    if get_device_count is not None:
        cupy = ModuleType("cupy")
        cupy.__version__ = "14.0"
        cupy.cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=get_device_count))
    if op.backends()["cupy"].usable:
        pytest.skip("CuPy is usable here")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    cupy_here = op.backends()["cupy"]
    assert not cupy_here.usable
    assert cupy_here.why_not == why_not
    assert why_not in str(cupy_here)
    with pytest.raises(RuntimeError) as error:
        op.use_backend("cupy")
    assert why_not in str(error.value)
    assert "Usable: 'auto', 'numpy'" in str(error.value)
    np.testing.assert_array_equal(op.relu(-PAIR[0]), [0, 0])


def test_an_old_numpy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "1.26.4")
    assert op.backends()["numpy"].why_not == "NumPy 1.26.4 is older than 2.0; pip install 'numpy>=2.0'"
    monkeypatch.setattr(np, "__version__", "2.10.0rc1")
    assert op.backends()["numpy"].usable


ROW_WISE = [
    *((name, {}) for name in ("relu", "sigmoid", "tanh", "softmax", "log_softmax")),
    *((name, {}) for name in ("softmax_cross_entropy", "nll_loss", "multiclass_hinge")),
    ("softmax_cross_entropy", {"label_smoothing": 0.1}),
    *((name, {}) for name in ("binary_cross_entropy_with_logits", "half_squared_error")),
]


def forward_and_backward(name: str, logits: Any, labels: Any, options: dict[str, Any]) -> list[Any]:
    """An activation with its backward, or a loss of labels or of elements with its gradient."""
    if hasattr(op, f"{name}_with_grad"):
        of_labels = name in ("softmax_cross_entropy", "nll_loss", "multiclass_hinge")
        targets = labels if of_labels else abs(logits) / 9
        return leaves(getattr(op, f"{name}_with_grad")(logits, targets, reduction="none", **options))
    out = getattr(op, name)(logits)
    return [out, getattr(op, f"{name}_backward")(logits, out)]


# Compiled kernels of many rows are in test_bits.py.
@MOSTLY_NUMPY
@pytest.mark.parametrize(("name", "options"), ROW_WISE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [slice(5, 6), slice(3, 20), slice(None, None, -1)], ids=str)
def test_a_row_s_result_does_not_depend_on_its_neighbours(
    name: str, options: dict[str, Any], dtype: str, rows: slice, backend: str
) -> None:
    logits = LOGITS.astype(dtype)
    whole = forward_and_backward(name, logits, LABELS, options)
    part = forward_and_backward(name, np.ascontiguousarray(logits[rows]), LABELS[rows], options)
    for got, expected in zip(part, whole, strict=True):
        if len(LABELS[rows]) > 1:
            np.testing.assert_array_equal(got, expected[rows])
        else:
            # A batch of one row is another loop, with sums in another order.
            np.testing.assert_allclose(got, expected[rows], rtol=0, atol=N * np.finfo(dtype).eps)


@op.kernel
def scaled_sum(tree: Any, *more: Any, factor: float = 2.0, **named: Any) -> Any:
    """2 * (all arrays together)."""
    return factor * sum(leaves((tree, more, named)))


def test_a_user_s_kernel_takes_trees_and_its_defaults() -> None:
    a = np.arange(3.0)
    np.testing.assert_array_equal(scaled_sum([a, (a, {"x": a})], a, b=a), 10 * a)
    np.testing.assert_array_equal(scaled_sum(a, factor=np.float64(0.5)), a / 2)
    # A Python number is weak, and NumPy's is not, as without `@op.kernel`.
    assert scaled_sum(a.astype(np.float32), factor=0.5).dtype == np.float32
    assert scaled_sum(a.astype(np.float32), factor=np.float64(0.5)).dtype == np.float64


@pytest.mark.parametrize(
    ("args", "named", "path", "kind"),
    [
        (([PAIR, (PAIR[0], object())],), {}, r"tree\[1\]\[1\]", "an object"),
        (({"w": [PAIR[0], {1, 2}]},), {}, r"tree\['w'\]\[1\]", "a set"),
        ((PAIR[0], PAIR[0], [np.ma.ones(2)]), {}, r"more\[1\]\[0\]", "a numpy.MaskedArray"),
        ((PAIR[0],), {"extra": b"bytes"}, r"named\['extra'\]", "a bytes"),
        ((range(3),), {}, "tree", "a range"),
    ],
)
def test_an_argument_of_a_wrong_kind_is_named_by_its_path(
    args: tuple[Any, ...], named: dict[str, Any], path: str, kind: str
) -> None:
    for _ in range(2):  # an error is not remembered as a success
        with pytest.raises(
            TypeError, match=rf"^scaled_sum: {path} is {kind}; expected an array, a number, or a list"
        ):
            scaled_sum(*args, **named)


def test_two_libraries_in_a_user_s_kernel_are_named_by_their_paths() -> None:
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    both = r"^scaled_sum: tree\[0\] is a numpy float64 .* and tree\[1\] is an? array_api_strict float64 "
    with pytest.raises(TypeError, match=both):
        scaled_sum([PAIR[0], strict.asarray([1.0, 2.0])])
    there = strict.asarray([1.0], device=strict.Device("device1"))
    with pytest.raises(
        ValueError, match=r"^scaled_sum: tree is on .*CPU_DEVICE.* and more\[0\] is on .*device1"
    ):
        scaled_sum(strict.asarray([1.0]), there)
