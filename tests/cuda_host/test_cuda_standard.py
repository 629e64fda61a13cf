"""A sample of all calls of the array API standard, in CUDA that is executed on the host, against NumPy."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest
from host_device import HostDevice
from idioms import IDIOMS, Idiom
from onepass.backends.codegen.chain import Chain
from onepass.backends.codegen.parts import Part
from onepass.backends.compilers import whole_or_parts
from onepass.backends.cuda.program import CudaProgram
from onepass.backends.trace.trace import Traced, trace
from same_results import assert_same
from selection import exhaustively
from standard_calls import CASES, Case

pytestmark = pytest.mark.needs(name="g++")

# Every so many-th case in every run, and of the others one in five with --exhaustive: each is compiled anew.
STEP, FEWER = 150, 5
OF_DIMENSIONS = ["two_layer_net", "spatial_batchnorm", "lstm_over_time", "laplacian", "moco_loss"]


def program(function: Any, args: tuple[Any, ...]) -> Any:
    """The program of a call, in parts where it needs them, on the host's device."""
    device, name = HostDevice(), function.__name__

    def part(replay: Any, given: tuple[Any, ...], free: tuple[int, ...]) -> Any:
        return CudaProgram(replay, name, given, {}, free, device=device)

    def whole(traced: Traced) -> CudaProgram:
        return CudaProgram(function, name, args, {}, device=device, traced=traced)

    def in_parts(traced: Traced, parts: Sequence[Part]) -> Chain:
        return Chain(traced, parts, part, array_api_compat.numpy)

    traced = functools.partial(trace, function, name, args, {}, takes_halves=True)
    return whole_or_parts(traced, whole, in_parts)


def cases() -> list[object]:
    chosen = [(n, case) for n, case in enumerate(CASES) if n % STEP == 0 or n % FEWER == 0]
    return [exhaustively(case, when=n % STEP != 0, id=case.name) for n, case in chosen]


@pytest.mark.parametrize("case", cases())
def test_a_call_of_the_standard(case: Case) -> None:
    with np.errstate(all="ignore"):
        expected = case.function(*case.arrays)
    assert_same(program(case.function, case.arrays)(list(case.arrays)), expected, max(case.tolerance, 1e-6))


@pytest.mark.parametrize("name", [idiom.name for idiom in IDIOMS if idiom.name in OF_DIMENSIONS])
def test_an_idiom(name: str) -> None:
    idiom: Idiom = next(idiom for idiom in IDIOMS if idiom.name == name)
    arrays = [arg for arg in idiom.args if isinstance(arg, np.ndarray)]
    others = idiom.args[len(arrays) :]
    assert list(map(type, idiom.args[: len(arrays)])) == [np.ndarray] * len(arrays)
    function = functools.partial(idiom.function)
    function.__name__ = name  # type: ignore[attr-defined]
    expected = idiom.function(*idiom.args)
    made = program(function, idiom.args)
    assert_same(made([*arrays, *others]), expected, idiom.tolerance)


def test_a_comparison_of_positions_at_looked_up_rows() -> None:
    """The number that a column is compared with is computed in the loop over the columns here."""

    def diagonals(x: Any) -> Any:
        xp = array_api_compat.array_namespace(x)
        is_diagonal = xp.arange(2)[:, None] + 0 == xp.arange(2)
        return xp.exp(x) * xp.astype(is_diagonal, x.dtype)

    x = np.random.default_rng(0).standard_normal((3, 2, 2))
    assert_same(program(diagonals, (x,))([x]), np.exp(x) * np.eye(2), 1e-12)
