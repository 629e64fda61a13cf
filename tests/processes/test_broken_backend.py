"""An llvmlite that does not import or does not compile: an error where it is asked for, else NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fresh_python import run_python

# What is done to llvmlite before onepass is imported.
IMPORT_FAILS = """
import importlib.abc, sys
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "llvmlite.binding":
            raise ImportError("llvmlite needs another Python")
sys.meta_path.insert(0, Broken())
"""
COMPILER_FAILS = """
from llvmlite import binding
def fail():
    raise RuntimeError("LLVM finds no target")
binding.Target.from_default_triple = fail
"""

# Calls of library and user kernels, under "auto" and by name, again and again.
CALLS = """
import json, warnings
import numpy as np, onepass as op
x = np.array([-1.0, 2.0])
double = op.kernel(lambda x: 2 * x)
negative = op.kernel(lambda x: -x)
said = {}

def answers(call):
    try:
        return call().tolist()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def by_name(call):
    try:
        with op.use_backend("numba"):
            return answers(call)
    except RuntimeError as error:
        return f"use: {error}"

calls = [lambda: op.relu(x), lambda: op.relu(x[None]), lambda: double(x), lambda: double(x[None])]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    if ORDER == "by name first":
        said["by name"] = [by_name(call) for call in calls * 2]
    said["auto"] = [answers(call) for call in calls * 2]
    said["by name later"] = [by_name(call) for call in [*calls, lambda: negative(x)] * 2]
said["warnings"] = [str(item.message) for item in caught]
said["backend"] = str(op.backends()["numba"])
print(json.dumps(said))
"""
VALUES = [[0, 2], [[0, 2]], [-2, 4], [[-2, 4]]] * 2


def run(broken: str, order: str, cache: Path) -> dict[str, Any]:
    done = run_python(
        f"{broken}\nORDER = {order!r}\n{CALLS}",
        ONEPASS_CACHE_DIR=str(cache),
    )
    assert (done.returncode, done.stderr) == (0, "")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("order", ["auto first", "by name first"])
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (IMPORT_FAILS, "ImportError: llvmlite needs another Python"),
        (COMPILER_FAILS, "RuntimeError: LLVM finds no target"),
    ],
    ids=["import", "compiler"],
)
def test_it_is_an_error_by_name_and_eager_else(broken: str, reason: str, order: str, tmp_path: Path) -> None:
    reason = f"its compiler does not work: {reason}"
    said = run(broken, order, tmp_path)
    assert said["auto"] == VALUES
    for answer in said.get("by name", []) + said["by name later"]:
        assert answer.startswith(("use: use_backend: the backend 'numba' is not", "NotUsableError: the back"))
        assert reason in answer
    assert said["warnings"] == [f"onepass: the backend 'numba' is not used: {reason}."]
    assert "not usable" in said["backend"]
    assert reason in said["backend"]


def test_what_works_says_so(tmp_path: Path) -> None:
    said = run("", "auto first", tmp_path)
    assert said["auto"] == VALUES
    assert said["by name later"][:4] == VALUES[:4]
    assert said["warnings"] == []
    assert "compiled for the CPU" in said["backend"]
