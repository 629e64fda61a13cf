"""Hard use: threads, tasks, child processes, backends that are not here, and the same bits every time."""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from onepass.backends.common.trees import leaves, map_leaves

import onepass as op

N, K = 33, 5
LOGITS = np.random.default_rng(5).standard_normal((N, K))
LABELS = np.arange(N) % K
PAIR = 2 * np.ones(2), np.ones(2)


def run(case: Case) -> Any:
    return getattr(op, case.kernel)(*case.args, **case.kwargs)


def bits(result: Any) -> list[Any]:
    return [leaf.tobytes() if hasattr(leaf, "tobytes") else leaf for leaf in leaves(result)]


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter; `environment` is added to this one's."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "ONEPASS_BACKEND": "", **environment},
    )


def test_many_threads_at_once_give_the_bits_of_one() -> None:
    expected = [bits(run(case)) for case in CASES]
    start = threading.Barrier(8)

    def work(seed: int) -> bool:
        start.wait()
        order = np.random.default_rng(seed).permutation(len(CASES))
        return all(bits(run(CASES[index])) == expected[index] for index in order for _ in range(3))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


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


CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np, onepass as op

if __name__ == "__main__":
    logits, labels = np.random.default_rng(0).standard_normal((300, 100)), np.arange(300) % 100
    params = [(np.ones((100, 20)), np.zeros(20)), (np.ones((20, 100)), np.zeros(100))]
    here = op.softmax_cross_entropy_with_grad(logits, labels), op.mlp_loss_and_grads(params, logits, labels)
    with ProcessPoolExecutor(2, multiprocessing.get_context(sys.argv[1])) as pool:
        for _ in range(3):
            there = (
                pool.submit(op.softmax_cross_entropy_with_grad, logits, labels),
                pool.submit(op.mlp_loss_and_grads, params, logits, labels),
            )
            for a, b in zip(here, there):
                assert a[0] == b.result(timeout=30)[0]
        assert np.array_equal(here[0][1], there[0].result()[1])
    print("the same bits")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_process_works_after_the_parent_did(method: str, tmp_path: Any) -> None:
    script = tmp_path / "children.py"
    script.write_text(CHILDREN, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(script), method]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "the same bits\n", done.stderr


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


BROKEN_NUMBA = """
import sys, warnings
sys.modules["numba"] = None
import numpy as np, onepass as op
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(op.relu(np.array([-1.0, 1.0])), op.relu(np.array([[-1.0], [1.0]])).T, len(caught))
print(caught[0].message if caught else "")
print(op.backends()["numba"])
try:
    op.use_backend("numba")
except RuntimeError as error:
    print(error)
"""


def test_a_numba_that_is_not_there_leaves_numpy() -> None:
    done = python(BROKEN_NUMBA)
    values, warning, backend, error = done.stdout.splitlines()
    assert values.startswith("[0. 1.] [[0. 1.]] "), done.stderr
    assert warning == "" or "the backend 'numba' is not used" in warning
    assert "not usable" in backend
    assert error.startswith("use_backend: the backend 'numba' is not usable here")


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


REPORT_ERROR = """
import numpy as np, onepass as op
for call in (lambda: op.relu(np.ones(2)), lambda: op.kernel(lambda x: x)(np.ones(2))):
    try:
        print(call())
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
with op.use_backend("numpy"):
    print(op.relu(np.ones(2)))
"""


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("nonsense", ["ValueError: ONEPASS_BACKEND: got 'nonsense'; expected one of 'auto', 'numpy', "] * 2),
        ("numba", ["[1. 1.]"] * 2),
        ("numpy", ["[1. 1.]"] * 2),
        ("", ["[1. 1.]"] * 2),
    ],
)
def test_the_environment_is_read_at_import_and_judged_at_the_first_call(value: str, lines: list[str]) -> None:
    done = python(REPORT_ERROR, ONEPASS_BACKEND=value)
    assert done.returncode == 0, done.stderr
    for got, start in zip(done.stdout.splitlines(), [*lines, "[1. 1.]"], strict=True):
        assert got.startswith(start)


def test_nothing_but_numpy_is_needed() -> None:
    code = """
import sys

class NotInstalled:
    def find_spec(name, path=None, target=None):
        if name in ("cupy", "numba", "torch", "jax", "array_api_strict", "scipy", "dask", "sparse", "ndonnx"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, NotInstalled)
import numpy as np, onepass as op
print(op.softmax_cross_entropy(np.zeros((2, 4)), np.array([0, 1])), op.backends()["cupy"].usable)
print(sorted({"cupy", "numba", "torch", "jax"} & sys.modules.keys()))
"""
    done = python(code)
    assert done.stdout.splitlines() == ["1.3862943611198906 False", "[]"], done.stderr


def test_the_same_call_gives_the_same_bits() -> None:
    for case in CASES:
        first = bits(run(case))
        # Copies lie elsewhere in memory, on another alignment.
        moved = Case(case.kernel, *map_leaves(shifted_in_memory, case[1:]))
        assert all(bits(run(case)) == first for _ in range(3)), case
        assert bits(run(moved)) == first, case


def shifted_in_memory(leaf: Any) -> Any:
    """A copy that starts 8 bytes further from a round address than NumPy's own do."""
    if not isinstance(leaf, np.ndarray):
        return leaf
    memory = np.empty(leaf.size + 1, leaf.dtype)[1:].reshape(leaf.shape)
    memory[...] = leaf
    return memory


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


@pytest.mark.parametrize(("name", "options"), ROW_WISE)
@pytest.mark.parametrize(
    ("dtype", "rows"),
    [
        pytest.param("float32", slice(0, 1), marks=pytest.mark.slow),
        ("float64", slice(5, 6)),
        *itertools.product(("float32", "float64"), (slice(3, 20), slice(None, None, -1))),
    ],
    ids=str,
)
def test_a_row_s_result_does_not_depend_on_its_neighbours(
    name: str, options: dict[str, Any], dtype: str, rows: slice
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
