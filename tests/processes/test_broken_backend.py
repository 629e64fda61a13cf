"""A Numba that does not import, does not compile, or was told not to: an error by name, else NumPy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

# What is done to Numba before onepass is imported.
IMPORT_FAILS = """
import importlib.abc, sys
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "numba.core":
            raise ImportError("Numba needs another NumPy")
sys.meta_path.insert(0, Broken())
"""
COMPILER_FAILS = """
import numba, numba.core.compiler
def fail(*args, **kwargs):
    raise OSError("LLVM finds no target")
numba.core.compiler.compile_extra = fail
from numba.core.registry import cpu_target
"""
SWITCHED_OFF = "import os; os.environ['NUMBA_DISABLE_JIT'] = '1'\n"
SWITCHED_OFF_IN_A_FILE = "import numba; numba.config.DISABLE_JIT = 1\n"

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


def run(broken: str, order: str, cache: Path, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", f"{broken}\nORDER = {order!r}\n{CALLS}"],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "ONEPASS_CACHE_DIR": str(cache),
            "NUMBA_CACHE_DIR": str(cache / "numba"),
            **environment,
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("order", ["auto first", "by name first"])
@pytest.mark.parametrize(
    ("broken", "reason", "warnings"),
    [
        (IMPORT_FAILS, "Numba does not work: ImportError: Numba needs another NumPy", 1),
        (COMPILER_FAILS, "Numba does not work: OSError: LLVM finds no target", 1),
        (SWITCHED_OFF, "NUMBA_DISABLE_JIT is set, so Numba compiles nothing; unset it", 0),
        (SWITCHED_OFF_IN_A_FILE, "NUMBA_DISABLE_JIT is set, so Numba compiles nothing; unset it", 0),
    ],
    ids=["import", "compiler", "switched off", "switched off in a file"],
)
def test_it_is_an_error_by_name_and_eager_else(
    broken: str, reason: str, warnings: int, order: str, tmp_path: Path
) -> None:
    said = run(broken, order, tmp_path)
    assert said["auto"] == VALUES
    for answer in said.get("by name", []) + said["by name later"]:
        assert answer.startswith(("use: use_backend: the backend 'numba' is not", "NotUsableError: the back"))
        assert reason in answer
    assert said["warnings"] == [f"onepass: the backend 'numba' is not used: {reason}."] * warnings
    assert "not usable" in said["backend"]
    assert reason in said["backend"]


@pytest.mark.parametrize("value", ["0", ""])
def test_a_switch_that_is_off_changes_nothing(value: str, tmp_path: Path) -> None:
    said = run("", "auto first", tmp_path, NUMBA_DISABLE_JIT=value)
    assert said["auto"] == VALUES
    assert said["by name later"][:4] == VALUES[:4]
    assert "compiled for the CPU" in said["backend"]
