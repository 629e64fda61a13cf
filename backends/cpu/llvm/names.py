"""What the names in an emitted text mean: dtypes, functions of values, constants of Python's `math`.

A text uses these without importing them.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from math import inf, nan
from typing import Any

from ...ir.dtypes import BOOL, DTYPES, FLOAT64, INT32, INT64, UINT64
from . import operations, vector_math
from .operations import c_function, of_c_library, pointer_to, stack_of

# Of the C library: the names of Python's module `math`.
_OF_ONE = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
_OF_TWO = ("atan2", "hypot")

_FUNCTIONS = (
    *("maximum", "minimum", "nearest", "ceil", "floor", "trunc", "fabs", "sqrt", "copysign", "select"),
    *("plus", "times", "greatest", "least", "offset", "address_of", "call"),
    *("atomic_load", "atomic_store", "atomic_add", "exchanged", "pause"),
)

_WINDOWS = sys.platform == "win32"

NAMES: Mapping[str, Any] = {
    **{dtype.name: dtype for dtype in DTYPES if dtype is not BOOL},
    "bool_": BOOL,
    **{name: getattr(operations, name) for name in _FUNCTIONS},
    **{name: getattr(vector_math, name) for name in vector_math.VECTOR_MATH.values()},
    **{f"{dtype}_at": pointer_to(dtype) for dtype in DTYPES},
    **{f"stack_of_{dtype}": stack_of(dtype) for dtype in DTYPES},
    "math": types.SimpleNamespace(
        **{name: of_c_library(name, 1) for name in _OF_ONE},
        **{name: of_c_library(name, 2) for name in _OF_TWO},
    ),
    "PyErr_Occurred": c_function("PyErr_Occurred", INT64),
    "PyEval_SaveThread": c_function("PyEval_SaveThread", INT64),
    "PyEval_RestoreThread": c_function("PyEval_RestoreThread", None, INT64),
    "PyFloat_AsDouble": c_function("PyFloat_AsDouble", FLOAT64, INT64),
    "PyLong_AsLongLong": c_function("PyLong_AsLongLong", INT64, INT64),
    "PyLong_FromLongLong": c_function("PyLong_FromLongLong", INT64, INT64),
    "PyLong_FromUnsignedLongLong": c_function("PyLong_FromUnsignedLongLong", INT64, UINT64),
    "PyTuple_New": c_function("PyTuple_New", INT64, INT64),
    "PyTuple_SetItem": c_function("PyTuple_SetItem", INT32, INT64, INT64, INT64),
    "sched_yield": c_function("SwitchToThread" if _WINDOWS else "sched_yield", INT32),
    # For so many milliseconds on Windows, and microseconds elsewhere.
    "sleep": c_function("Sleep", None, INT32) if _WINDOWS else c_function("usleep", INT32, INT32),
    "min": operations.smaller,
    "max": operations.larger,
    "abs": operations.absolute,
    "inf": inf,
    "nan": nan,
}
