"""Derivatives of functions of arrays: `value_and_grad`, `grad`, `vjp` and `stop_gradient`.

What computes them is imported on first use, so that `import onepass` stays fast.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .backends import (
    CannotCompileError,
    PlannedCalls,
    Specializations,
    SymbolicArray,
    current_trace,
    leaves,
    library_of,
    map_leaves,
    stopped,
)
from .compilation import has_traced
from .dispatch import KernelFunction, name_of
from .own_backward import POSITIONAL
from .reasons import raise_if_error
from .requirements import require_function

Argnums = int | Sequence[int]


def value_and_grad(
    function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the value of `function` and its gradient.

    function: takes arrays, numbers, and lists, tuples, dicts and dataclasses of them; returns a real scalar.
              A kernel, or any function that `kernel` takes
    argnums:  the number of the positional argument to differentiate with respect to, or a tuple of numbers;
              the argument holds floating-point arrays and numbers, in any tree
    has_aux:  whether `function` returns a tuple (value, aux) of the scalar and anything else
    returns:  a function of the same arguments, which returns (value, gradient), or ((value, aux), gradient).
              The gradient has the structure, shapes and dtypes of the argument, with None for strings and
              None in it; for a tuple `argnums` it is a tuple of gradients
    raises:   TypeError for `argnums` that are no integers. A call raises TypeError for an argument that is
              not floating-point, or a value that is not; ValueError for a value that is no scalar; and the
              errors of `kernel` for a function that cannot be traced
    source:   reverse-mode automatic differentiation; names and meanings of `jax.value_and_grad`

    With NumPy and CuPy arrays the value and the gradient are one compiled program. With arrays of PyTorch,
    JAX and other array-API libraries the same graph runs operation by operation in their library. Inside a
    kernel the gradient becomes part of the kernel. Derivatives can be nested.

    Where a derivative is a matter of definition:

    - A function of the library has its own backward, as documented: `relu` has the gradient 0 at the kink.
    - Equal elements of `maximum`, `minimum`, `max` and `min` share the gradient equally, as in JAX.
    - `abs`, `hypot` and the square root of a sum of squares (a norm, `std`) have the gradient 0 at 0. The
      gradient of any other square root is infinite there.
    - x ** y has the gradient 0 with respect to x where y is 0, and with respect to y where x is 0.
    - An element that `where` does not choose gets the gradient 0, even if the slope there is infinite or NaN.
      So does an element of `log`, `sqrt` or a power that has no influence on the value.
    - Steps (floor, round, sign, comparisons) have the gradient 0; integers and bools have none.
    - The gradient of a function of symmetric matrices (`cholesky`, `eigh`) is symmetric.
    """
    return _derivative("value_and_grad", function, argnums, has_aux=has_aux)


def grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of `function`.

    function, argnums, has_aux, raises: as for `value_and_grad`
    returns: a function of the same arguments, which returns the gradient, or (gradient, aux)
    source:  reverse-mode automatic differentiation; names and meanings of `jax.grad`
    """
    return _derivative("grad", function, argnums, has_aux=has_aux)


def vjp(function: Callable[..., Any], *args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The result of a call, and its vector-Jacobian product.

    function: as for `value_and_grad`, but it may return any tree of arrays
    args:     its arguments
    returns:  (function(*args), backward). backward(cotangent) takes the derivative of a scalar with respect
              to the result, in the structure and shapes of the result. It returns a tuple: the derivative
              with respect to each argument, in its structure, with None for what is not floating-point
    raises:   as `value_and_grad`; `backward` raises TypeError and ValueError for a cotangent that does not
              fit the result
    source:   names and meanings of `jax.vjp`

    Outside of a kernel, `backward` computes what it needs of the function again: nothing is kept but the
    arguments, which must not be changed until then.
    """
    require_function("vjp", function)
    name = f"vjp({name_of(function)})"
    if current_trace.get() is not None and has_traced(args):
        from .backends import vector_jacobian_product

        return vector_jacobian_product(function, name, args, _parameter_names(function, len(args)))
    forward = (
        function if isinstance(function, KernelFunction) else _known(function, "forward", KernelFunction)
    )
    pull_back = _known(function, "vjp", lambda f: DerivativeKernel(_PullBack(f)))
    return forward(*args), functools.partial(pull_back, args)


def stop_gradient(x: Any) -> Any:
    """The same values, whose gradient is taken to be 0.

    x:       an array, or a tree of arrays and other values
    returns: the same tree. In PyTorch the arrays are detached; in JAX it is `jax.lax.stop_gradient`; NumPy's
             and CuPy's arrays are returned as they are
    source:  names and meanings of `jax.lax.stop_gradient`
    """
    return map_leaves(_stopped, x)


def _stopped(leaf: Any) -> Any:
    if type(leaf) is SymbolicArray:
        return stopped(leaf)
    library = library_of(leaf)
    if library == "torch":
        return leaf.detach()
    if library == "jax":
        import jax

        return jax.lax.stop_gradient(leaf)
    return leaf


