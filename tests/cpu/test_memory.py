"""Memory of results and programs: nobody's values change, and what is no longer used is used again."""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from onepass.backends.cpu.runtime import memory
from selection import needing

FLOAT32 = np.dtype(np.float32)
SHAPE = (1024, 1024)
SIZE = 4 << 20


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    memory.release()
    yield
    memory.release()


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.ctypes.data)


def full(value: float) -> np.ndarray[Any, Any]:
    array = memory.empty(SHAPE, FLOAT32)
    array[...] = value
    return array


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_, np.complex128, np.float16])
@pytest.mark.parametrize(
    "shape", [(), (0,), (3, 0, 5), (7,), (1 << 20,), (513, 1025), (65, 33, 257), (1, 1 << 19)]
)
def test_an_array_is_as_asked(shape: tuple[int, ...], dtype: type) -> None:
    array = memory.empty(shape, np.dtype(dtype))
    assert type(array) is np.ndarray
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.strides == np.empty(shape, dtype).strides
    assert array.flags.writeable
    assert array.flags.c_contiguous
    assert array.flags.aligned
    array[...] = 1
    assert np.count_nonzero(array) == array.size
    if array.nbytes >= memory.LARGE:
        assert address(array) % 64 == 0


def test_memory_is_used_again() -> None:
    array = full(1)
    first = address(array)
    del array
    assert memory.pooled() == memory.size_class(SIZE)
    assert address(memory.empty((512, 1024), np.dtype(np.float64))) == first
    assert address(memory.empty((1000, 1030), FLOAT32)) == first  # another batch of about that size
    memory.release()
    assert memory.pooled() == 0


def test_two_living_arrays_share_nothing() -> None:
    first, second = full(1), full(2)
    assert not np.shares_memory(first, second)
    assert (first == 1).all()
    assert (second == 2).all()


VIEWS: dict[str, Any] = {
    "slice": lambda array: array[3:, ::2],
    "slice of a slice": lambda array: array[3:][5:][:, 7],
    "transpose": lambda array: array.T,
    "reshape": lambda array: array.reshape(-1),
    "other dtype": lambda array: array.view(np.int32),
    "asarray": lambda array: np.asarray(array[1:]),
    "subclass": lambda array: array[2:].view(np.recarray).T,
    "memoryview": lambda array: memoryview(array)[2:],
    "dlpack": lambda array: np.from_dlpack(array),
    "broadcast": lambda array: np.broadcast_to(array, (2, *array.shape)),
    "iterator": lambda array: array.flat,
    "torch": lambda array: importlib.import_module("torch").from_numpy(array)[5:],
    "torch of a slice": lambda array: importlib.import_module("torch").from_numpy(array[4:])[5:].T,
}


@pytest.mark.parametrize(
    "view", [needing("torch", view) if view.startswith("torch") else view for view in VIEWS]
)
def test_values_live_as_long_as_a_view(view: str) -> None:
    array = full(7)
    first = address(array)
    seen = VIEWS[view](array)
    expected = np.asarray(seen).tobytes()
    del array
    gc.collect()
    assert memory.pooled() == 0
    others = [full(1) for _ in range(3)]
    assert first not in [address(other) for other in others]
    assert np.asarray(seen).tobytes() == expected
    del seen
    gc.collect()
    assert address(full(1)) == first


def test_an_array_in_a_cycle_comes_back_when_the_cycle_goes() -> None:
    class Holder:
        pass

    holder: Any = Holder()
    holder.itself, holder.array = holder, full(3)
    first = address(holder.array)
    del holder
    gc.collect()
    assert address(full(1)) == first


def test_copies_and_pickles_have_values_of_their_own() -> None:
    array = full(5)
    copies = [array.copy(), copy.copy(array), copy.deepcopy(array), pickle.loads(pickle.dumps(array))]
    array[...] = 1
    del array
    other = full(2)
    for copied in copies:
        assert copied.dtype == FLOAT32
        assert copied.shape == SHAPE
        assert (copied == 5).all()
        assert not np.shares_memory(copied, other)


def test_objects_are_never_held_in_used_memory() -> None:
    array = memory.empty((100_000,), np.dtype(object))
    assert array[0] is None
    assert array.base is None


@pytest.mark.parametrize("size", [*range(250_000, 300_000, 777), 1 << 20, (1 << 20) + 1, 3 << 20, 10**9 + 1])
def test_little_is_wasted(size: int) -> None:
    assert size <= memory.size_class(size) <= size * 1.125 + 4096
    assert memory.size_class(memory.size_class(size)) == memory.size_class(size)


def test_no_more_than_the_most_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    each = memory.size_class(SIZE)
    monkeypatch.setattr(memory, "MAX_POOLED", 3 * each)
    arrays = [full(value) for value in range(5)]
    addresses = [address(array) for array in arrays]
    while arrays:
        del arrays[0]
        assert memory.pooled() <= memory.MAX_POOLED
    assert memory.pooled() == 3 * each
    # The oldest two were freed; of the rest the last one used, whose values are still in the cache, is first.
    assert address(full(0)) == addresses[4]

    memory.release()
    small, large = full(1), memory.empty((8 * SIZE,), np.dtype(np.uint8))
    del small, large
    assert memory.pooled() == each  # what would never fit pushes nothing out


