"""How kernels are pickled: by their name where they can be imported, else by the function that they are of.

Plain pickle finds `module.step` by its name. cloudpickle sends what lies in `__main__` by value, but only
functions and classes. So a kernel that has a name is pickled as a call of a function, its `reference`, whose
name is `step.reference`: found by name it gives the kernel that is there, sent by value it makes a new one.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dispatch import KernelFunction

_kernels: weakref.WeakKeyDictionary[Callable[[], Any], Any] = weakref.WeakKeyDictionary()


def reference_to(kernel: KernelFunction) -> Callable[[], Any]:
    """A function that gives the kernel."""
    function, donate = kernel.__wrapped__, kernel.donate

    def reference() -> Any:
        return recalled(reference, function, donate)

    reference.__module__, reference.__qualname__ = kernel.__module__, f"{kernel.__qualname__}.reference"
    _kernels[reference] = weakref.ref(kernel)
    return reference


def recalled(reference: Callable[[], Any], function: Callable[..., Any], donate: tuple[str, ...]) -> Any:
    """The kernel of a reference; a new one in a process that the reference was sent to by value."""
    known = _kernels.get(reference)
    kernel = None if known is None else known()
    if kernel is None:
        kernel = made(function, donate)
        _kernels[reference] = weakref.ref(kernel)
    return kernel


def made(function: Callable[..., Any], donate: tuple[str, ...]) -> Any:
    """The kernel of a function."""
    from .dispatch import dispatched_by_user

    return dispatched_by_user(function, donate)


def reduced(kernel: KernelFunction) -> Any:
    """What pickle makes of a kernel."""
    if kernel.__module__ == "onepass":
        return kernel.__name__
    found: Any = sys.modules.get(kernel.__module__)
    for part in kernel.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is kernel:
        return kernel.reference, ()
    return made, (kernel.__wrapped__, kernel.donate)
