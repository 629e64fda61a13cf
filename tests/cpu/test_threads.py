"""Workers of compiled programs: each is run once and in its turn, in every thread and forked child."""

from __future__ import annotations

import ctypes.util
import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh_python import run_python
from onepass.backends.cpu.llvm import cache as machine_code_cache
from onepass.backends.cpu.runtime import threads
from toy_program import LINUX, address, call, expected, run

FORKS = hasattr(os, "fork")
# On Linux, scikit-learn brings GNU's OpenMP.
OPENMP = LINUX and importlib.util.find_spec("sklearn") is not None


def require(threads_used: int, workers: int = 4) -> None:
    """Call; the numbers must be right, and so many threads must have made them."""
    used = 0
    for _ in range(3):  # a thread that is about to fall asleep misses a call
        got, used = call(workers, wait_for=threads_used)
        assert got == expected(workers)
        if used == threads_used:
            return
    raise AssertionError(f"{used} threads")


# Events, each in a process of its own that has two threads.


def many_threads_call_at_once() -> None:
    require(threads_used=2)
    start = threading.Barrier(6)

    def work(_: int) -> bool:
        start.wait()
        return all(call(workers)[0] == expected(workers) for _ in range(100) for workers in (2, 4, 7))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
    require(threads_used=2)


def a_thread_that_sleeps_is_woken() -> None:
    require(threads_used=2)
    for _ in range(3):
        time.sleep(0.3)
        assert threads._team()._sleeping == 1
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
        require(threads_used=2)
        in_forked_child(lambda: require(threads_used=2))
        require(threads_used=2)

    in_forked_child(again)
    require(threads_used=2)


def a_fork_while_another_thread_is_in_a_call() -> None:
    require(threads_used=2)
    ends = threading.Event()

    def work() -> None:
        while not ends.is_set():
            assert call(7, wait_for=1)[0] == expected(7)

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(work) for _ in range(2)]
        for _ in range(20):
            in_forked_child(lambda: require(threads_used=2))
        ends.set()
        for each in working:
            each.result()
    require(threads_used=2)


def a_fork_while_the_team_is_taken() -> None:
    require(threads_used=2)
    with threads._team().lock, threads._lock:
        in_forked_child(lambda: require(threads_used=2))
        assert call(4) == (expected(4), 1)
    require(threads_used=2)


def a_fork_before_anything() -> None:
    in_forked_child(lambda: require(threads_used=2))
    require(threads_used=2)


def children_of_multiprocessing() -> None:
    require(threads_used=2)
    ends = threading.Event()

    def work() -> None:
        while not ends.is_set():
            assert call(7)[0] == expected(7)

    working = threading.Thread(target=work)
    working.start()
    children: list[Any] = [
        multiprocessing.get_context(method).Process(target=require, args=(2,))
        for method in ("fork", "fork", "fork", "spawn", "forkserver")
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0, child
    ends.set()
    working.join()
    require(threads_used=2)


def tasks() -> int:
    return len(os.listdir("/proc/self/task")) if LINUX else threading.active_count()


def calls_without_threads_start_none() -> None:
    address()
    before = tasks()
    for workers, at_once in ((1, 1), (4, 0)):
        assert call(workers, at_once) == (expected(workers), 1)
    threads.limit_workers(1)
    assert call(4) == (expected(4), 1)
    threads.limit_workers(None)
    assert threads.worker_count() == 2
    assert tasks() == before
    require(threads_used=2)
    assert tasks() == before + 1


def one_thread_is_enough() -> None:
    os.environ["ONEPASS_THREADS"] = "1"
    before = tasks()
    assert call(4) == (expected(4), 1)
    threads.limit_workers(5)
    assert call(5) == (expected(5), 1)
    assert tasks() == before


def threads_that_cannot_be_started_are_done_without() -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    start, threading.Thread.start = threading.Thread.start, refuse  # type: ignore[method-assign]
    assert call(4) == (expected(4), 1)
    threading.Thread.start = start  # type: ignore[method-assign]
    assert call(4) == (expected(4), 1)


def an_exit_while_threads_work() -> None:
    require(threads_used=2)

    def work() -> None:
        while True:
            call(4)

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(0.05)


def the_first_parallel_call_at_exit() -> None:
    import atexit

    atexit.register(lambda: print(call(4)[0] == expected(4), flush=True))


def share_openmp() -> None:
    """Let threads of scikit-learn's OpenMP take the workers."""
    from sklearn.utils import _openmp_helpers

    threads.use_openmp(Path(_openmp_helpers.__file__))


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("onepass-worker")]


def threads_of_an_openmp_take_the_workers() -> None:
    share_openmp()
    require(threads_used=2)
    assert our_threads() == []
    start = threading.Barrier(4)

    def work(_: int) -> bool:
        start.wait()
        return all(call(workers)[0] == expected(workers) for _ in range(100) for workers in (2, 4, 7))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    require(threads_used=2)
    threads.limit_workers(1)
    assert call(4) == (expected(4), 1)


