"""The libraries whose arrays kernels take: how NumPy arrays get there and back."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from array_trees import read_only
from onepass.backends.common.trees import leaves, map_leaves


class Library(NamedTuple):
    """How to bring NumPy arrays into a library and back."""

    enter: Callable[[], AbstractContextManager[Any]]
    asarray: Callable[[np.ndarray], Any]
    to_numpy: Callable[[Any], np.ndarray]
    call: Callable[..., Any] = lambda function, *args, **kwargs: function(*args, **kwargs)


def array_api_strict(device: str) -> Library:
    """The strictest flags, on one of its devices; an array made on another one is an error there."""
    strict = importlib.import_module("array_api_strict")

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
    library = importlib.import_module("torch")
    return Library(nullcontext, library.asarray, lambda tensor: tensor.numpy())


def jax(*, jit: bool) -> Library:
    """With 64-bit numbers; under `jit`, arrays are traced and everything else is a constant."""
    library = importlib.import_module("jax")

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


def convert(tree: Any, library: Library, dtype: str) -> Any:
    """The arrays of a case in a library; floating ones in `dtype`."""

    def leaf_of(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return library.asarray(leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf)

    return map_leaves(leaf_of, tree)
