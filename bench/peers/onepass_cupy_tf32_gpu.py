"""As onepass_cupy, with products in TF32."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .. import tf32
from ..workloads import Data, Workload
from . import onepass_cupy

TITLE = onepass_cupy.TITLE + tf32.SUFFIX
COPIES_OF_LOGITS = 0.0  # in host memory, which is the one that is checked

version = onepass_cupy.version
missing = onepass_cupy.missing
wait = onepass_cupy.wait
device = onepass_cupy.device
time_calls = onepass_cupy.time_calls
memory = onepass_cupy.memory
tolerance = tf32.tolerance

# Set after the import of onepass_cupy, and before CuPy reads it at its first product.
os.environ["CUPY_TF32"] = "1"


def prepare(workload: Workload, data: Data) -> Callable[[], Any]:
    tf32.require(workload)
    return onepass_cupy.prepare(workload, data)
