"""What a table was measured on."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy

import onepass

from . import memory
from .floors import processors
from .pools import thread_pools

# What the lines of a table on a GPU say beside the name of the device.
ON_A_GPU = {
    "clock": "the device's events; cross-entropy and heads a call at a time, each after a write of 512 MiB; "
    "training steps one after the other. JAX has no events: the host's clock, without what the writes take",
    "graphs": "training steps of PyTorch, and torch.compile's cross-entropy, are one CUDA graph each; "
    "onepass and JAX record what they record by themselves",
    "products": 'of float32 in float32 for everybody (PyTorch and JAX call it "highest"), and in TF32 in the '
    "columns called TF32, each by its library's own switch",
}


def describe() -> dict[str, str]:
    """Lines for the table, by what they describe."""
    blas = [
        f"{library['internal_api']} {library['version']}, "
        f"{library.get('architecture', 'unknown')} instructions, {library['num_threads']} threads"
        for library in thread_pools()
        if library["user_api"] == "blas"
    ]
    free = memory.available()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {processors()} logical processors, every peer with as many threads",
        "memory": f"{free / 2**30:.0f} GiB available" if free is not None else "not known",
        "NumPy's BLAS": "; ".join(blas) or "unknown to threadpoolctl",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "versions": f"onepass {onepass.__version__}, Python {platform.python_version()}, "
        f"NumPy {numpy.__version__}",
    }


def _processor() -> str:
    """The model, and the widest vector instructions, which decide most of what is measured."""
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
