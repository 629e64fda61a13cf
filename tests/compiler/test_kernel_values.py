"""Kernels are values, as functions are: pickled, copied, sent to workers, methods, partials, lambdas."""

from __future__ import annotations

import copy
import functools
import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh_python import run_python
from selection import exhaustively

import onepass as op

x = np.array([1.0, 2.0])


def tripled(v: Any, factor: float = 3.0) -> Any:
    """factor * v."""
    return v * factor


@op.kernel(donate="v")
def stepped(v: Any, factor: float = 2.0) -> Any:
    """v * factor."""
    return v * factor


of_another_name = op.kernel(tripled)
partial = op.kernel(functools.partial(tripled, factor=5.0))


class Layer:
    """A callable object, and a class with kernels as methods."""

    def __init__(self, weight: Any) -> None:
        self.weight = weight

    def __call__(self, v: Any) -> Any:
        return v + self.weight

    @op.kernel
    def forward(self, v: Any) -> Any:
        return v * self.weight

    @staticmethod
    @op.kernel
    def one_more(v: Any) -> Any:
        return v + 1

    @op.kernel
    @staticmethod
    def two_more(v: Any) -> Any:
        return v + 2


of_object = op.kernel(Layer(4.0))
layer = Layer(np.array([3.0, 1.0]))

KERNELS: dict[str, tuple[Callable[..., Any], list[float]]] = {
    "stepped": (stepped, [2, 4]),
    "another name": (of_another_name, [3, 6]),
    "partial": (partial, [5, 10]),
    "object": (of_object, [5, 6]),
    "method": (layer.forward, [3, 2]),
    "static": (Layer.one_more, [2, 3]),
    "static inside": (Layer.two_more, [3, 4]),
    "library": (op.relu, [1, 2]),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_pickled_before_and_after_its_first_call(name: str) -> None:
    kernel, expected = KERNELS[name]
    for _ in range(2):
        assert pickle.loads(pickle.dumps(kernel))(x.copy()).tolist() == expected
        assert copy.copy(kernel)(x.copy()).tolist() == expected
        assert copy.deepcopy({"kernel": kernel})["kernel"](x.copy()).tolist() == expected
        assert kernel(x.copy()).tolist() == expected


def test_a_kernel_with_a_name_is_found_by_it() -> None:
    for kernel in (stepped, Layer.one_more, Layer.forward, op.relu, partial):
        assert copy.deepcopy(kernel) is kernel
    for kernel in (stepped, Layer.one_more, Layer.forward, op.relu):
        assert pickle.loads(pickle.dumps(kernel)) is kernel
    assert pickle.loads(pickle.dumps(stepped)).donate == ("v",)
    assert pickle.loads(pickle.dumps(op.kernel(tripled, donate="v"))).donate == ("v",)


def test_what_is_compiled_does_not_travel() -> None:
    before = pickle.dumps(of_another_name)
    of_another_name(x)
    assert pickle.dumps(of_another_name) == before
    assert len(before) < 200


def test_a_kernel_looks_like_its_function() -> None:
    assert inspect.signature(stepped) == inspect.signature(stepped.__wrapped__)  # type: ignore[attr-defined]
    assert (stepped.__name__, stepped.__doc__) == ("stepped", "v * factor.")
    assert (partial.__name__, of_object.__name__) == ("tripled", "Layer")
    assert inspect.getdoc(op.relu)
    assert Layer.forward(layer, x).tolist() == layer.forward(x).tolist()
    assert op.kernel(abs)(-x).tolist() == x.tolist()


IN_MAIN = """
import functools, pickle, sys
import cloudpickle, joblib, numpy as np
import onepass as op
SCALE = 2.0
x = np.array([1.0, 2.0])

@op.kernel(donate="v")
def top(v): return v * SCALE

def plain(v, k=1.0): return v * k

class Layer:
    def __init__(self): self.weight = np.array([3.0, 1.0])
    @op.kernel
    def forward(self, v): return v * self.weight

def closure():
    weight = np.array([1.0, 3.0])
    return op.kernel(lambda v: v * weight)

def call(function, v): return function(v).tolist()

if __name__ == "__main__":
    kernels = [top, op.kernel(plain), op.kernel(functools.partial(plain, k=5.0)), Layer().forward, closure(),
               op.kernel(lambda v: v * SCALE), op.relu]
    for _ in range(2):
        sent = [cloudpickle.dumps(kernel) for kernel in kernels]
        print([call(pickle.loads(one), x.copy()) for one in sent])
        print(joblib.Parallel(2)(joblib.delayed(call)(kernel, x) for kernel in kernels))
        print([call(kernel, x.copy()) for kernel in kernels])
    with open(sys.argv[1], "wb") as file:
        cloudpickle.dump(kernels, file)
"""

ELSEWHERE = """
import pickle, sys, numpy
with open(sys.argv[1], "rb") as file:
    print([kernel(numpy.array([1.0, 2.0])).tolist() for kernel in pickle.load(file)])
"""


@pytest.mark.parametrize("backend", ["numpy", exhaustively("numba")])
def test_kernels_of_main_travel_to_workers_before_and_after_a_first_call(
    backend: str, tmp_path: Path
) -> None:
    pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")
    pytest.importorskip("joblib", reason="joblib is not installed")
    script, file = tmp_path / "main.py", tmp_path / "kernels"
    script.write_text(IN_MAIN, encoding="utf-8")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "ONEPASS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, str(script), str(file)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    expected = [[2, 4], [1, 2], [5, 10], [3, 2], [1, 6], [2, 4], [1, 2]]
    assert [eval(line) for line in done.stdout.splitlines()] == [expected] * 6
    # In a process that has nothing of them.
    there = run_python(ELSEWHERE, str(file), PYTHONWARNINGS="ignore")
    assert eval(there.stdout) == expected, there.stderr
