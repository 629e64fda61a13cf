"""Six threads that call and compile, beside forks and the deletion of the folder of compiled programs.

    python fork_stress.py SECONDS [cold]

prints how many calls, programs and children there were. An error, a wrong value or a hang ends the process
and shows where it was. With "cold" the threads also import llvmlite. The number of threads and the folder
come from the environment.
"""

from __future__ import annotations

import faulthandler
import itertools
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

import onepass as op

CHILD_SECONDS = 60  # a child needs one or two
ROWS = np.random.default_rng(0).standard_normal((4000, 50))
LABELS = np.arange(4000) % 50
LAYERS = [(np.full((50, 20), 0.1), np.zeros(20)), (np.full((20, 50), 0.1), np.zeros(50))]
SMALL = ROWS[:7, :5].copy()
STEPS: list[Callable[[Any, Any], Any]] = [
    lambda xp, x: x * 2.0,
    lambda xp, x: x + 0.5,
    lambda xp, x: x - xp.abs(x),
    lambda xp, x: x * x,
    lambda xp, x: xp.tanh(x),
    lambda xp, x: xp.exp(-x * x),
]
# In an order of each process's own; every recipe is another program.
recipes = itertools.cycle(random.sample(list(itertools.product(range(len(STEPS)), repeat=5)), 6**5))
counts = {"calls": 0, "programs": 0, "children": 0}
expected: list[Any] = []


def call() -> None:
    """Calls that are compiled already, with several threads and with products of matrices."""
    loss, gradient = op.softmax_cross_entropy_with_grad(ROWS, LABELS)
    whole, (first, _) = op.mlp_loss_and_grads(LAYERS, ROWS, LABELS)
    got = [np.asarray(loss), gradient, np.asarray(whole), *first]
    if not expected:
        expected.extend(got)
    for one, other in zip(got, expected, strict=True):
        assert one.tobytes() == other.tobytes()
    counts["calls"] += 2


def compile_anew() -> None:
    recipe = next(recipes)

    def chain(xp: Any, x: Any) -> Any:
        for step in recipe:
            x = STEPS[step](xp, x)
        return x

    kernel = op.kernel(lambda x: chain(array_namespace(x), x))
    np.testing.assert_allclose(kernel(SMALL), chain(np, SMALL), rtol=1e-12, atol=1e-12)
    counts["programs"] += 1


def fail(where: str) -> None:
    sys.stdout.flush()
    print(where, traceback.format_exc(), flush=True)
    os._exit(1)


def repeat(action: Callable[[], None], end: float) -> None:
    while time.monotonic() < end:
        try:
            action()
        except BaseException:
            fail(f"a thread of {os.getpid()}:")


def work() -> None:
    for action in random.choices((call, compile_anew), (20, 1), k=10):
        action()


def fork() -> None:
    child = os.fork()
    if not child:
        signal.alarm(CHILD_SECONDS)
        random.seed()
        try:
            call()
            if random.random() < 0.3:
                compile_anew()
        except BaseException:
            fail("a child:")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "a child ended with another status than 0"
    counts["children"] += 1


def delete_the_folder() -> None:
    time.sleep(random.random())
    shutil.rmtree(os.environ["ONEPASS_CACHE_DIR"], ignore_errors=True)


def main(seconds: float, *, cold: bool) -> None:
    # A process that hangs shows where, and ends.
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(int(seconds) + 2 * CHILD_SECONDS)
    # One warning may say that the folder cannot be used.
    warnings.filterwarnings("ignore", "onepass cannot cache compiled programs")
    if not cold:
        call()
    end = time.monotonic() + seconds
    actions = [*[work] * 6, *[fork] * 2, delete_the_folder]
    threads = [threading.Thread(target=repeat, args=(action, end)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(counts)


if __name__ == "__main__":
    warnings.simplefilter("error")
    # Python 3.12 warns of a fork of a process that has threads.
    warnings.filterwarnings("ignore", "This process", DeprecationWarning)
    main(float(sys.argv[1]), cold="cold" in sys.argv)
