"""`python -m onepass`: what this machine has, and whether every usable backend computes the same here."""

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
from .backends import backends, chosen_backend, use_backend
from .backends.common.trees import leaves, map_leaves

# Backends may order their sums as they like.
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}


def main() -> int:
    """Print the report; 0 where every usable backend agrees with the reference, else 1."""
    print(f"onepass {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"array-api-compat {array_api_compat.__version__}, {os.cpu_count()} logical processors")
    for library in threadpoolctl.threadpool_info():
        if library["user_api"] == "blas":
            print(
                f"BLAS: {library['internal_api']} {library['version']}, "
                f"{library.get('architecture', 'unknown')} instructions, {library['num_threads']} threads"
            )
    if backends()["numba"].usable:
        _describe_compiler()
    print(f"\nbackends ({chosen_backend()!r} in force)")
    for backend in backends().values():
        print(f"  {backend}")
    print("\nself-check: largest error against float64, relative to the largest value")
    failures = [
        f"{backend.name} {dtype}"
        for backend in backends().values()
        if backend.usable
        for dtype in TOLERANCES
        if not _agrees(backend.name, dtype)
    ]
    print(f"failed: {', '.join(failures)}" if failures else "all agree")
    return 1 if failures else 0


def _describe_compiler() -> None:
    """What compiled kernels run on; importing Numba for it."""
    try:
        from .backends.common.cache_folder import folder
        from .backends.cpu.runtime import blas, threads
    except Exception as error:  # an installation of Numba that does not import raises what it likes
        print(f"compiled kernels: {error}")
        return
    print(f"compiled kernels: products by {blas.load()}; up to {threads.share_count()} threads")
    print(f"compiled kernels are kept in {folder()}")


def _agrees(backend: str, dtype: str) -> bool:
    """Run a few kernels on one backend, print the worst error, and tell whether it is rounding."""
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
