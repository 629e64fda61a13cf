"""Forks of a process whose other threads hold the locks of onepass and llvmlite, or run programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_python import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FORK_STRESS = Path(__file__).parents[1] / "support" / "fork_stress.py"

START = """
import os, signal, threading, time, warnings
import numpy as np
import onepass as op
from onepass.backends.common import forks
from onepass.backends.cpu.runtime import threads

X = np.arange(-3.0, 3.0)
op.relu(X)  # imports llvmlite and compiles
from llvmlite.binding import ffi

def hold(lock, seconds):
    '''Another thread holds the lock for so long.'''
    taken = threading.Event()
    def work():
        with lock:
            taken.set()
            time.sleep(seconds)
    threading.Thread(target=work, daemon=True).start()
    taken.wait()

def in_child(action):
    '''The exit status of a forked child that does this; 14 where it hangs.'''
    child = os.fork()
    if not child:
        signal.alarm(20)
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]

def compile_anew():
    np.testing.assert_array_equal(op.kernel(lambda x: 3 * x - abs(x))(X), 3 * X - abs(X))
"""


def python(code: str, cache: Path) -> str:
    # Python 3.12 warns of a fork of a process that has threads.
    options = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")
    done = run_python(START + code, options=options, ONEPASS_CACHE_DIR=str(cache), ONEPASS_THREADS="2")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    "lock",
    [
        "forks.compile_lock",
        "forks.data_lock",
        "ffi.lib._lock",
    ],
)
def test_a_fork_waits_for_a_thread_that_holds_a_lock(lock: str, tmp_path: Path) -> None:
    said = python(
        f"""
hold({lock}, 0.5)
print(in_child(lambda: [compile_anew(), {lock}.__enter__()]))
compile_anew()  # and the parent works on
with {lock}: pass
print(in_child(lambda: in_child(compile_anew) and 1 / 0))
""",
        tmp_path,
    )
    assert said.split() == ["0", "0"]


def test_a_fork_that_may_not_wait_gives_a_child_that_compiles_nothing(tmp_path: Path) -> None:
    said = python(
        """
forks.MAX_WAIT = 0.1
hold(forks.compile_lock, 2)
def check():
    np.testing.assert_array_equal(op.relu(X), np.maximum(X, 0))  # what is compiled runs
    compile_anew()
    assert "forked while another thread compiled" in op.backends()["numba"].why_not
    try:
        op.use_backend("numba")
    except RuntimeError:
        return
    raise AssertionError
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the child says that it compiles nothing
    print(in_child(check))
with op.use_backend("numba"):
    compile_anew()
""",
        tmp_path,
    )
    assert said.split() == ["0"]


def test_a_fork_goes_before_threads_that_wait_to_compile(tmp_path: Path) -> None:
    said = python(
        """
order = []
def compile_for_a_while(name):
    with forks.compile_lock:
        order.append(name)
        time.sleep(0.3)
started = [threading.Thread(target=compile_for_a_while, args=(name,)) for name in ("first", "second")]
for thread in started:
    thread.start()
    time.sleep(0.1)
in_child(lambda: print(*order, flush=True))
for thread in started:
    thread.join()
""",
        tmp_path,
    )
    assert said.split() == ["first"]


def test_a_fork_inside_of_compiling_keeps_the_lock(tmp_path: Path) -> None:
    said = python(
        """
def check():
    assert forks.compile_lock.lock._is_owned()
    compile_anew()
with forks.compile_lock:
    print(in_child(check))
    assert forks.compile_lock.lock._is_owned()
assert not forks.compile_lock.lock._is_owned()
""",
        tmp_path,
    )
    assert said.split() == ["0"]


def test_the_lock_of_llvmlite_is_found(tmp_path: Path) -> None:
    said = python(
        """
print(len(list(forks._locks())), ffi.lib._lock._lock in list(forks._locks()))
""",
        tmp_path,
    )
    assert said.split() == ["3", "True"]


def test_forks_while_other_threads_run_parallel_programs(tmp_path: Path) -> None:
    said = python(
        """
threads._processors = lambda: 2
ROWS = np.random.default_rng(0).standard_normal((4000, 50))
expected = op.softmax(ROWS).tobytes()
assert threads._found is not None
ends = []
def work():
    while not ends:
        assert op.softmax(ROWS).tobytes() == expected
working = [threading.Thread(target=work) for _ in range(3)]
for thread in working: thread.start()
def check():
    assert threads._found is None
    for _ in range(3):
        assert op.softmax(ROWS).tobytes() == expected
    assert threads._found is not None
    assert len([thread for thread in threading.enumerate() if thread.name.startswith("onepass-worker")]) == 1
    compile_anew()
print({in_child(check) for _ in range(20)})
ends.append(True)
for thread in working: thread.join()
assert op.softmax(ROWS).tobytes() == expected
""",
        tmp_path,
    )
    assert said == "{0}\n"


def test_a_fork_takes_the_lock_of_logging_after_ours(tmp_path: Path) -> None:
    said = python(
        """
import logging
forks.MAX_WAIT = 5
inside = threading.Event()
def work():
    with forks.compile_lock:
        inside.set()
        time.sleep(0.5)
        logging.getLogger("one that an import makes")
threading.Thread(target=work).start()
inside.wait()
print(in_child(compile_anew))
""",
        tmp_path,
    )
    assert said.split() == ["0"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("start", ["warm", "cold"])
def test_threads_that_call_and_compile_beside_forks(start: str, tmp_path: Path) -> None:
    environment = {"ONEPASS_THREADS": "2", "ONEPASS_CACHE_DIR": str(tmp_path / "kept")}
    done = subprocess.run(
        [sys.executable, str(FORK_STRESS), "12", start],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "'children': 0" not in done.stdout


def test_planned_programs_of_numpy_run_in_a_child(tmp_path: Path) -> None:
    python(
        """
random = np.random.default_rng(0)
logits, labels = random.standard_normal((3000, 200)), random.integers(0, 200, 3000)
with op.use_backend("numpy"):
    expected = op.softmax_cross_entropy_with_grad(logits, labels)  # as written
    kept = op.softmax_cross_entropy_with_grad(logits, labels)

    def planned():
        for _ in range(3):
            found = op.softmax_cross_entropy_with_grad(logits, labels)
            assert found[0] == expected[0]
            np.testing.assert_array_equal(found[1], expected[1])
            found[1].fill(0)

    hold(forks.compile_lock, 0.2)
    assert in_child(planned) == 0
    planned()
    np.testing.assert_array_equal(kept[1], expected[1])
""",
        tmp_path,
    )
