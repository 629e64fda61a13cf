"""A description of the machine and the libraries of a run."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy

import onepass

from . import memory
from .floors import processors
from .pools import thread_pools

# Lines of a GPU table, in addition to the name of the device.
ON_A_GPU = {
    "clock": "device events; cross-entropy and heads one call at a time, each after a write of 512 MiB; "
    "training steps one after the other. JAX has no events: host time minus the time of the writes",
    "graphs": "training steps of PyTorch, and torch.compile's cross-entropy, are one CUDA graph each; "
    "onepass and JAX decide themselves what they record",
    "products": 'float32 products in float32 in all libraries (PyTorch and JAX call it "highest"); in TF32 '
    "in the columns called TF32, selected by the option of each library",
}


def describe() -> dict[str, str]:
    """Lines of the table, by title."""
    blas = [
        f"{library['internal_api']} {library['version']}, "
        f"{library.get('architecture', 'unknown')} instructions, {library['num_threads']} threads"
        for library in thread_pools()
        if library["user_api"] == "blas"
    ]
    free = memory.available()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {processors()} logical processors, as many threads for every peer",
        "memory": f"{free / 2**30:.0f} GiB available" if free is not None else "not known",
        "NumPy's BLAS": "; ".join(blas) or "unknown to threadpoolctl",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "versions": f"onepass {onepass.__version__}, Python {platform.python_version()}, "
        f"NumPy {numpy.__version__}",
    }


def _processor() -> str:
    """The model and its widest vector instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(reversed([(line.split("\t")[0], line.partition(": ")[2]) for line in lines if line]))
    flags = fields.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "avx", "sse2") if name in flags), "")
    model = fields.get("model name", platform.machine())
    family = f" family {fields['cpu family']} model {fields['model']}" if "cpu family" in fields else ""
    return f"{model}{family}" + (f" with {widest}" if widest else "")
