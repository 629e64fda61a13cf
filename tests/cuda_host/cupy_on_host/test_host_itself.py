"""CuPy on the host is CuPy: what is its own, what is noticed, and what needs a driver."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from host_cuda import HostCudaError, check_guards
from onepass.backends.cuda import cupy_device
from onepass.backends.cuda.device import Launch

FILL = """
extern "C" __global__ void __launch_bounds__(64) fill(float* out, long long n) {
    const long long i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = 1.0f;
}
"""


def filled(cupy: Any, array: Any, count: int) -> None:
    device = cupy_device.current_device()
    kernel = device.load(FILL, ["fill"])["fill"]
    device.launch(kernel, Launch(1, 64), [array.data.ptr, count])


def test_arrays_are_cupys_own(cupy: Any) -> None:
    array = cupy.empty((3, 4), "float32")
    assert type(array) is cupy.ndarray
    assert type(array.device).__hash__ is None
    assert array.data.ptr % 256 == 0
    assert np.isnan(array.get()).all()  # what nobody writes is noticed
    view = array[::-1, 1:]
    view[...] = cupy.arange(9, dtype="float32").reshape(3, 3)
    np.testing.assert_array_equal(array.get()[:, 1:], np.arange(9.0).reshape(3, 3)[::-1])
    assert np.isnan(array[:, 0].get()).all()
    array += 1
    np.testing.assert_array_equal((2 * array[0, 1:]).get(), [14, 16, 18])
    assert int(array[1:, 1:].argmax()) == 2
    np.testing.assert_array_equal(array[cupy.asarray([2, 0]), 3].get(), [3, 9])
    with pytest.raises(TypeError, match="Unsupported type"):
        array + np.ones((3, 4), np.float32)
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array"):
        np.asarray(array)


def test_what_is_not_replaced_asks_for_the_driver(cupy: Any) -> None:
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="cudaError"):
        cupy.cuda.runtime.deviceSynchronize()


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_a_write_beyond_an_array_is_noticed(dtype: str, cupy: Any) -> None:
    array = cupy.empty(5, dtype)
    room = array.nbytes // 4
    filled(cupy, array, room)
    check_guards()
    with pytest.raises(HostCudaError, match="kernel fill: wrote bytes"):
        filled(cupy, array, room + 1)


def test_a_graph_is_done_when_it_is_launched(cupy: Any) -> None:
    array, ones = cupy.zeros(4, "float32"), cupy.ones((2, 2), "float32")
    made = cupy.zeros((2, 2), "float32")

    def run() -> None:
        filled(cupy, array, 3)
        made[...] = ones

    launch = cupy_device.current_device().graph(run)
    assert launch is not None
    np.testing.assert_array_equal(array.get(), [0, 0, 0, 0])
    np.testing.assert_array_equal(made.get(), np.zeros((2, 2)))
    launch()
    np.testing.assert_array_equal(array.get(), [1, 1, 1, 0])
    np.testing.assert_array_equal(made.get(), np.ones((2, 2)))
    # A recording that would allocate is none.
    assert cupy_device.current_device().graph(lambda: [filled(cupy, cupy.empty(3), 3)]) is None