class DerivativeKernel(KernelFunction):
    """A kernel that computes a derivative. It has to be traced on every backend, also to run eagerly."""

    def __init__(self, function: _Derivative | _PullBack) -> None:
        super().__init__(function)
        parameters = self._signature.parameters.values()
        self._positional = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__name__}>"

    def _eager_run(self, library: str, *, any_half: bool) -> Callable[..., Any]:
        return _Interpreted(self.__name__, self.__wrapped__, library, self._retraces)

    def _planned(
        self, eager_run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> PlannedCalls:
        return PlannedCalls(self.__wrapped__, self.__name__, frozenset(), self._retraces, eager_run, first=0)

    def parts(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.__wrapped__,)


class _Interpreted:
    """Runs calls of one signature operation by operation, in the library of their arrays."""

    def __init__(
        self, name: str, function: Callable[..., Any], library: str, retraces: dict[str, int]
    ) -> None:
        self._name = name

        def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            from .backends import InterpretedProgram

            return InterpretedProgram(function, name, args, kwargs, library)

        self._programs = Specializations(make, retraces)

    def __call__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        refused: Any = None
        try:
            return self._programs.run(args, kwargs, leaves((args, kwargs)))
        except CannotCompileError as error:
            refused = error.__cause__
        raise_if_error(self._name, refused, "numpy")
        raise AssertionError("unreachable")


class _Function:
    """A function that is made of a user's function; it is called in a trace only."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.__wrapped__ = function
        self.__name__ = name
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self.__module__ = getattr(function, "__module__", None) or type(function).__module__
        self.__doc__ = getattr(function, "__doc__", None)


class _Derivative(_Function):
    """The gradients of a function, with its value or alone.

    kind: "value_and_grad" or "grad"
    """

    def __init__(
        self, kind: str, function: Callable[..., Any], argnums: int | tuple[int, ...], *, has_aux: bool
    ) -> None:
        super().__init__(function, f"{kind}({name_of(function)})")
        self.kind, self.argnums, self.has_aux = kind, argnums, has_aux

    def __reduce__(self) -> Any:
        return _again, (self.kind, self.__wrapped__, self.argnums, self.has_aux)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from .backends import value_and_gradients

        wanted = (self.argnums,) if isinstance(self.argnums, int) else self.argnums
        numbers = [self._position(number, len(args)) for number in wanted]
        if len(set(numbers)) < len(numbers):
            raise ValueError(
                f"{self.__name__}: argnums={self.argnums} has an argument twice; expected each once."
            )
        names = _parameter_names(self.__wrapped__, len(args))
        found = value_and_gradients(
            self.__wrapped__, self.__name__, args, kwargs, numbers, names, has_aux=self.has_aux
        )
        grads = found.grads[0] if isinstance(self.argnums, int) else found.grads
        if self.kind == "grad":
            return (grads, found.aux) if self.has_aux else grads
        return ((found.value, found.aux) if self.has_aux else found.value), grads

    def _position(self, number: int, count: int) -> int:
        if -count <= number < count:
            return number % count
        raise TypeError(
            f"{self.__name__}: argnums has {number}, and the call has {count} positional arguments. Pass the "
            "arguments to differentiate with respect to by position."
        )


def _again(
    kind: str, function: Callable[..., Any], argnums: int | tuple[int, ...], has_aux: bool
) -> _Derivative:
    """A derivative that was pickled."""
    return _Derivative(kind, function, argnums, has_aux=has_aux)


class _PullBack(_Function):
    """The vector-Jacobian product of a function, which is computed again for that."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function, f"vjp({name_of(function)})")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in ("args", "cotangent")])

    def __reduce__(self) -> Any:
        return type(self), (self.__wrapped__,)

    def __call__(self, args: tuple[Any, ...], cotangent: Any) -> Any:
        from .backends import vector_jacobian_product

        names = _parameter_names(self.__wrapped__, len(args))
        return vector_jacobian_product(self.__wrapped__, self.__name__, args, names)[1](cotangent)


def _derivative(
    kind: str, function: Callable[..., Any], argnums: Argnums, *, has_aux: bool
) -> Callable[..., Any]:
    require_function(kind, function)
    numbers = _numbers(kind, argnums)

    def make(function: Callable[..., Any]) -> DerivativeKernel:
        return DerivativeKernel(_Derivative(kind, function, numbers, has_aux=bool(has_aux)))

    made: DerivativeKernel = _known(function, (kind, numbers, bool(has_aux)), make)
    return made


def _numbers(kind: str, argnums: Any) -> int | tuple[int, ...]:
    try:
        if not isinstance(argnums, tuple | list):
            return operator.index(argnums)
        found = tuple(map(operator.index, argnums))
    except TypeError:
        raise TypeError(f"{kind}: got argnums={argnums!r}; expected an integer or a tuple of them.") from None
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{kind}: got argnums={argnums!r}; expected different numbers of arguments.")
    return found


_ATTRIBUTE = "__onepass_derivatives__"


class _Made(dict[Any, Any]):
    """What was made of a function; it does not travel to other processes with the function.

    owner: the function. `functools.wraps` gives the attributes of a function to another one
    """

    def __init__(self, owner: Any = None) -> None:
        self.owner = weakref.ref(owner) if owner is not None else lambda: None

    def __reduce__(self) -> Any:
        return type(self), ()


def _known(function: Callable[..., Any], key: Any, make: Callable[[Any], Any]) -> Any:
    """What `make` makes of a function, once: a function that is differentiated in a loop is traced once.

    It is kept with the function, so that it lives as long. Methods and other objects are made anew.
    """
    if not isinstance(function, types.FunctionType | KernelFunction):
        return make(function)
    made: Any = vars(function).get(_ATTRIBUTE)
    if made is None or made.owner() is not function:
        made = _Made(function)
        setattr(function, _ATTRIBUTE, made)
    if key not in made:
        made[key] = make(function)
    return made[key]


def _parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the first arguments."""
    parameters = inspect.signature(function).parameters.values()
    named = [p.name for p in parameters if p.kind in POSITIONAL]
    others = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    return [*named, *(f"{others}[{i}]" for i in range(count - len(named)))][:count]
