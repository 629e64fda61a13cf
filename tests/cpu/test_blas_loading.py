"""OpenBLAS opened privately: nobody else's library changes, its kernels are the best, children can use it."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh_python import run_python
from onepass.backends.cpu.runtime import blas
from selection import exhaustively
from test_blas import matrix, product


def python(code: str, **environment: str) -> Any:
    """What `code` prints in a fresh interpreter, as JSON; `environment` is added to this one's."""
    ended = run_python(code, **environment)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


DISTURBED = """
import ctypes, json, os, threading, time
import numpy as np, threadpoolctl
from onepass.backends.cpu.runtime import blas
numbers = np.random.default_rng(0).standard_normal((200, 200))
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
def state():
    pools = [pool for pool in threadpoolctl.threadpool_info() if "numpy" in pool["filepath"]]
    variables = [libc.getenv(name) for name in (b"OPENBLAS_CORETYPE", b"OPENBLAS_NUM_THREADS")]
    seen = [os.environ.get(name) for name in ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS")]
    tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
    return str(pools), (numbers @ numbers).tobytes().hex(), str(variables), seen, tasks
before = state()
with threadpoolctl.threadpool_limits(1):
    alone = state()[0]
found = []
barrier = threading.Barrier(4)
def load():
    barrier.wait()
    found.append(blas.load())
threads = [threading.Thread(target=load) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
after = state()
for _ in range(100):  # a thread that was joined may still be on its way out
    if after != before:
        time.sleep(0.02)
        after = state()
with threadpoolctl.threadpool_limits(1):
    assert state()[0] == alone
print(json.dumps({"same": before == after, "one": len({id(one) for one in found}) == 1,
                  "pools": len(before[0]), "text": str(found[0]),
                  "why": found[0].why, "core": found[0].core}))
"""


@pytest.mark.parametrize(
    ("core", "threads"), [("", ""), ("Haswell", "2"), exhaustively("Haswell", ""), exhaustively("", "2")]
)
def test_numpy_s_own_library_is_left_alone(core: str, threads: str) -> None:
    variables = {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": threads}
    got = python(DISTURBED, **variables)
    assert got["same"]
    assert got["one"]
    assert got["pools"] > 2
    assert got["text"].startswith("OpenBLAS 0.")
    assert got["text"].endswith(f", {got['core']} kernels, 1 thread per worker")
    if core:
        assert got["why"] == f"OPENBLAS_CORETYPE={core}"


def test_a_better_core_is_asked_for_where_the_processor_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = {f"avx512{part}": True for part in ("f", "cd", "bw", "dq", "vl")}
    for features, core, expected in [
        (wide, "Haswell", "SkylakeX"),
        (wide, "Zen", "SkylakeX"),
        (wide, "SkylakeX", None),
        (wide, "SapphireRapids", None),
        ({**wide, "avx512vl": False}, "Haswell", None),
        ({"avx2": True}, "Haswell", None),
        ({"neon": True}, "NEOVERSEN1", None),
    ]:
        monkeypatch.setattr(blas.binding, "get_host_cpu_features", lambda features=features: features)
        assert blas.better_core(core) == expected


REOPENED = """
import json, os
from onepass.backends.cpu.runtime import blas
tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
blas.better_core = {"%s": "%s"}.get
found = blas.load()
assert not os.path.isdir("/proc/self/task") or len(os.listdir("/proc/self/task")) == tasks
print(json.dumps([found.core, found.why]))
"""


def test_the_kernels_asked_for_are_the_kernels_in_use() -> None:
    # A user may have chosen kernels for every program: here OpenBLAS is to make its own choice.
    unset = {blas.CORE_TYPE: ""}
    own, why = python(REOPENED % ("", ""), **unset)
    assert why == "its own choice"
    if own == "Nehalem" or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("needs a processor whose kernels are newer than the oldest")
    assert python(REOPENED % (own, "Nehalem"), **unset) == ["Nehalem", f"asked for; its own choice was {own}"]
    assert python(REOPENED % (own, own), **unset) == [own, f"it has no {own} here"]


MISSING = """
import json, sys
from onepass.backends.cpu.runtime import blas
%s
found = blas.load()
print(json.dumps([found.name, found.why, found.sgemm != 0]))
"""


# One dtype's compiling is enough time for a test.
QUICK = """
from onepass.backends.cpu.runtime import portable_blas
portable_blas.dgemm = portable_blas.sgemm
"""


def test_a_library_that_is_missing_or_broken_is_replaced_and_named(tmp_path: Path) -> None:
    name, why, there = python(MISSING % (QUICK + "blas.WHEEL = 'no_such_wheel'"))
    assert (name, there) == ("our own product", True)
    assert why == "no_such_wheel is not installed; pip install no-such-wheel"
    broken = tmp_path / "libopenblas.so"
    broken.write_bytes(b"\x7fELF nothing")
    with pytest.raises(OSError, match="libopenblas"):
        blas.open_library(broken)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_with_what_its_parent_opened() -> None:
    found = blas.load()
    a, b = matrix(200, 100, np.float64), matrix(100, 50, np.float64, seed=1)
    expected = product(found, a, b, np.empty((200, 50)))
    code = """
import json, os, numpy as np
from onepass.backends.cpu.runtime import blas
from test_blas import matrix, product
a, b = matrix(200, 100, np.float64), matrix(100, 50, np.float64, seed=1)
def digest():
    return product(blas.load(), a, b, np.empty((200, 50))).tobytes().hex()
parent = digest()
blas._loaded = None
read, write = os.pipe()
if not os.fork():
    os.write(write, b"same" if digest() == parent else b"other")
    os._exit(0)
print(json.dumps([parent, os.read(read, 9).decode()]))
"""
    got = python(code, PYTHONPATH=os.pathsep.join(sys.path))
    assert got == [expected.tobytes().hex(), "same"]
