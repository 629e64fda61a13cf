"""What the compiler makes of kernels: plans that are written down, users' kernels that fuse, its errors."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from array_trees import of_dtype
from cuda_programs import Call, emitted
from golden_calls import CALLS, N, network, normal, random, train_step
from onepass.backends.common.trees import leaves
from onepass.backends.cpu.runtime import threads
from selection import exhaustively

import onepass as op

PLANS = Path(__file__).parent / "plans"


@pytest.mark.parametrize("name", CALLS)
def test_the_plan_is_the_one_that_is_written_down(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "worker_count", lambda: 2)
    function, args = CALLS[name]
    explanation = op.explain(function, *args)
    require_golden(explanation.text + "\n", name, "txt")
    require_golden(explanation.source, name, "cpu")


@pytest.mark.parametrize("name", CALLS)
def test_the_cuda_text_is_the_one_that_is_written_down(name: str) -> None:
    function, args = CALLS[name]
    stages = emitted(Call(function, args, donate=("params",)), 90)
    require_golden("\n".join(kernel.text for kernel in stages.kernels()), name, "cu")


def require_golden(text: str, name: str, ending: str) -> None:
    """The text is that of the file. To accept a change, set ONEPASS_WRITE_PLANS=1 and read the difference."""
    file = PLANS / f"{re.sub(r'[^a-z0-9_]', '_', name)}.{ending}"
    if os.environ.get("ONEPASS_WRITE_PLANS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("dtype", ["float32", exhaustively("float64")])
@pytest.mark.parametrize("name", CALLS)
def test_a_kernel_is_what_it_is_as_written(name: str, dtype: str) -> None:
    function, args = CALLS[name]
    with op.use_backend("numpy"):
        expected = leaves(function(*of_dtype(args, dtype)))
    with op.use_backend("numba"):
        got = leaves(function(*of_dtype(args, dtype)))
    for mine, theirs in zip(got, expected, strict=True):
        scale = max(1.0, float(np.max(np.abs(theirs), initial=0)))
        tolerance = {"float32": 4e-6, "float64": 1e-14}[dtype] * scale
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance)
        assert np.asarray(mine).dtype == np.asarray(theirs).dtype


@pytest.mark.parametrize(
    "name", ["train_step", "linear_head", "focal_loss_with_grad", "gelu_step", "huber_regression"]
)
def test_nothing_of_all_rows_exists_but_arguments_and_results(name: str) -> None:
    function, args = CALLS[name]
    held = op.explain(function, *args).text.split("\nbuffers\n")[1]
    rows = next(line for line in held.splitlines() if "argument" in line and f"({N}" not in line)
    assert rows
    wide = [line for line in held.splitlines() if re.search(r": stage \w+ \(n0[,)]", line)]
    assert wide == []


def test_memory_does_not_grow_with_the_batch() -> None:
    # Both have so many blocks that a share keeps the totals of its products in float64 as well.
    sizes = [
        op.explain(train_step, network(20, 50, 40), normal(n, 20), random.integers(0, 40, n), 0.1)
        for n in (65536, 262144)
    ]
    assert sizes[0].bytes_held == sizes[1].bytes_held
    assert sizes[0].source == sizes[1].source


def test_one_program_serves_every_batch_and_every_learning_rate() -> None:
    params = network(20, 50, 40)
    sources = {
        op.explain(train_step, params, normal(n, 20), random.integers(0, 40, n), lr).source
        for n, lr in ((2, 0.1), (7, 0.5), (96, 1.0), (1000, 3.0))
    }
    assert len(sources) == 1


@op.kernel
def finds(x: Any) -> Any:
    xp = array_namespace(x)
    return xp.nonzero(x)[0]


@op.kernel
def branches(x: Any) -> Any:
    return x if x[0] > 0 else -x  # one array or the other


@op.kernel
def reads(x: Any) -> Any:
    return x * float(array_namespace(x).sum(x))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (
            finds,
            r"finds: xp\.nonzero has a shape that depends on values, which the compiler does not support",
        ),
        (branches, r"branches: bool\(array\) of a symbolic bool array; use xp\.where"),
        (
            reads,
            r"reads: float\(array\) of a symbolic float64 array; its values are not known in the trace",
        ),
    ],
)
def test_what_the_compiler_cannot_do_is_named_with_the_line(kernel: Any, message: str) -> None:
    line = kernel.__wrapped__.__code__.co_firstlineno
    with op.use_backend("numba"), pytest.raises((TypeError, AttributeError), match=message) as error:
        kernel(np.array([3.0, 1.0, 2.0]))
    found = re.search(rf"{re.escape(__file__)}, line (\d+)", str(error.value))
    assert found
    assert line < int(found[1]) <= line + 3
    with op.use_backend("numpy"):
        kernel(np.array([3.0, 1.0, 2.0]))


def test_a_branch_on_an_array_says_what_to_use() -> None:
    @op.kernel
    def chooses(x: Any) -> Any:
        return x if array_namespace(x).sum(x) > 0 else -x

    words = r"chooses: bool\(array\) of a symbolic bool array; use xp\.where"
    with op.use_backend("numba"), pytest.raises(TypeError, match=words):
        chooses(np.ones(3))
    with pytest.warns(RuntimeWarning, match=words):
        assert chooses(-np.ones(3)).tolist() == [1, 1, 1]


def test_a_number_that_the_kernel_looks_at_is_part_of_the_program() -> None:
    @op.kernel
    def power(x: Any, n: int) -> Any:
        result = x
        for _ in range(n - 1):
            result = result * x
        return result

    x = normal(5, dtype="float64")
    for n in (1, 3, 2, 3):
        np.testing.assert_allclose(power(x, n), x**n, rtol=1e-15)


def test_an_option_that_is_an_argument_of_the_kernel_is_part_of_its_program() -> None:
    logits, labels = np.random.default_rng(0).normal(size=(4, 5)), np.array([1, 3, 3, 0])

    @op.kernel
    def loss(logits: Any, labels: Any, ignored: int) -> Any:
        return op.softmax_cross_entropy(logits, labels, ignore_index=ignored)

    for ignored in (3, 0, 3):
        kept = labels != ignored
        with op.use_backend("numba"):
            got = loss(logits, labels, ignored)
        with op.use_backend("numpy"):
            expected = op.softmax_cross_entropy(logits[kept], labels[kept])
        np.testing.assert_allclose(got, expected, rtol=1e-13)
    plan = op.explain(op.softmax_cross_entropy_with_grad, logits, labels, ignore_index=3)
    assert "equal" in plan.text


def test_an_array_of_half_precision_from_outside_is_an_error_that_names_the_line() -> None:
    half = np.ones(3, np.float16)

    @op.kernel
    def scaled(x: Any) -> Any:
        return x * half

    with (
        op.use_backend("numba"),
        pytest.raises(TypeError, match=r"float16 cannot be compiled.*test_compiler"),
    ):
        scaled(np.ones(3, np.float32))
