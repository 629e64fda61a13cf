"""Shares of compiled programs: each is run once and in its turn, on every threading layer."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba import types
from numba.np.ufunc import parallel as numba_threads
from onepass.backends.cpu.runtime import threads
from onepass.backends.cpu.runtime.machine_code import compiled
from selection import exhaustively
from toy_program import LINUX, address, call, expected

LAYERS = ["omp", "workqueue"] + ["tbb"] * bool(importlib.util.find_spec("tbb"))


def require(threads_used: int, shares: int = 4) -> None:
    """Call once; the numbers must be right, and so many threads must have made them."""
    got, used = call(shares)
    assert got == expected(shares)
    assert used == threads_used or not LINUX, f"{used} threads"


# Events, each in a process of its own that has two of Numba's threads.


def many_threads_call_at_once() -> None:
    require(threads_used=2)
    start = threading.Barrier(6)

    def work(_: int) -> bool:
        start.wait()
        return all(call(shares)[0] == expected(shares) for _ in range(100) for shares in (2, 4, 7))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
    require(threads_used=2)


def in_forked_child(check: Callable[[], None]) -> None:
    child = os.fork()
    if not child:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def a_fork_after_a_parallel_call() -> None:
    require(threads_used=2)

    def again() -> None:
        require(threads_used=1)
        in_forked_child(lambda: require(threads_used=1))

    in_forked_child(again)
    require(threads_used=2)


def a_fork_while_another_thread_is_in_a_call() -> None:
    require(threads_used=2)

    def fresh() -> None:
        require(threads_used=1)
        assert not threads._threads.lock.locked()

    with threads._threads.lock:
        in_forked_child(fresh)
        require(threads_used=1)
    require(threads_used=2)


def a_fork_before_anything() -> None:
    in_forked_child(lambda: require(threads_used=1))
    require(threads_used=2)


def the_first_import_in_a_fork_of_a_process_with_threads() -> None:
    # What the child sees is made here: Numba's threads were started by somebody else, this module is new.
    numba.set_num_threads(2)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_import_anew)
    process.start()
    process.join()
    assert process.exitcode == 0


def _import_anew() -> None:
    specification = importlib.util.find_spec("onepass.backends.cpu.runtime.threads")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert not module._threads.allowed


def children_of_multiprocessing() -> None:
    require(threads_used=2)
    children: list[Any] = [
        multiprocessing.get_context(method).Process(target=require, args=(threads_used,))
        for method, threads_used in (("fork", 1), ("fork", 1), ("spawn", 2), ("forkserver", 2))
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0, child
    require(threads_used=2)


def calls_without_threads_start_none() -> None:
    address()  # Numba loads SciPy's linear algebra, with its threads, when it first compiles
    tasks = len(os.listdir("/proc/self/task")) if LINUX else 0
    for shares, at_once in ((1, 1), (4, 0)):
        assert call(shares, at_once) == (expected(shares), 1)
    assert threads.worker_count() <= 2
    assert not numba_threads._is_initialized
    assert not LINUX or len(os.listdir("/proc/self/task")) == tasks
    require(threads_used=2)
    assert numba_threads._is_initialized


def shares_are_no_more_than_numba_s_threads_or_processors() -> None:
    processors = len(os.sched_getaffinity(0)) if LINUX else os.cpu_count() or 1
    assert threads.worker_count() == min(2, processors)
    if LINUX and processors > 1:
        threads._processors.cache_clear()
        os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
        assert threads.worker_count() == 1
        require(threads_used=2)  # how many shares there are, and who runs them, are two things
    threads._processors = lambda: 64
    assert threads.worker_count() == 2
    numba.set_num_threads(1)
    assert threads.worker_count() == 1
    require(threads_used=1)
    with ThreadPoolExecutor(1) as pool:  # what a Python thread tells Numba holds in that thread
        assert pool.submit(threads.worker_count).result() == 2
    numba.set_num_threads(2)
    assert threads.worker_count() == 2


EVENTS = [
    many_threads_call_at_once,
    a_fork_after_a_parallel_call,
    a_fork_while_another_thread_is_in_a_call,
    a_fork_before_anything,
    the_first_import_in_a_fork_of_a_process_with_threads,
    children_of_multiprocessing,
]
ON_ONE_LAYER = [calls_without_threads_start_none, shares_are_no_more_than_numba_s_threads_or_processors]


def start(code: str, cache: Path, layer: str = "omp") -> subprocess.Popen[str]:
    environment = {
        "NUMBA_CACHE_DIR": str(cache),
        "NUMBA_NUM_THREADS": "2",
        "NUMBA_THREADING_LAYER": layer,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.Popen(
        [sys.executable, "-c", f"import numba, test_threads\n{code}\n"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> None:
    try:
        said = process.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        said = "hangs: " + process.communicate()[0]
    assert process.returncode == 0, said


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine_code")


# Each is a process, which takes seconds: these stand for all.
IN_EVERY_RUN = [
    ("omp", many_threads_call_at_once),
    ("omp", a_fork_after_a_parallel_call),
    ("workqueue", a_fork_before_anything),
]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("layer", "event"),
    [
        exhaustively(layer, event, when=(layer, event) not in IN_EVERY_RUN, id=f"{layer}-{event.__name__}")
        for layer in LAYERS
        for event in EVENTS
    ],
)
def test_every_layer_lives_through(event: Callable[[], None], layer: str, cache: Path) -> None:
    # Two threads ran the shares of the first call, so the layer that was asked for is the one in use.
    code = f"test_threads.{event.__name__}()\nassert numba.threading_layer() == {layer!r}"
    if event is the_first_import_in_a_fork_of_a_process_with_threads:
        code = f"test_threads.{event.__name__}()"
    finish(start(code, cache, layer))


@pytest.mark.parametrize("event", ON_ONE_LAYER, ids=lambda event: event.__name__)
def test_of_a_fresh_process(event: Callable[[], None], cache: Path) -> None:
    finish(start(f"test_threads.{event.__name__}()", cache))


@pytest.mark.exhaustive
def test_cold_processes_at_once_and_damaged_files(tmp_path: Path) -> None:
    code = "test_threads.require(threads_used=2)"
    for process in [start(code, tmp_path) for _ in range(2)]:
        finish(process)
    for function, damaged in (("sums", "nbc"), ("_run_serial", "nbi"), ("_run_parallel", "nbc")):
        (file,) = tmp_path.glob(f"*/*.{function}-*.{damaged}")
        file.write_bytes(file.read_bytes()[:10])
    finish(start(code, tmp_path))
    sizes = [file.stat().st_size for file in tmp_path.glob("*/*.nb*")]
    assert len(sizes) == 6
    assert min(sizes) > 100, "what was damaged is whole again"


def test_where_nothing_can_be_kept_it_is_compiled_in_memory() -> None:
    tried = []

    def decorate(*signature: Any, **options: Any) -> Any:
        tried.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(*signature, **options)

    def double(x: Any) -> Any:
        return 2 * x

    assert compiled(double, decorate, types.int64(types.int64), nogil=True)(21) == 42
    assert tried[-1] == {"nogil": True}


@pytest.mark.parametrize("shares", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("at_once", [0, 1])
def test_results_depend_on_the_shares_and_not_on_who_runs_them(shares: int, at_once: int) -> None:
    assert call(shares, at_once)[0] == expected(shares)


def record(section, share, shares, table, numbers):  # type: ignore[no-untyped-def]
    """Count runs of each share; sum what all shares of the section before have left."""
    table[section * 16 + share] += 1
    before = 0.0
    if section > 0:
        for other in range(16):
            before += numbers[(section - 1) * 16 + other]
    numbers[section * 16 + share] = before / shares + 1


def test_a_section_starts_when_all_shares_of_the_one_before_are_done() -> None:
    program = int(compiled(record, numba.cfunc, threads.PROGRAM).address)
    rows = [(0, 3, 0), (1, 16, 1), (2, 3, 1), (3, 5, 0), (4, 2, 1), (5, 0, 1), (6, 4, 1)]
    counts, left = np.zeros((7, 16), np.int64), np.zeros((7, 16))
    before = 0.0
    for section, shares, _ in rows:
        counts[section, :shares] = 1
        left[section, :shares] = before / max(shares, 1) + 1
        before = left[section].sum()
    for _ in range(50):
        table, numbers = np.zeros(7 * 16, np.int64), np.zeros(7 * 16)
        threads.run(program, np.array(rows), table, numbers)
        np.testing.assert_array_equal(table.reshape(7, 16), counts)
        np.testing.assert_array_equal(numbers.reshape(7, 16), left)
    # In the order given, which need not be that of their numbers; none at all is no work.
    table, numbers = np.zeros(32, np.int64), np.zeros(32)
    threads.run(program, np.array([(1, 2, 1), (0, 2, 1)]), table, numbers)
    np.testing.assert_array_equal(numbers[[0, 1, 16, 17]], 1)
    threads.run(program, np.empty((0, 3), np.int64), table, numbers)
    np.testing.assert_array_equal(table[[0, 1, 16, 17]], 1)


@pytest.mark.parametrize(
    ("text", "processors"),
    [
        ("max 100000\n", 2**31),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("5000 100000\n", 1),
        ("?", 2**31),
    ],
)
def test_a_container_s_quota(text: str, processors: int, tmp_path: Path) -> None:
    assert threads._quota(tmp_path / "none") == 2**31
    (tmp_path / "cpu.max").write_text(text)
    assert threads._quota(tmp_path / "cpu.max") == processors