def test_the_oldest_goes_whatever_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [memory.LARGE << shift for shift in range(4)]
    monkeypatch.setattr(memory, "MAX_POOLED", sum(map(memory.size_class, sizes)) - 1)
    arrays = [memory.empty((size,), np.dtype(np.uint8)) for size in sizes]
    addresses = [address(array) for array in arrays]
    del arrays[2], arrays[2], arrays[0], arrays[0]
    assert memory.pooled() == memory.size_class(sizes[0]) + memory.size_class(sizes[1]) + memory.size_class(
        sizes[3]
    )
    assert address(memory.empty((sizes[0],), np.dtype(np.uint8))) == addresses[0]
    assert address(memory.empty((sizes[3],), np.dtype(np.uint8))) == addresses[3]


def test_kept_memory_is_given_up_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    del_me = full(1)
    del del_me
    new_block, tried = memory._new_block, []

    def short(size: int) -> np.ndarray[Any, Any]:
        tried.append(memory.pooled())
        if memory.pooled():
            raise MemoryError
        return new_block(size)

    monkeypatch.setattr(memory, "_new_block", short)
    assert memory.empty((SIZE,), np.dtype(np.float64)).shape == (SIZE,)
    assert tried == [memory.size_class(SIZE), 0]
    with pytest.raises(MemoryError, match="Unable to allocate"):
        memory.empty((1 << 55,), FLOAT32)


def run_at_once(work: Callable[[int], None]) -> None:
    """work(1) to work(4), each in its thread, with a switch of threads every few instructions."""
    interval = sys.getswitchinterval()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


def test_threads_never_share_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # A cap that is often reached.
    monkeypatch.setattr(memory, "MAX_POOLED", 6 * memory.LARGE)
    wrong: list[str] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        held: list[tuple[int, np.ndarray[Any, Any]]] = []
        for turn in range(300):
            size = int(memory.LARGE * random.choice([1.0, 1.0, 1.2, 2.0])) // 8
            array, value = memory.empty((size,), np.dtype(np.int64)), seed * 1_000_000 + turn
            array[::512] = value
            held.append((value, array[::512]))
            if len(held) > 3:
                value, array = held.pop(int(random.integers(3)))
                if not (array == value).all():
                    wrong.append(f"{value} is {array[array != value][0]}")

    run_at_once(work)
    assert not wrong
    assert memory.pooled() <= memory.MAX_POOLED


def test_a_finaliser_may_ask_for_memory() -> None:
    class Finaliser:
        def __del__(self) -> None:
            made.append(full(4))

    made: list[np.ndarray[Any, Any]] = []
    threshold = gc.get_threshold()
    gc.set_threshold(1)  # collects wherever Python can
    try:
        for _ in range(50):
            loop: Any = Finaliser()
            loop.itself = loop
            del loop
            array = full(2)
            assert (array == 2).all()
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert len(made) == 50
    assert len({address(array) for array in made}) == 50
    assert all((array[::64] == 4).all() for array in made)


@pytest.mark.parametrize("size", [0, 1, 100, 100_000, 1 << 20])
def test_a_workspace_is_used_again(size: int) -> None:
    first, second = memory.borrow(size), memory.borrow(size)
    block, other = first.block, second.block
    for each in (block, other):
        assert each.dtype == np.uint8
        assert each.ndim == 1
        assert each.size >= size
        assert address(each) % 64 == 0
        assert each.flags.writeable
    block[...], other[...] = 1, 2
    assert (block == 1).all()
    memory.give_back(first)
    assert memory.borrow(size) is first
    assert (other == 2).all()
    memory.give_back(first)
    memory.give_back(second)


def test_programs_of_other_sizes_use_one_workspace() -> None:
    block = memory.borrow(5 << 20)
    memory.give_back(block)
    for size in (5 << 20, 3 << 20, 4 << 20):
        other = memory.borrow(size)
        assert other is block
        memory.give_back(other)
    assert memory.borrow(2 << 20).block.size < 4 << 20  # not a block that is much too large


def test_the_pool_holds_what_was_lent_at_once_lately() -> None:
    """Ever new sizes leave no more behind than a few of them."""
    gc.collect()
    memory.release()
    for number in range(200):
        block, result = memory.borrow((8 << 20) + (number << 18)), memory.empty((1 << 20,), FLOAT32)
        del result
        memory.give_back(block)
    largest = memory.size_class((8 << 20) + (200 << 18))
    # The last block alone, where the peak was forgotten with its return.
    assert largest <= memory.pooled() <= memory.LEAST_POOLED + 2 * largest
    for _ in range(2000):
        memory.empty((1 << 18,), FLOAT32)
    assert memory.pooled() <= memory.LEAST_POOLED


def test_memory_is_given_back_when_nobody_asks_for_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "IDLE", 0.05)
    monkeypatch.setattr(memory, "_watching", None)
    array = full(1)
    del array
    assert memory.pooled()
    end = time.monotonic() + 10
    while memory.pooled() and time.monotonic() < end:
        time.sleep(0.01)
    assert not memory.pooled()
    held = full(1)
    while memory._watching and time.monotonic() < end:
        time.sleep(0.01)
    del held  # when the pool was emptied before
    assert not memory.pooled()
    array = full(2)
    del array
    assert memory.pooled()


def test_threads_never_share_a_workspace() -> None:
    wrong = []

    def work(value: int) -> None:
        for _ in range(2000):
            workspace = memory.borrow(256)
            workspace.block[:256] = value
            if not (workspace.block[:256] == value).all():
                wrong.append(value)
            memory.give_back(workspace)

    run_at_once(work)
    assert not wrong
