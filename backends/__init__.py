"""How kernels are run. Nothing in here knows the name of a kernel."""

from .choice import chosen_backend, require_arrays_of, use_backend
from .registry import Backend, backends

__all__ = ["Backend", "backends", "chosen_backend", "require_arrays_of", "use_backend"]
