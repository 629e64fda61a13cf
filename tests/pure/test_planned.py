"""The backend "numpy": later calls run planned programs, with the bits of the functions as written."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from onepass.backends import leaves, map_leaves
from onepass.backends.numpy_program import NumpyProgram
from onepass.backends.ufuncs import blocks as loops
from onepass.backends.ufuncs import render, schedule
from onepass.backends.ufuncs.blocks import Loop
from same_results import assert_same_bits

import onepass as op
from onepass import kernels

random = np.random.default_rng(3)


@pytest.fixture(params=["whole", "blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whole arrays, and blocks of two or three rows, with memory that is reused like that of large arrays."""
    if request.param == "blocks":
        monkeypatch.setattr(schedule, "BLOCK", 100)
        monkeypatch.setattr(schedule, "WHOLE", 0)
        monkeypatch.setattr(render, "LARGE", 0)
        monkeypatch.setattr(loops, "_FEW", 0)
    return str(request.param)


@pytest.fixture(autouse=True)
def on_numpy() -> Iterator[None]:
    with op.use_backend("numpy"):
        yield


def program(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A program for calls like this one, called with the leaves of one."""
    return NumpyProgram(function, "f", args, kwargs, frozenset())


def in_dtype(tree: Any, dtype: Any) -> Any:
    def cast(leaf: Any) -> Any:
        is_float = isinstance(leaf, np.ndarray) and leaf.dtype == np.float64
        return leaf.astype(dtype) if is_float else leaf

    return map_leaves(cast, tree)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_bits_of_the_function_as_written(case: Case, dtype: Any, blocks: str) -> None:
    args, kwargs = in_dtype((case.args, case.kwargs), dtype)
    before = [leaf.copy() for leaf in leaves((args, kwargs)) if isinstance(leaf, np.ndarray)]
    function = getattr(op, case.kernel)
    with np.errstate(all="ignore"):
        expected = getattr(kernels, case.kernel)(*args, **kwargs)
    results = [function(*args, **kwargs) for _ in range(3)]
    for result in results:
        assert_same_bits(result, expected)
    after = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, np.ndarray)]
    for one, other in zip(after, before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_results_are_the_callers_own(case: Case, blocks: str) -> None:
    function = getattr(op, case.kernel)
    function(*case.args, **case.kwargs)
    first = function(*case.args, **case.kwargs)
    kept = map_leaves(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, first)
    second = function(*case.args, **case.kwargs)
    everything = [
        leaf
        for leaf in [*leaves(first), *leaves(second), *leaves((case.args, case.kwargs))]
        if isinstance(leaf, np.ndarray)
    ]
    own = [leaf for leaf in [*leaves(first), *leaves(second)] if isinstance(leaf, np.ndarray)]
    for array in own:
        assert array.flags.writeable
        assert sum(np.may_share_memory(array, other) for other in everything if other is not array) == 0
        array.fill(0)
    assert_same_bits(function(*case.args, **case.kwargs), kept)


SHAPES = [
    (1, 1),
    (1, 5),
    (2, 1),
    (0, 3),
    (3, 2),
    (64, 3),
    (65, 10),
    (257, 16),
    (300, 17),
    (1030, 1000),
    (3, 70001),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["softmax_cross_entropy_with_grad", "multiclass_hinge_with_grad"])
def test_label_losses_of_every_size(name: str, shape: tuple[int, int], dtype: str) -> None:
    logits = (40 * random.standard_normal(shape)).astype(dtype)
    if logits.size > 12:
        logits[0, 0], logits[1, 1], logits[-1, -1] = np.inf, np.nan, -np.inf
    labels = random.integers(0, shape[1], shape[0]).astype(np.int32)
    with np.errstate(all="ignore"):
        expected = getattr(kernels, name)(logits, labels)
    for _ in range(2):
        assert_same_bits(getattr(op, name)(logits, labels), expected)


def test_a_layer_of_every_layout() -> None:
    x, weight = random.standard_normal((40, 30)), random.standard_normal((30, 8))
    labels = random.integers(0, 8, 40)

    def step(x: Any, weight: Any) -> Any:
        return op.softmax_classifier_loss_and_grads([(weight, None)], x, labels, l2=0.1)

    expected = step(x, weight)
    layouts = [np.asfortranarray, lambda a: np.repeat(a, 2, 0)[::2], lambda a: a[::-1].copy()[::-1]]
    for layout in layouts:
        for given in ((layout(x), weight), (x, layout(weight)), (layout(x), layout(weight))):
            for _ in range(3):
                found = step(*given)
                np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
                np.testing.assert_allclose(found[1][0][0], expected[1][0][0], rtol=1e-12)
            for array in given:
                logits = op.softmax(array, axis=1)
                np.testing.assert_allclose(logits, kernels.softmax(array, axis=1), rtol=1e-12)


def test_labels_are_checked_at_every_call() -> None:
    logits, labels = random.standard_normal((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    for _ in range(3):
        op.softmax_cross_entropy_with_grad(logits, labels)
    labels[4] = 3
    with pytest.raises(ValueError, match=r"labels\[4\] is 3"):
        op.softmax_cross_entropy_with_grad(logits, labels)


def test_other_numbers_need_no_other_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = NumpyProgram.__init__

    def counted(self: Any, function: Any, name: str, *rest: Any) -> None:
        made.append(name)
        real(self, function, name, *rest)

    monkeypatch.setattr(NumpyProgram, "__init__", counted)
    params, grads = [random.standard_normal(5)], [random.standard_normal(5)]
    for lr in (0.1, 0.2, 0.3, 0.25):
        assert_same_bits(op.sgd_step(params, grads, lr), [params[0] - lr * grads[0]])
    assert made == ["sgd_step"]


def test_out_and_donated_arguments() -> None:
    x, labels = random.standard_normal((7, 4)), np.array([0, 1, 2, 3, 0, 1, 2])
    loss, grad = kernels.softmax_cross_entropy_with_grad(x, labels)
    for _ in range(3):
        mine, given = np.empty_like(x), x.copy()
        assert_same_bits(op.softmax_cross_entropy_with_grad(x, labels, out=(None, mine)), (loss, grad))
        assert mine.tobytes() == grad.tobytes()
        found = op.softmax_cross_entropy_with_grad(given, labels, out=(None, given))
        assert found[1] is given
        assert given.tobytes() == grad.tobytes()


def test_subclasses_and_other_dtypes_run_as_written() -> None:
    class Mine(np.ndarray):
        pass

    x = random.standard_normal((4, 3)).view(Mine)
    for _ in range(3):
        assert op.relu(x).tobytes() == np.maximum(x, 0).tobytes()
        assert op.relu(x.astype(np.float16)).dtype == np.float16


def test_no_warnings() -> None:
    logits = np.array([[1e300, -1e300], [np.inf, 0.0]])
    with np.errstate(all="raise"):
        for _ in range(3):
            found = op.softmax_cross_entropy(logits, np.array([1, 0]), reduction="none")
    assert np.isinf(found[0]) or found[0] > 1e300
    assert np.isnan(found[1])


def test_threads() -> None:
    logits = random.standard_normal((400, 700), dtype=np.float32)
    labels = random.integers(0, 700, 400)
    expected = kernels.softmax_cross_entropy_with_grad(logits, labels)

    def run(_: int) -> None:
        with op.use_backend("numpy"):
            for _ in range(5):
                assert_same_bits(op.softmax_cross_entropy_with_grad(logits, labels), expected)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))


def test_blocks_and_reused_memory_stand_in_the_text() -> None:
    x, labels = np.ones((4096, 1000), np.float32), np.zeros(4096, np.int64)
    source = program(kernels.softmax_cross_entropy_with_grad, (x, labels), {}).source
    assert "for i in range(0, 4096, 65):" in source
    assert "exp(b0, out=b0)" in source
    assert source.count("new((4096, 1000)") == 1  # the gradient, and no other array of this size


@pytest.mark.parametrize("place", [(render.Memory, "is_free_after"), (Loop, "_is_dead")])
def test_a_planted_bug_is_found(
    place: tuple[type, str], monkeypatch: pytest.MonkeyPatch, blocks: str
) -> None:
    """Memory that is taken too early changes results."""
    real = getattr(*place)

    def too_early(self: Any, node: Any, *rest: Any) -> bool:
        last = self.last if isinstance(self, render.Memory) else self._last
        kept = dict(last)
        last[node] = rest[0]
        found = real(self, node, *rest)
        last.update(kept)
        return bool(found)

    if (place[0] is Loop) != (blocks == "blocks"):
        return
    monkeypatch.setattr(*place, too_early)
    wrong = 0
    for case in CASES:
        args, kwargs = case.args, case.kwargs
        with np.errstate(all="ignore"):
            expected = getattr(kernels, case.kernel)(*args, **kwargs)
        found = program(getattr(kernels, case.kernel), args, kwargs)(leaves((args, kwargs)))
        try:
            assert_same_bits(found, expected)
        except AssertionError:
            wrong += 1
    assert wrong > 5
