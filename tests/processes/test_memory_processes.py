"""Memory of results where a process ends, and where it forks."""

from __future__ import annotations

import os

import pytest
from fresh_python import run_python


def run(code: str) -> None:
    done = run_python(code, options=("-X", "dev"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_interpreter_exits_in_silence() -> None:
    run("""
import builtins, sys, threading, numpy
from onepass.backends.cpu.runtime import memory
make = lambda: memory.empty((1 << 20,), numpy.dtype(numpy.float32))
builtins.module, builtins.one, sys.two, three = memory, make(), make(), make()[1:]
cycle = [make()]; cycle.append(cycle)
class Late:
    def __del__(self): self.array[0] = 1
late = Late(); late.array = make(); late.itself = late
threading.Thread(target=lambda kept=make(): threading.Event().wait(0.01), daemon=True).start()
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_memory_of_its_own() -> None:
    run("""
import os, numpy
from onepass.backends.cpu.runtime import memory
make = lambda: memory.empty((1 << 20,), numpy.dtype(numpy.float32))
held, spare = make(), make()
held[:] = 1
del spare
child = os.fork()
if not child:
    held[:] = 2
    other = make(); other[:] = 3
    os._exit(0 if (held == 2).all() else 1)
assert os.waitpid(child, 0)[1] == 0
other = make(); other[:] = 4
assert (held == 1).all() and (other == 4).all()
""")
