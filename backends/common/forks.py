"""Locks that stay usable after a fork.

A forked child has one thread. Its memory is a copy of the parent's at that moment: a lock that another thread
held stays locked for ever, and the data that it guards may be half written. So a fork waits for these locks:

    with compile_lock: ...   importing compilers, compiling, loading machine code
    with data_lock: ...      a few statements on data that threads share

and for the lock of llvmlite that a thread may hold without holding ours. The forking thread holds
all of them during the fork. Afterwards they are free in the parent and in the child.
"""

from __future__ import annotations

import contextlib

# A fork takes the lock of `logging` too, and importing a compiler takes that lock inside ours. Fork hooks run
# in reverse order of registration: with `logging` imported first, a fork takes its lock after ours.
import logging  # noqa: F401
import operator
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

# Seconds. A fork that has waited this long goes ahead, and its child compiles nothing.
MAX_WAIT = 60.0

# The lock of llvmlite.
_LOCKS_OF_LIBRARIES = (("llvmlite.binding.ffi", "lib._lock._lock"),)


class CompileLock:
    """A reentrant lock for long work. A thread that waits to fork gets it before threads that compile."""

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        self.forking: set[int] = set()  # ids of threads that wait to fork, or are forking

    def __enter__(self) -> None:
        is_inside = self.lock._is_owned()
        self.lock.acquire()
        while self.forking and not is_inside:
            self.lock.release()
            time.sleep(0.001)
            self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


compile_lock = CompileLock()
data_lock = threading.Lock()

# Called with the reason in a child that cannot compile.
when_cannot_compile: list[Callable[[str], None]] = []

# By id of a forking thread: the locks that it took, with whether it held them before; whether it got all.
_held: dict[int, tuple[list[tuple[Any, bool]], bool]] = {}


def _locks() -> Iterator[Any]:
    yield compile_lock.lock
    for module, path in _LOCKS_OF_LIBRARIES:
        # Other versions may keep these locks elsewhere, or have none.
        with contextlib.suppress(AttributeError):
            yield operator.attrgetter(path)(sys.modules.get(module))
    yield data_lock


def _before() -> None:
    thread = threading.get_ident()
    compile_lock.forking.add(thread)
    end = time.monotonic() + MAX_WAIT
    held: list[tuple[Any, bool]] = []
    has_all = True
    for lock in _locks():
        was_held = lock is not data_lock and lock._is_owned()
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
    compile_lock.forking.discard(thread)


def _after_in_child() -> None:
    held, has_all = _held.pop(threading.get_ident())
    _held.clear()
    compile_lock.forking.clear()
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
                "this process was forked while another thread compiled; fork earlier, or use the start "
                "method 'spawn'"
            )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
