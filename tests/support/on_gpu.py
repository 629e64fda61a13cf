"""What the tests on a GPU share: CuPy or the reason why not, arrays there in every layout, and closeness."""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import array_trees
import numpy as np
import pytest
from onepass.backends.common.trees import map_leaves

import onepass as op

# A kernel that keeps the device busy: whoever waits for the device behind it waits for long.
BUSY = """
extern "C" __global__ void busy(const long long cycles) {
    const long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


@functools.cache
def why_not() -> str:
    """Why nothing runs on a GPU here; empty where it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy's, of libraries that are not there
        return op.backends()["cupy"].why_not


def is_another_backend(item: pytest.Item) -> bool:
    """A test of NumPy's that is for other arrays: on a GPU it would be the same test once more."""
    parameters = getattr(item, "callspec", None)
    chosen = parameters.params if parameters else {}
    return chosen.get("backend") == "numba" or chosen.get("other", "numpy") != "numpy"


def cupy_or_skip() -> Any:
    if why_not():
        pytest.skip(f"needs a GPU: {why_not()}")
    cupy = importlib.import_module("cupy")
    if os.environ.get("ONEPASS_TEST_POOL") == "0":
        cupy.cuda.set_allocator(None)  # every array is an allocation of its own, whose ends a checker knows
    return cupy


def busy(cupy: Any, seconds: float) -> None:
    """Keep the current stream busy; clocks run at 1 to 2 GHz."""
    cupy.RawKernel(BUSY, "busy")((1,), (1,), (int(seconds * 2e9),))


def dtype_of(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 in NumPy and CuPy needs ml_dtypes")
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _beside_its_place(cupy: Any, array: np.ndarray, places: int) -> Any:
    """A copy whose address is so many bytes beyond a multiple of 256."""
    content = np.frombuffer(bytes(places) + array.tobytes(), np.uint8)
    return cupy.asarray(content)[places:].view(array.dtype).reshape(array.shape)


def _sliced(cupy: Any, array: np.ndarray) -> Any:
    wide = cupy.empty([2 * size + 1 for size in array.shape], array.dtype)
    wide.fill(7)
    view = wide[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = cupy.asarray(array)
    return view


# A NumPy array as one of CuPy's.
LAYOUTS: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "aligned": lambda cupy, array: cupy.asarray(array),
    "misaligned": lambda cupy, array: _beside_its_place(cupy, array, array.itemsize),
    "off by a byte": lambda cupy, array: _beside_its_place(cupy, array, 1),
    "fortran": lambda cupy, array: cupy.asfortranarray(cupy.asarray(array)),
    "sliced": _sliced,
    "reversed": lambda cupy, array: cupy.flip(cupy.flip(cupy.asarray(array)).copy()),
    "zero stride": lambda cupy, array: cupy.broadcast_to(cupy.asarray(array[:1]), array.shape),
    "zero strides": lambda cupy, array: cupy.broadcast_to(
        cupy.asarray(array.reshape(-1)[:1].copy()), array.shape
    ),
}


def to_gpu(cupy: Any, tree: Any, dtype: str | None = None, layout: str = "aligned") -> Any:
    """The tree with its NumPy arrays on the GPU, floating ones in `dtype`."""

    def moved(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        if dtype is not None and leaf.dtype.kind == "f":
            leaf = leaf.astype(dtype_of(dtype))
        return LAYOUTS[layout](cupy, leaf)

    return map_leaves(moved, tree)


def to_numpy(cupy: Any, tree: Any) -> Any:
    """The tree with its CuPy arrays in NumPy."""
    return map_leaves(lambda leaf: leaf.get() if isinstance(leaf, cupy.ndarray) else leaf, tree)


def in_float64(cupy: Any, tree: Any) -> Any:
    """The same numbers in NumPy, all that are not integers in float64: what a reference is computed from."""

    def widened(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray) or leaf.dtype.kind in "iub":
            return leaf
        return leaf.astype(np.float64)

    return map_leaves(widened, to_numpy(cupy, tree))


def bits(cupy: Any, tree: Any) -> list[Any]:
    return array_trees.bits(to_numpy(cupy, tree))


def assert_close(cupy: Any, got: Any, expected: Any, dtype: str, tolerance: float | None = None) -> None:
    """The structure, CuPy's arrays of the dtype and shape, and values to rounding of the largest one."""

    def fetched(leaf: Any) -> np.ndarray:
        assert isinstance(leaf, cupy.ndarray)
        return np.asarray(leaf.get())

    array_trees.assert_near(got, expected, dtype_of(dtype), to_numpy=fetched, tolerance=tolerance)
