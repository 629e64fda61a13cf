"""Locks that a fork leaves in order.

A forked child has one thread, and memory as the parent's other threads left it at that moment: a lock that
one of them held stays held, and the data that it guards may be half written. So a fork waits for these locks:

    with compiling: ...   imports of compilers, compiling, loading machine code
    with briefly: ...     a few statements on data that threads share

and for the locks of Numba and llvmlite that a thread may hold without ours. The forking thread holds all of
them during the fork; afterwards they are free in the parent and in the child.
"""

from __future__ import annotations

import contextlib

# A fork takes the lock of `logging` as well, and imports of compilers take it inside of ours. Hooks that were
# registered last run first: with `logging` imported before, a fork takes its lock after ours, as imports do.
import logging  # noqa: F401
import operator
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

# Seconds. A fork that has waited so long goes ahead, and its child compiles nothing.
LONGEST_WAIT = 60.0

# Where Numba and llvmlite have locks, in the order in which a thread that compiles takes them.
_OF_OTHERS = (
    ("numba.core.compiler_lock", "global_compiler_lock._lock"),
    ("numba.np.ufunc.parallel", "_backend_init_thread_lock"),
    ("llvmlite.binding.ffi", "lib._lock._lock"),
)


class Compiling:
    """A reentrant lock for long work. Threads that want it let a thread that waits to fork go first."""

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        self.forking: set[int] = set()  # the threads that wait to fork, or do so

    def __enter__(self) -> None:
        is_inside = self.lock._is_owned()
        self.lock.acquire()
        while self.forking and not is_inside:
            self.lock.release()
            time.sleep(0.001)
            self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


compiling = Compiling()
briefly = threading.Lock()

# Called in a child that cannot compile, with the reason.
when_cannot_compile: list[Callable[[str], None]] = []

# By thread: what it holds while it forks, whether it held that before, and whether it has everything.
_held: dict[int, tuple[list[tuple[Any, bool]], bool]] = {}


def _locks() -> Iterator[Any]:
    yield compiling.lock
    for module, path in _OF_OTHERS:
        # Another version may have its locks elsewhere, or none.
        with contextlib.suppress(AttributeError):
            yield operator.attrgetter(path)(sys.modules.get(module))
    yield briefly


def _before() -> None:
    thread = threading.get_ident()
    compiling.forking.add(thread)
    end = time.monotonic() + LONGEST_WAIT
    held: list[tuple[Any, bool]] = []
    has_all = True
    for lock in _locks():
        was_held = lock is not briefly and lock._is_owned()
        if not lock.acquire(timeout=max(0.0, end - time.monotonic())):
            has_all = False
            break
        held.append((lock, was_held))
    _held[thread] = held, has_all


def _after_in_parent() -> None:
    thread = threading.get_ident()
    held, _ = _held.pop(thread)
    for lock, _ in reversed(held):
        lock.release()
    compiling.forking.discard(thread)


def _after_in_child() -> None:
    held, has_all = _held.pop(threading.get_ident())
    _held.clear()
    compiling.forking.clear()
    for lock, was_held in reversed(held):
        if was_held:
            lock.release()
        else:
            lock._at_fork_reinit()
    if not has_all:
        for lock in list(_locks())[len(held) :]:
            lock._at_fork_reinit()
        for cannot_compile in when_cannot_compile:
            cannot_compile(
                "this process was forked while another thread compiled; start the process before that, or "
                "with the method 'spawn'"
            )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
