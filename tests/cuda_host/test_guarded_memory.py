"""The guards around arrays that kernels are given."""

from __future__ import annotations

import gc
import mmap
from typing import Any

import numpy as np
import pytest
from guarded_memory import broken_guards, guarded, guarded_copy, is_guarded

DTYPES = [np.float64, np.float32, np.float16, np.int8, bool]


def around(array: np.ndarray[Any, Any], bytes_before: int, bytes_past: int) -> np.ndarray[Any, Any]:
    """The bytes of an array and of its guards."""
    length = bytes_before + array.nbytes + bytes_past
    address = array.ctypes.data - bytes_before
    described = {"data": (address, False), "shape": (length,), "typestr": "|u1", "version": 3}
    holder = type("Bytes", (), {"__array_interface__": described, "kept": array})
    return np.asarray(holder())


@pytest.mark.parametrize("offset", [0, 4, 8])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 7), (), 0, 4096])
def test_a_write_around_an_array_shows_once(shape: Any, dtype: Any, offset: int) -> None:
    array = guarded(shape, dtype, offset)
    assert array.shape == np.empty(shape).shape
    assert array.dtype == dtype
    assert array.ctypes.data % 32 == 16 + offset
    assert array.tobytes() == b"\xff" * array.nbytes
    array[...] = 1
    assert broken_guards() == []
    size = array.nbytes
    for place, beyond in ((99, -1), (0, -100), (100 + size, size), (199 + size, size + 99)):
        around(array, 100, 100)[place] ^= 1
        (found,) = broken_guards()
        assert found.startswith(
            f"wrote bytes {beyond} to {beyond} of the {size} of a {np.dtype(dtype)} array"
        )
        assert broken_guards() == []


@pytest.mark.parametrize("offset", [0, 4, 8])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 7), 1, 4096])
def test_a_fence_is_less_than_16_bytes_away(shape: Any, dtype: Any, offset: int) -> None:
    array = guarded(shape, dtype, offset, fence=True)
    assert array.ctypes.data % 16 == offset
    to_fence = -(array.ctypes.data + array.nbytes) % mmap.PAGESIZE
    assert to_fence < 16
    array[...] = 1
    assert broken_guards() == []
    around(array, 8, 0)[0] ^= 1
    assert len(broken_guards()) == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_beyond_an_array_is_nan_that_differs_from_array_to_array(dtype: Any) -> None:
    size = np.dtype(dtype).itemsize
    arrays = [guarded(3, dtype) for _ in range(2)]
    beyond = [around(array, 16 * size, 16 * size).view(dtype) for array in arrays]
    for values in beyond:
        assert np.isnan(values[:16]).all()
        assert np.isnan(values[19:]).all()
    assert beyond[0][19:].tobytes() != beyond[1][19:].tobytes()


def test_a_copy_is_guarded_as_long_as_it_lives() -> None:
    given = np.arange(12.0).reshape(3, 4).T
    copy = guarded_copy(given)
    np.testing.assert_array_equal(copy, given)
    assert copy.flags.c_contiguous
    assert is_guarded(copy)
    assert is_guarded(copy[1:])
    assert not is_guarded(copy[:, 1:])
    assert not is_guarded(given)
    around(copy, 0, 1)[-1] ^= 1
    del copy
    gc.collect()
    assert broken_guards() == []
