"""Random kernels as CUDA programs of random geometries, executed on the host, against eager NumPy."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from cuda_programs import Call, Form, WatchingDevice, program_of, run
from host_cuda import SCHEDULES
from onepass.backends.codegen.coalesce import TooManyDimensionsError
from onepass.backends.common.trees import leaves
from programs import random_program
from random_calls import LARGEST, TOLERANCE, given_to, largest
from selection import exhaustively

import onepass as op

pytestmark = pytest.mark.needs(name="g++")

# With --exhaustive, ONEPASS_EXAMPLES=5000 looks further.
FEW, EXAMPLES = 20, int(os.environ.get("ONEPASS_EXAMPLES", "80"))
SIZES = [(1, 2, 3, 4), (2, 5), (1, 3, 40), (4,), (0, 1, 2), (8, 64), (16, 260), (3, 1100)]


def random_form(random: np.random.Generator) -> Form | None:
    """The usual form, or one of lanes, a block or a cluster, that keeps a row or reads it anew."""
    group, cluster = [(1, 1), (4, 1), (32, 1), (64, 1), (64, 2)][random.integers(5)]
    return [
        None,
        Form(
            threads=64,
            group=group,
            cluster=cluster,
            streaming=bool(random.integers(2)),
            vector=int(2 ** random.integers(4)),
            blocks=bool(random.integers(2)),
        ),
    ][int(random.integers(4) > 0)]


@pytest.mark.parametrize("seed", [exhaustively(seed, when=seed >= FEW) for seed in range(EXAMPLES)])
def test_a_random_program(seed: int) -> None:
    random = np.random.default_rng(seed)

    def choose(count: int) -> int:
        return int(random.integers(0, count))

    program = random_program(choose, sizes=SIZES[choose(len(SIZES))], lines=20)
    dtype, special = ("float32", "float64")[choose(2)], choose(6) == 0
    kernel = program.function(array_namespace)
    try:
        with op.use_backend("numpy"), np.errstate(all="ignore"):
            everything = op.kernel(program.function(array_namespace, everything=True))
            scale = largest(everything(*given_to(program, dtype, seed, special)))
            expected = op.kernel(kernel)(*given_to(program, dtype, seed, special))
    except ValueError:  # the largest of no elements
        return
    if scale > LARGEST:
        return
    form = random_form(random)
    call = Call(kernel, tuple(given_to(program, dtype, seed, special)), {}, tuple(program.donated))
    device = WatchingDevice(processors=1 + choose(3), schedule=SCHEDULES[choose(4)], aligned=choose(3) > 0)
    try:
        compiled = program_of(call, device, form)
    except TooManyDimensionsError:
        return
    runs = [run(compiled, call)]
    device.schedule = SCHEDULES[choose(4)]
    runs.append(run(compiled, call))
    note = f"{form}, {dtype}, donated {program.donated}, {program.arguments}\n{program.text()}"
    for mine, again, right in zip(*runs, leaves(expected), strict=True):
        assert_near(mine, right, TOLERANCE[dtype] * scale, note)
        assert np.asarray(mine).tobytes() == np.asarray(again).tobytes(), f"other bits\n{note}"


def assert_near(mine: Any, right: Any, tolerance: float, note: str) -> None:
    mine, right = np.asarray(mine), np.asarray(right)
    assert (mine.dtype, mine.shape) == (right.dtype, right.shape), note
    if right.dtype.kind == "f":
        np.testing.assert_allclose(mine, right, rtol=0, atol=tolerance, err_msg=note)
    else:
        np.testing.assert_array_equal(mine, right, err_msg=note)
