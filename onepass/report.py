"""`python -m onepass`: versions, backends, and a check that all usable backends agree on this machine."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy
import threadpoolctl

from . import __version__, functions, kernels
from .backends import backends, chosen_backend, describe_cpu_backend, leaves, map_leaves, use_backend

# Backends may add up in different orders.
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}


def main() -> int:
    """Print the report; returns 0 if every usable backend agrees with the reference, else 1."""
    print(f"onepass {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"array-api-compat {array_api_compat.__version__}, {os.cpu_count()} logical processors")
    for library in threadpoolctl.threadpool_info():
        if library["user_api"] == "blas":
            print(
                f"BLAS: {library['internal_api']} {library['version']}, "
                f"{library.get('architecture', 'unknown')} instructions, {library['num_threads']} threads"
            )
    if backends()["numba"].usable:
        print("\n".join(describe_cpu_backend()))
    print(f"\nbackends (chosen: {chosen_backend()!r})")
    for backend in backends().values():
        print(f"  {backend}")
    print("\nself-check: largest error, compared with float64 and relative to the largest value")
    failures = [
        f"{backend.name} {dtype}"
        for backend in backends().values()
        if backend.usable
        for dtype in TOLERANCES
        if not _agrees(backend.name, dtype)
    ]
    print(f"failed: {', '.join(failures)}" if failures else "all agree")
    return 1 if failures else 0


def _agrees(backend: str, dtype: str) -> bool:
    """Run a few kernels on one backend and print the largest error; returns whether it is only rounding."""
    errors = {}
    with use_backend(backend):
        for name, function, args in _samples():
            expected = leaves(getattr(kernels, name)(*args))
            got = leaves(function(*map_leaves(lambda leaf: _to_backend(leaf, backend, dtype), args)))
            pairs = zip((_to_numpy(leaf) for leaf in got), expected, strict=True)
            errors[name] = max(float(numpy.max(abs(g - e)) / numpy.max(abs(e))) for g, e in pairs)
    worst = max(errors, key=errors.__getitem__)
    agrees = errors[worst] <= TOLERANCES[dtype]
    print(f"  {backend:6} {dtype}: {errors[worst]:.1e} in {worst}, {'ok' if agrees else 'WRONG'}")
    return agrees


def _samples() -> list[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    random = numpy.random.default_rng(0)
    x, logits = random.standard_normal((64, 20)), random.standard_normal((64, 10))
    labels = random.integers(0, 10, 64)
    params = [
        (random.standard_normal((20, 30)), random.standard_normal(30)),
        (random.standard_normal((30, 10)), random.standard_normal(10)),
    ]
    samples = {
        "softmax": (logits,),
        "sigmoid": (logits,),
        "softmax_cross_entropy_with_grad": (logits, labels),
        "multiclass_hinge_with_grad": (logits, labels),
        "mlp_loss_and_grads": (params, x, labels),
        "sgd_step": (params, params, 0.1),
    }
    return [(name, getattr(functions, name), args) for name, args in samples.items()]


def _to_backend(leaf: Any, backend: str, dtype: str) -> Any:
    if not isinstance(leaf, numpy.ndarray):
        return leaf
    array = leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf
    return sys.modules["cupy"].asarray(array) if backend == "cupy" else array


def _to_numpy(leaf: Any) -> Any:
    return leaf.get() if hasattr(leaf, "get") else leaf
