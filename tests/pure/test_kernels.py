"""Every kernel, with every case of the table, in every library, dtype and backend that is here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import pytest
from cases import CASES, Case
from onepass.backends.common.trees import leaves, map_leaves, named_leaves

import onepass as op
from onepass import kernels

TOLERANCE = {"float32": 3e-5, "float64": 1e-13}


class Library(NamedTuple):
    """How to bring NumPy arrays into a library and back."""

    enter: Callable[[], AbstractContextManager[Any]]
    asarray: Callable[[np.ndarray], Any]
    to_numpy: Callable[[Any], np.ndarray]
    call: Callable[..., Any] = lambda function, *args, **kwargs: function(*args, **kwargs)


def read_only(array: np.ndarray) -> np.ndarray:
    """A copy that raises when somebody writes into it."""
    array = array.copy()
    array.flags.writeable = False
    return array


def array_api_strict(device: str) -> Library:
    """The strictest flags, on one of its devices; an array made on another one is an error there."""
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")

    def enter() -> AbstractContextManager[Any]:
        return strict.ArrayAPIStrictFlags(
            api_version="2024.12", boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()
        )

    return Library(
        enter,
        lambda array: strict.asarray(array, device=strict.Device(device)),
        lambda array: np.asarray(array.to_device(strict.Device("CPU_DEVICE"))),
    )


def torch() -> Library:
    """CPU tensors."""
    library = pytest.importorskip("torch", reason="PyTorch is not installed")
    return Library(nullcontext, library.asarray, lambda tensor: tensor.numpy())


def jax(*, jit: bool) -> Library:
    """With 64-bit numbers; under `jit`, arrays are traced and everything else is a constant."""
    library = pytest.importorskip("jax", reason="JAX is not installed")

    def compiled(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def is_array(leaf: Any) -> bool:
            return isinstance(leaf, library.Array)

        def traced(arrays: list[Any]) -> Any:
            remaining = iter(arrays)
            filled = map_leaves(lambda leaf: next(remaining) if is_array(leaf) else leaf, (args, kwargs))
            return function(*filled[0], **filled[1])

        return library.jit(traced)([leaf for leaf in leaves((args, kwargs)) if is_array(leaf)])

    def enter() -> AbstractContextManager[Any]:
        return library.enable_x64(True)

    if jit:
        return Library(enter, library.numpy.asarray, np.asarray, compiled)
    return Library(enter, library.numpy.asarray, np.asarray)


LIBRARIES: dict[str, Callable[[], Library]] = {
    "numpy": lambda: Library(nullcontext, read_only, np.asarray),
    "strict": lambda: array_api_strict("CPU_DEVICE"),
    "strict-device1": lambda: array_api_strict("device1"),
    "torch": torch,
    "jax": lambda: jax(jit=False),
    "jax-jit": lambda: jax(jit=True),
}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Iterator[Library]:
    library = LIBRARIES[request.param]()
    with library.enter():
        yield library


def convert(tree: Any, library: Library, dtype: str) -> Any:
    """The arrays of a case in a library; floating ones in `dtype`."""

    def leaf_of(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return library.asarray(leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf)

    return map_leaves(leaf_of, tree)


def assert_close(got: Any, expected: Any, library: Library, dtype: str) -> None:
    """Same structure, dtype and shape, and values to rounding of the largest one."""
    mine_by_path, reference_by_path = dict(named_leaves(got, "")), dict(named_leaves(expected, ""))
    assert mine_by_path.keys() == reference_by_path.keys()
    for path, reference in reference_by_path.items():
        mine = mine_by_path[path]
        if reference is None or isinstance(reference, int):
            assert (mine is None) if reference is None else int(mine) == reference
            continue
        value, reference = library.to_numpy(mine), np.asarray(reference)
        assert value.dtype == dtype
        assert value.shape == reference.shape
        scale = max(1.0, float(np.max(np.abs(reference), initial=0.0)))
        np.testing.assert_allclose(value, reference, rtol=0, atol=TOLERANCE[dtype] * scale)


def test_every_kernel_stands_in_the_table() -> None:
    assert {case.kernel for case in CASES} == set(kernels.__all__)


def test_the_face_offers_every_kernel_with_its_signature() -> None:
    for name in kernels.__all__:
        assert inspect.signature(getattr(op, name)) == inspect.signature(getattr(kernels, name))
        assert getattr(op, name).__doc__ == getattr(kernels, name).__doc__
        assert name in op.__all__


# Every case is another program to compile; in float32 one of each kernel's does, the others are slow.
LAST = {case.kernel: case for case in CASES}
TABLE = [pytest.param(case, "float64", id=f"{case}-float64") for case in CASES] + [
    pytest.param(
        case, "float32", id=f"{case}-float32", marks=[pytest.mark.slow] * (LAST[case.kernel] is not case)
    )
    for case in CASES
]


@pytest.mark.parametrize(("case", "dtype"), TABLE)
def test_a_kernel_computes_the_same_in_every_library(case: Case, dtype: str, library: Library) -> None:
    expected = getattr(kernels, case.kernel)(*case.args, **case.kwargs)
    args, kwargs = convert((case.args, case.kwargs), library, dtype)
    got = library.call(getattr(op, case.kernel), *args, **kwargs)
    assert_close(got, expected, library, dtype)


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
@pytest.mark.parametrize("backend", [name for name, backend in op.backends().items() if backend.usable])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_kernel_computes_the_same_on_every_backend(case: Case, backend: str, dtype: str) -> None:
    its_arrays = LIBRARIES["numpy"]()
    if backend == "cupy":
        import cupy

        its_arrays = Library(nullcontext, cupy.asarray, cupy.asnumpy)
    expected = getattr(kernels, case.kernel)(*case.args, **case.kwargs)
    args, kwargs = convert((case.args, case.kwargs), its_arrays, dtype)
    with op.use_backend(backend):
        got = getattr(op, case.kernel)(*args, **kwargs)
    assert_close(got, expected, its_arrays, dtype)
