"""Data of the estimators on a GPU: X as an array of CuPy, and all that is computed from it beside it.

Labels, targets and weights are made on the host, as with NumPy, and copied to the device of X once.
"""

from __future__ import annotations

import contextlib
import sys
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from ..backends import device_context, device_to_enter, library_of

__all__ = ["beside", "device", "host", "is_on_gpu", "labels_beside", "require_dense", "take", "validated"]


def is_on_gpu(array: Any) -> bool:
    """Whether this is an array of CuPy."""
    return library_of(array) == "cupy"


def host(value: Any) -> Any:
    """An array of CuPy as one of NumPy; anything else as it is."""
    return value.get() if is_on_gpu(value) else value


def beside(x: Any, array: Any) -> Any:
    """An array, or None, in the library of `x`; on its device, which is current."""
    return _cupy().asarray(array) if is_on_gpu(x) and array is not None else array


def device(x: Any) -> AbstractContextManager[Any]:
    """A context in which the device of `x` is current, if it has one."""
    return device_context(device_to_enter(x)) if is_on_gpu(x) else contextlib.nullcontext()  # type: ignore[arg-type]


def labels_beside(x: Any, labels: Any) -> Any:
    """Labels beside `x` if they are numbers; strings stay on the host."""
    return beside(x, labels) if labels.dtype.kind in "biuf" else labels


def take(array: Any, rows: Any, out: Any) -> None:
    """out = array[rows], without a copy between."""
    if is_on_gpu(array):
        array.take(_cupy().asarray(rows), axis=0, out=out)
    else:
        # With mode="raise", `take` would make a copy before it writes into `out`.
        np.take(array, rows, axis=0, out=out, mode="clip")


def validated(estimator: Any, x: Any, dtypes: Any, *, reset: bool) -> Any:
    """An array of CuPy as `sklearn.utils.validation.validate_data` gives one of NumPy.

    x:      (N, D) real
    dtypes: one, or a tuple of those that are kept; others become the first of them
    reset:  whether the estimator takes its number of features from `x`
    raises: ValueError unless all that holds, N and D are at least 1, and all numbers are finite
    """
    name = type(estimator).__name__
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "bifu":
        raise ValueError(
            f"{name}: X has shape {x.shape} and dtype {x.dtype}; expected (N, D) real, with at least one row "
            "and one column."
        )
    kept = dtypes if isinstance(dtypes, tuple) else (dtypes,)
    x = x if x.dtype in kept else x.astype(kept[0])
    if not bool(_cupy().isfinite(x).all()):
        raise ValueError(f"{name}: X contains NaN or infinity; expected finite numbers.")
    return validate_data(estimator, x, reset=reset, skip_check_array=True)


def require_dense(name: str, x: Any) -> None:
    """Raise TypeError for a sparse matrix of CuPy; scikit-learn refuses those of SciPy."""
    if type(x).__module__.startswith("cupyx."):
        raise TypeError(
            f"{name}: X is a sparse {type(x).__name__} of CuPy; expected a dense array. Use X.toarray()."
        )


def _cupy() -> Any:
    return sys.modules["cupy"]  # whose array there is
