"""Many calls in one process need no more memory, threads or files; from the disk nothing is translated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fresh_python import run_python

COUNTED = """
import os, sys, threading
import numpy as np
import onepass as op

def held():
    '''Megabytes of the process, its threads, its open files.'''
    memory = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    return memory, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

random = np.random.default_rng(0)
def normal(*shape):
    return random.standard_normal(shape, np.float32)
"""

BATCHES = """
@op.kernel
def step(params, x, labels, lr):
    loss, grads = op.mlp_loss_and_grads(params, x, labels)
    return loss, op.sgd_step(params, grads, lr)

params = [(normal(784, 1024), normal(1024)), (normal(1024, 10), normal(10))]
def run(rows):
    x, labels = normal(rows, 784), random.integers(0, 10, rows)
    for _ in range(2):
        step(params, x, labels, 0.1)
for rows in (500, 100, 1, 300, 400):
    run(rows)
before = held()
for rows in range(20, 500, 20):
    run(rows)
print(*before, *held())
"""

SHAPES = """
def run(rows, columns):
    op.softmax_cross_entropy_with_grad(normal(rows, columns), random.integers(0, columns, rows))
for _ in range(150):
    run(random.integers(1, 300), random.integers(2, 200))
before = held()
for _ in range(200):
    run(random.integers(1, 300), random.integers(2, 200))
print(*before, *held())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("code", "most"), [(BATCHES, 60), (SHAPES, 30)], ids=["batch sizes", "shapes"])
def test_other_sizes_need_no_more(code: str, most: int) -> None:
    """Each program kept its own workspace before: 10 MB and more for every batch size of this network."""
    done = run_python(COUNTED + code, ONEPASS_THREADS="2")
    assert done.returncode == 0, done.stderr
    memory, threads, files, memory_after, threads_after, files_after = map(int, done.stdout.split())
    assert memory_after - memory < most
    assert threads_after == threads
    assert files_after == files


FROM_DISK = """
import sys
import numpy as np
import onepass as op
x = np.arange(12.0).reshape(4, 3)
print(op.relu(x - 5).sum(), op.softmax_cross_entropy_with_grad(x, np.array([0, 1, 2, 0]))[0])
late = {"numba", "onepass.backends.cpu.llvm.translate", "onepass.backends.cpu.llvm.vector_math"}
print(sorted(late & sys.modules.keys()))
"""


def test_from_the_disk_nothing_is_translated(tmp_path: Path) -> None:
    first, second = (run_python(FROM_DISK, ONEPASS_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    (numbers, imported), (again, imported_again) = (done.stdout.splitlines() for done in (first, second))
    assert numbers == again
    assert "translate" in imported
    assert imported_again == "[]"