def an_openmp_that_comes_later() -> None:
    require(threads_used=2)
    share_openmp()
    time.sleep(0.1)  # until our thread sleeps
    sleeping = Path(f"/proc/self/task/{threading.enumerate()[-1].native_id}/schedstat")
    before = sleeping.read_text()
    require(threads_used=2)
    assert sleeping.read_text() == before


def a_library_without_openmp() -> None:
    threads.use_openmp(Path(ctypes.util.find_library("c") or ""))
    require(threads_used=2)
    assert len(our_threads()) == 1


def a_fork_after_a_call_on_an_openmp() -> None:
    share_openmp()
    require(threads_used=2)

    def on_threads_of_its_own() -> None:
        require(threads_used=2)
        assert len(our_threads()) == 1

    in_forked_child(on_threads_of_its_own)
    require(threads_used=2)


EVENTS = [
    many_threads_call_at_once,
    a_thread_that_sleeps_is_woken,
    calls_without_threads_start_none,
    one_thread_is_enough,
    threads_that_cannot_be_started_are_done_without,
    an_exit_while_threads_work,
    the_first_parallel_call_at_exit,
    a_library_without_openmp,
    *([threads_of_an_openmp_take_the_workers, an_openmp_that_comes_later] if OPENMP else []),
]
EVENTS_WITH_FORKS = [
    a_fork_after_a_parallel_call,
    a_fork_while_another_thread_is_in_a_call,
    a_fork_while_the_team_is_taken,
    a_fork_before_anything,
    children_of_multiprocessing,
    *([a_fork_after_a_call_on_an_openmp] if OPENMP else []),
]


def start(code: str, cache: Path) -> subprocess.Popen[str]:
    # On one processor there is still a second thread.
    code = f"import test_threads\ntest_threads.threads._processors = lambda: 2\n{code}\n"
    environment = {
        "ONEPASS_CACHE_DIR": str(cache),
        "ONEPASS_THREADS": "2",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment},
        start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    try:
        said = process.communicate(timeout=100)[0]
    except subprocess.TimeoutExpired:
        # Its children as well: they keep the pipe open.
        if FORKS:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        said = "hangs: " + process.communicate()[0]
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine_code")


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_of_a_fresh_process(event: Callable[[], None], cache: Path) -> None:
    said = finish(start(f"test_threads.{event.__name__}()", cache))
    assert said == ("True\n" if event is the_first_parallel_call_at_exit else "")


@pytest.mark.skipif(not FORKS, reason="needs fork")
@pytest.mark.parametrize("event", EVENTS_WITH_FORKS, ids=lambda event: event.__name__)
def test_of_a_process_that_forks(event: Callable[[], None], cache: Path) -> None:
    assert finish(start(f"test_threads.{event.__name__}()", cache)) == ""


@pytest.mark.exhaustive
def test_cold_processes_at_once_and_damaged_files(tmp_path: Path) -> None:
    code = "test_threads.require(threads_used=2)"
    for process in [start(code, tmp_path) for _ in range(2)]:
        finish(process)
    files = sorted(tmp_path.glob("*.o"))
    assert [file.name.rsplit("_", 1)[0] for file in files] == ["run", "serve", "sums"]
    whole = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(file.read_bytes()[:10])
    finish(start(code, tmp_path))
    assert [file.read_bytes() for file in files] == whole


# How many threads


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """The number of workers where these variables are set and there are 8 processors."""
    monkeypatch.setattr(threads, "_processors", lambda: 8)

    def workers(**variables: str) -> int:
        for name in ("ONEPASS_THREADS", "NUMBA_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        threads._usual_count.cache_clear()
        return threads.worker_count()

    yield workers
    threads.limit_workers(None)
    threads._usual_count.cache_clear()


def test_the_environment_says_how_many_threads(count: Callable[..., int]) -> None:
    assert count() == 8
    assert count(ONEPASS_THREADS="3") == 3
    assert count(ONEPASS_THREADS=" 3 ") == 3
    assert count(ONEPASS_THREADS="1") == 1
    assert count(ONEPASS_THREADS="100") == 8
    assert count(NUMBA_NUM_THREADS="3") == 3
    assert count(ONEPASS_THREADS="", NUMBA_NUM_THREADS="3") == 3
    assert count(ONEPASS_THREADS="2", NUMBA_NUM_THREADS="3") == 2
    assert count(ONEPASS_THREADS="2", NUMBA_NUM_THREADS="nonsense") == 2


@pytest.mark.parametrize("variable", ["ONEPASS_THREADS", "NUMBA_NUM_THREADS"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "two", "²"])
def test_what_is_no_number_of_threads_is_an_error(
    variable: str, value: str, count: Callable[..., int]
) -> None:
    with pytest.raises(ValueError, match=rf"^{variable}: got '{value}'; expected a number of threads, at l"):
        count(**{variable: value})


def test_a_limit_is_the_number_of_workers(count: Callable[..., int]) -> None:
    assert count(ONEPASS_THREADS="3") == 3
    for limit in (1, 2, 5, 64):
        threads.limit_workers(limit)
        assert threads.worker_count() == limit
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(threads.worker_count).result() == 64
    threads.limit_workers(None)
    assert threads.worker_count() == 3
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=rf"limit_workers: got {wrong}; expected a number of workers"):
            threads.limit_workers(wrong)


