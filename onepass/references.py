"""Pickling of kernels: by name if the kernel can be imported, else by its function.

Plain pickle finds `module.step` by its name. cloudpickle sends objects of `__main__` by value, but only
functions and classes. So a kernel with a name is pickled as a call of a function, its `reference`, whose name
is `step.reference`: found by name it returns the existing kernel, sent by value it makes a new one.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dispatch import KernelFunction

_kernels: weakref.WeakKeyDictionary[Callable[[], Any], Any] = weakref.WeakKeyDictionary()


def make_reference(kernel: KernelFunction) -> Callable[[], Any]:
    """A function that returns the kernel."""
    make, parts = kernel.parts()

    def reference() -> Any:
        return kernel_of(reference, make, parts)

    reference.__module__, reference.__qualname__ = kernel.__module__, f"{kernel.__qualname__}.reference"
    _kernels[reference] = weakref.ref(kernel)
    return reference


def kernel_of(reference: Callable[[], Any], make: Callable[..., Any], parts: tuple[Any, ...]) -> Any:
    """The kernel of a reference; a new one in a process that got the reference by value."""
    known = _kernels.get(reference)
    kernel = None if known is None else known()
    if kernel is None:
        kernel = make(*parts)
        _kernels[reference] = weakref.ref(kernel)
    return kernel


def reduce_kernel(kernel: KernelFunction) -> Any:
    """What `__reduce__` of a kernel returns: a global name, or a function and its arguments."""
    found: Any = sys.modules.get(kernel.__module__)
    for part in kernel.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is kernel:
        return kernel.__qualname__ if kernel.__module__ == "onepass" else (kernel.reference, ())
    return kernel.parts()
