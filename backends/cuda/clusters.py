"""How many clusters of blocks a GPU holds at once, which CuPy does not ask of the driver.

The blocks of a cluster lie within one of the parts that a GPU is made of, and those have different numbers of
processors, so that it cannot be computed: an H100 of 132 processors holds 15 clusters of 8 blocks, not 16.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from .launch_shapes import CLUSTERS, MOST_CLUSTER, MOST_THREADS
from .nvrtc import machine_code

_SOURCE = f"""
extern "C" __global__ void __launch_bounds__({MOST_THREADS}) __cluster_dims__({MOST_CLUSTER}, 1, 1)
probe() {{}}
"""
_CLUSTER_DIMENSION = 4  # CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION


class _Attribute(ctypes.Structure):
    """CUlaunchAttribute; its value is a union of 64 bytes."""

    _fields_ = (("id", ctypes.c_int), ("pad", ctypes.c_int), ("value", ctypes.c_uint * 16))


class _Config(ctypes.Structure):
    """CUlaunchConfig"""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("attribute_count", ctypes.c_uint),
    )


def clusters_at_once(cupy: Any, device: Any, capability: int) -> int:
    """Clusters of the most blocks that are resident at once, where every block has a processor for itself.

    device: a `cupy.cuda.Device`, the current one
    """
    if capability < CLUSTERS:
        return 0
    processors = int(device.attributes["MultiProcessorCount"])
    try:
        return max(1, _asked(cupy, int(device.attributes["MaxSharedMemoryPerBlockOptin"]), capability))
    except Exception:  # a driver that is found, loaded or asked in another way: fewer than there may be
        return max(1, processors // (MOST_CLUSTER + 1))


def _asked(cupy: Any, shared: int, capability: int) -> int:
    """The driver's answer for blocks that take all the shared memory that a block may have."""
    driver = cupy.cuda.driver
    module = cupy.cuda.Module()
    module.load(machine_code(cupy, _SOURCE, capability))
    function = module.get_function("probe")
    driver.funcSetAttribute(function.ptr, driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared)
    attribute = _Attribute(id=_CLUSTER_DIMENSION)
    attribute.value[:3] = MOST_CLUSTER, 1, 1
    config = _Config((MOST_CLUSTER, 1, 1), (MOST_THREADS, 1, 1), shared, None, ctypes.pointer(attribute), 1)
    found = ctypes.c_int(0)
    library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    status = library.cuOccupancyMaxActiveClusters(
        ctypes.byref(found), ctypes.c_void_p(function.ptr), ctypes.byref(config)
    )
    if status:
        raise RuntimeError(f"the driver answers {status}")
    return found.value
