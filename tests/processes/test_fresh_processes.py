"""onepass in a process of its own: children, a missing llvmlite, the environment, what is imported."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from fresh_python import run_python

CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np, onepass as op

if __name__ == "__main__":
    logits, labels = np.random.default_rng(0).standard_normal((300, 100)), np.arange(300) % 100
    weight = logits[:100]
    here = op.softmax_cross_entropy_with_grad(logits, labels), op.linear_backward(logits, logits, weight)
    with ProcessPoolExecutor(2, multiprocessing.get_context(sys.argv[1])) as pool:
        for _ in range(3):
            there = (
                pool.submit(op.softmax_cross_entropy_with_grad, logits, labels),
                pool.submit(op.linear_backward, logits, logits, weight),
            )
            for a, b in zip(here, there):
                assert np.array_equal(a[1], b.result(timeout=30)[1])
    print("the same bits")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_process_works_after_the_parent_did(method: str, tmp_path: Any) -> None:
    script = tmp_path / "children.py"
    script.write_text(CHILDREN, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(script), method]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "the same bits\n", done.stderr


BROKEN_LLVMLITE = """
import sys, warnings
sys.modules["llvmlite"] = None
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


def test_an_llvmlite_that_is_not_there_leaves_numpy() -> None:
    done = run_python(BROKEN_LLVMLITE, ONEPASS_BACKEND="")
    values, warning, backend, error = done.stdout.splitlines()
    assert values.startswith("[0. 1.] [[0. 1.]] "), done.stderr
    assert warning == "" or "the backend 'numba' is not used" in warning
    assert "not usable" in backend
    assert error.startswith("use_backend: the backend 'numba' is not usable here")


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
    done = run_python(REPORT_ERROR, ONEPASS_BACKEND=value)
    assert done.returncode == 0, done.stderr
    for got, start in zip(done.stdout.splitlines(), [*lines, "[1. 1.]"], strict=True):
        assert got.startswith(start)


def test_nothing_but_numpy_is_needed() -> None:
    code = """
import sys

class NotInstalled:
    names = {"cupy", "numba", "llvmlite", "torch", "jax"}
    names |= {"array_api_strict", "scipy", "dask", "sparse", "ndonnx"}
    def find_spec(name, path=None, target=None):
        if name in NotInstalled.names:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, NotInstalled)
import numpy as np, onepass as op
print(op.softmax_cross_entropy(np.zeros((2, 4)), np.array([0, 1])), op.backends()["cupy"].usable)
print(sorted({"cupy", "numba", "llvmlite", "torch", "jax"} & sys.modules.keys()))
"""
    done = run_python(code, ONEPASS_BACKEND="")
    assert done.stdout.splitlines() == ["1.3862943611198906 False", "[]"], done.stderr
