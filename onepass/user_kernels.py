"""`@kernel`: makes a kernel of a user's function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar, overload

from .dispatch import dispatched_by_user, name_of
from .out import KernelCallable
from .requirements import require_function

P = ParamSpec("P")
R = TypeVar("R")


@overload
def kernel(
    function: Callable[P, R],
    /,
    *,
    donate: str | Iterable[str] = (),
    backward: Callable[..., Any] | None = None,
) -> KernelCallable[P, R]: ...
@overload
def kernel(
    function: None = None,
    /,
    *,
    donate: str | Iterable[str] = (),
    backward: Callable[..., Any] | None = None,
) -> Callable[[Callable[P, R]], KernelCallable[P, R]]: ...
def kernel(
    function: Callable[P, R] | None = None,
    /,
    *,
    donate: str | Iterable[str] = (),
    backward: Callable[..., Any] | None = None,
) -> KernelCallable[P, R] | Callable[[Callable[P, R]], KernelCallable[P, R]]:
    """Make a kernel of a function of arrays, written against the array API or the way NumPy users write.

    Use it as `@kernel`, `@kernel(donate="params")` or `kernel(function, donate=...)`.

    function: takes and returns arrays, numbers, strings and None, and lists, tuples, dicts and dataclasses of
              them. An argument may also be any other object, like `self` or settings: it is compared by
              identity, and its attributes are read in every call. The function may call other kernels, which
              are traced into it. It must not write into its arguments: that is a TypeError. Methods,
              partials and callable objects can be kernels too.
    donate:   names of arguments whose memory the results may take; do not use these arguments after the call.
              A backend may ignore it, and the eager one does.
    backward: the vector-Jacobian product of the function, used instead of the derivative of its operations
              where the kernel is part of a function that is differentiated. It takes the gradient with
              respect to the result, then arguments of the function by name, and the result as `out`. It
              returns one gradient for each positional parameter, with None for no gradient.
              `check_gradients` checks it
    returns:  a function of the same signature, with the attribute `donate`. It also takes `out=`, unless the
              function has a parameter `out` or **kwargs: arrays in the structure of the result, with None to
              allocate. Each needs exactly the shape and dtype of its result; it may be an argument.
    raises:   ValueError if `donate` names something that is not a parameter; TypeError if `backward` needs
              something that is not. A call raises TypeError for an
              argument of another type and for arrays of two libraries, ValueError for arrays on two devices.

    The kernel runs in the library of its arrays, on the backend that `use_backend` and ONEPASS_BACKEND allow.
    Results have the same dtypes as without `kernel`: Python numbers are weak, NumPy scalars and arrays of
    shape () are not. An assignment to an array that the function made, such as `x[mask] = 0` or `x += 1`,
    changes it under all its names and in all its views, as in NumPy.

    What cannot be compiled: results whose shape depends on values (`nonzero`, `unique_values`, `x[mask]` as a
    value), a Python branch on the values of an array, complex numbers, and functions of NumPy that have no
    counterpart in the array API. Sorting, cumulative sums, `linalg` and products of batches of matrices are
    calls of the arrays' library between compiled parts.

    The compiler calls the function once, with symbolic arrays. It traces the function again when anything
    but values in arrays changes: the signature of the call, the outcome of a comparison of numbers, the
    result of `float`, `int` or `range` of a number, or a captured value (a closure, global, default or
    attribute that the function, or a function called by it, reads). Captured arrays are arguments: each call
    reads them again. Some changes cannot be seen: a random generator, a clock or a file that the function
    reads; a large array (over 1 MiB) that NumPy itself computed with and that was changed in place; an
    element of a captured array that Python compares, as in `if weight[0] > 0`, where the array is also
    computed with; an object of a C extension that changes.

    Under "numpy" the function runs as it is written, on read-only views of its arguments. Functions of the
    library that it calls run planned programs. A function that does nothing but call functions of the
    library, as many training steps do, becomes one program after 64 calls of a signature.

    Under "auto" a function that cannot be compiled runs operation by operation, and a RuntimeWarning says
    why. In that call the function is started twice. Under "numba" and "cupy" the same is an error. A function
    that fills an array that it made with `np.zeros` and the like is started twice in any case; during the
    second start, such functions of the module numpy give arrays of the compiler in this thread.
    """
    if function is None:
        return lambda function: kernel(function, donate=donate, backward=backward)
    if isinstance(function, staticmethod):
        function = function.__func__
    signature = require_function("kernel", function)
    names = (donate,) if isinstance(donate, str) else tuple(donate)
    for name in names:
        if name not in signature.parameters:
            raise ValueError(
                f"kernel: donate has {name!r}; expected parameters of {name_of(function)}{signature}."
            )

    return dispatched_by_user(function, names, backward)
