"""Forward and backward kernels for training neural networks, written once against the Python array API."""

from importlib import import_module as _import_module
from typing import Any as _Any

# `x as x` tells type checkers that a name is public.
from .backends import Backend as Backend
from .backends import backends as backends
from .backends import use_backend as use_backend
from .backends import use_precision as use_precision
from .derivatives import grad as grad
from .derivatives import stop_gradient as stop_gradient
from .derivatives import value_and_grad as value_and_grad
from .derivatives import vjp as vjp
from .explaining import explain as explain
from .functions import *
from .gradient_check import GradientCheck as GradientCheck
from .gradient_check import check_gradients as check_gradients
from .gradient_check import numeric_gradient as numeric_gradient
from .user_kernels import kernel as kernel

__version__ = "0.1.0"


def __getattr__(name: str) -> _Any:
    # Few programs are distributed, so the others do not import it.
    if name == "distributed":
        return _import_module(".distributed", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# All classes and functions above, and the module that is imported on first use.
__all__ = sorted(
    ["distributed", *(name for name, value in globals().items() if callable(value) and name[0] != "_")]
)