CALLS = """
import numpy as np, onepass as op
for backend in ("auto", "numba", "auto"):
    with op.use_backend(backend):
        for function in (op.relu, op.kernel(lambda x: x + 1)):
            try:
                print(function(np.ones(3)))
            except ValueError as error:
                print(type(error).__mro__[1].__name__, error)
with op.use_backend("numpy"):
    print(op.relu(np.ones(3)))
print(op.backends()["numba"].usable)
"""


def test_a_wrong_setting_is_an_error_of_the_user_s_call(tmp_path: Path) -> None:
    done = run_python(CALLS, options=("-W", "error"), ONEPASS_THREADS="many", ONEPASS_CACHE_DIR=str(tmp_path))
    error = "ValueError ONEPASS_THREADS: got 'many'; expected a number of threads, at least 1."
    assert done.stdout.splitlines() == [error] * 6 + ["[1. 1. 1.]", "True"], done.stderr


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


# Stages and their workers


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("at_once", [0, 1])
def test_results_depend_on_the_workers_and_not_on_who_runs_them(workers: int, at_once: int) -> None:
    assert call(workers, at_once)[0] == expected(workers)


# Counts runs of each worker; sums what all workers of the stage before have left.
RECORD = """\
def record(stage, worker, workers, table, scalars):
    atomic_add(offset(table, stage * 16 + worker), 1)
    before = 0.0
    if stage > 0:
        for other in range(16):
            before += scalars[(stage - 1) * 16 + other]
    scalars[stage * 16 + worker] = before / workers_as_float(workers) + 1.0


def workers_as_float(workers):
    return float64(workers)
"""


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one thread, on any machine."""
    monkeypatch.setattr(threads, "_usual_count", lambda: 3)
    monkeypatch.setattr(threads, "_found", None)


def test_a_stage_starts_when_all_workers_of_the_one_before_are_done(two_threads: None) -> None:
    program = machine_code_cache.load(RECORD, "record", threads.PROGRAM, "record")
    rows = [(0, 3, 0), (1, 16, 1), (2, 3, 1), (3, 5, 0), (4, 2, 1), (5, 0, 1), (6, 4, 1)]
    counts, left = np.zeros((7, 16), np.int64), np.zeros((7, 16))
    before = 0.0
    for stage, workers, _ in rows:
        counts[stage, :workers] = 1
        left[stage, :workers] = before / max(workers, 1) + 1
        before = left[stage].sum()
    for _ in range(3000):
        table, scalars = np.zeros(7 * 16, np.int64), np.zeros(7 * 16)
        run(program, np.array(rows), table, scalars)
        np.testing.assert_array_equal(table.reshape(7, 16), counts)
        np.testing.assert_array_equal(scalars.reshape(7, 16), left)
    # In the order given, which need not be that of their numbers; none at all is no work.
    table, scalars = np.zeros(32, np.int64), np.zeros(32)
    run(program, np.array([(1, 2, 1), (0, 2, 1)]), table, scalars)
    np.testing.assert_array_equal(scalars[[0, 1, 16, 17]], 1)
    run(program, np.empty((0, 3), np.int64), table, scalars)
    np.testing.assert_array_equal(table[[0, 1, 16, 17]], 1)


# Stages 0 and 2 note which threads run their two workers; worker 0 of stage 1 works for long.
PAUSE = """\
def pause_between(stage, worker, workers, table, scalars):
    waited = 0
    if stage == 1:
        while (worker == 0) & (waited < int64(scalars[0])):
            pause()
            waited += 1
    else:
        table[8 + stage * 2 + worker] = address_of(stack_of_int64(1))
        atomic_add(offset(table, stage), 1)
        while (atomic_load(offset(table, stage)) < 2) & (waited < 2000000):
            sched_yield()
            waited += 1
"""


@pytest.mark.parametrize("before", [[(0, 2, 1), (1, 1, 0)], [(0, 2, 1), (1, 2, 1)], [(1, 1, 0)]])
def test_threads_take_part_in_a_stage_that_follows_a_long_one(
    before: list[tuple[int, int, int]], two_threads: None
) -> None:
    """A thread that waits for longer than it looks for work belongs to the call as long as that runs."""
    program = machine_code_cache.load(PAUSE, "pause_between", threads.PROGRAM, "pause_between")
    looks = 5.0 * threads.LOOKS
    for _ in range(10):
        table = np.zeros(16, np.int64)
        run(program, np.array([*before, (2, 2, 1)]), table, np.array([looks]))
        assert (table[8] != table[9]) == (before[0][0] == 0)
        assert table[12] != table[13]


def test_a_late_thread_takes_no_worker_of_a_stage_that_is_not_ready() -> None:
    """What a worker needs is read after the worker was taken, and written while there is none to take."""
    text = threads.TEXT
    take = text[text.index("def take") : text.index("def serve")]
    assert take.index("exchanged(") < take.index("job[")
    share = text[text.index("def share") : text.index("def take")]
    assert share.rindex("job[4] =") < share.index("atomic_store(done") < share.index("atomic_store(left")
