"""How a public function runs: check, find the library of its arrays, choose the backend, call.

One class does it for the functions of the library and for `@kernel`. They differ in what they require: a
function of the library checks its arguments and takes scalars as weak numbers, a user's takes what it gets.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import numpy

from .arguments import arrays_in, bind
from .backends import chosen_backend, eager, require_arrays_of
from .backends.codegen.coalesce import TooManyDimensionsError
from .backends.common.caller_warnings import warn
from .backends.common.libraries import device_to_enter, entered, is_current
from .backends.common.trees import leaves
from .backends.registry import NotUsableError
from .backends.signatures import form_of_call
from .backends.specializations import CannotCompileError
from .backends.trace.symbolic import current
from .checks import Check
from .compilation import COMPILING, compiled_for, has_traced, require_compilable
from .destinations import Function, filled, taken, takes_out
from .protection import run_protected
from .reasons import reason, to_raise
from .references import reduced, reference_to
from .scalars import (
    as_option,
    has_scalars_beside_arrays,
    is_strong_scalar,
    options_of,
    scalars_beside_arrays,
    scalars_of,
    weak,
)

P = ParamSpec("P")
R = TypeVar("R")

# A program that calls with ever new shapes must not fill the memory.
MOST_PLANS = 1024


class Plan(NamedTuple):
    """What was found out about calls of one form.

    compiling: the choices of a backend under which arrays of this library are compiled for
    normalise: whether arguments came as NumPy scalars, or by name and not by position
    compiled:  of (args, kwargs, leaves, out), where a backend can compile this form
    refused:   whether it turned out that it cannot be compiled
    device:    of the arrays, where it has to be the current one for a call
    """

    library: str
    compiling: tuple[str, ...]
    run: Callable[..., Any]
    normalise: bool
    compiled: Callable[..., Any] | None
    refused: bool = False
    device: int | None = None


class KernelFunction:
    """A kernel as it is called.

    It is a value like a function: it can be pickled and copied, and is a method where a class has it. What
    was compiled stays in the process.
    """

    donate: tuple[str, ...]

    def __init__(self, function: Callable[..., Any], donate: tuple[str, ...] = ()) -> None:
        self.__wrapped__ = function
        self.__name__ = name_of(function)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self.__module__ = getattr(function, "__module__", None) or type(function).__module__
        self.__doc__ = getattr(function, "__doc__", None)
        self.donate = donate
        self._signature = inspect.signature(function)
        self._takes_out = takes_out(self._signature)
        self._plans: dict[Hashable, Plan] = {}
        self._retraced: dict[str, int] = {}
        self._warned: set[str] = set()
        self._check: Check | None = None
        self._check_values: Check | None = None
        self._scalars: frozenset[str] = frozenset()
        self._options: frozenset[str] = frozenset()
        self._positional: frozenset[str] = frozenset()
        self._halves: Callable[..., Any] = eager.run
        self.reference = reference_to(self)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        out = None
        if kwargs and "out" in kwargs and self._takes_out:
            out = taken(self.__name__, kwargs)
        if current.get() is not None and has_traced((args, kwargs)):
            return self.inside(args, kwargs)
        values: list[Any] = []
        form = form_of_call(args, kwargs, values)
        if kwargs and self._options:
            form = form, self._option_values(kwargs)
        plan = self._plans.get(form) or self._remember(form, values, self._make_plan(args, kwargs))
        if plan.normalise:
            args, kwargs = self.normalised(args, kwargs)
            values = []
            # Numbers on a GPU are normal already, and must not find the plan that asks for this.
            form = "normal", form_of_call(args, kwargs, values), self._option_values(kwargs)
            plan = self._plans.get(form) or self._remember(
                form, values, self._make_plan(args, kwargs, are_normal=True)
            )
        if plan.device is not None and not is_current(plan.device):
            with entered(plan.device):
                return self(*args, **kwargs, **({} if out is None else {"out": out}))
        if self._check_values is not None:
            self._check_values(self.__name__, *args, **kwargs)
        return self._run(form, plan, args, kwargs, values, out)

    def _run(
        self,
        form: Hashable,
        plan: Plan,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        values: list[Any],
        out: Any,
    ) -> Any:
        """A call of a form that has a plan, by the backend in force."""
        backend = chosen_backend()
        refused: Exception | None = None
        if backend in plan.compiling and not (plan.refused and backend == "auto"):
            if plan.compiled is None:
                require_compilable(backend, self.__name__, args, kwargs)
            else:
                try:
                    return plan.compiled(args, kwargs, values, out)
                except CannotCompileError as error:
                    refused = cast(Exception, error.__cause__)
                except NotUsableError as error:
                    refused = error
        if refused is not None:
            # Outside of `except`, so that what the function raises has no context of ours.
            to_raise(self.__name__, refused, backend)
            # "auto" is the best backend that can do it.
            self._plans[form] = plan._replace(refused=True)
        require_arrays_of(backend, plan.library, self.__name__)
        result = plan.run(self.__wrapped__, args, kwargs)
        if refused is not None and not isinstance(refused, TooManyDimensionsError | NotUsableError):
            self._warn(refused)
        return result if out is None else filled(self.__name__, plan.library, result, out)

    def _warn(self, refused: Exception) -> None:
        """Say once why a call is not compiled."""
        why = reason(self.__name__, refused)
        if why not in self._warned:
            self._warned.add(why)
            warn(f"{why} It runs operation by operation.")

    def inside(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call as part of another kernel's trace."""
        if self._check is not None:
            args, kwargs = self.normalised(args, kwargs)
            self._check(self.__name__, *args, **kwargs)
            if self._check_values is not None:
                self._check_values(self.__name__, *args, **kwargs)
        return self.__wrapped__(*args, **kwargs)

    def normalised(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments in their places, and scalars as Python numbers; a user's beside arrays as arrays."""
        if self._check is None:
            beside: tuple[tuple[Any, ...], dict[str, Any]] = scalars_beside_arrays((args, kwargs))
            return beside
        bound = bind(self.__name__, self._signature, args, kwargs)
        for parameter in self._scalars & bound.arguments.keys():
            bound.arguments[parameter] = weak(bound.arguments[parameter])
        for parameter in self._options & bound.arguments.keys():
            bound.arguments[parameter] = as_option(bound.arguments[parameter])
        return bound.args, bound.kwargs

    def _option_values(self, kwargs: dict[str, Any]) -> Hashable:
        """An axis, or an ignored label: it is the value that counts."""
        return tuple([str(value) for name, value in kwargs.items() if name in self._options])

    def _make_plan(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, are_normal: bool = False) -> Plan:
        if not are_normal and self._needs_normal(args, kwargs):
            return Plan("", (), eager.run, True, None)
        bind(self.__name__, self._signature, args, kwargs)
        if self._check is not None:
            self._check(self.__name__, *args, **kwargs)
        is_users = self._check is None
        library, first, any_half = arrays_in(self.__name__, self._signature, args, kwargs, objects=is_users)
        # Numbers that are on a GPU can be made weak only where they are traced.
        there = library == "cupy" and not is_users and self._has_strong_scalars(args, kwargs)
        compiled = compiled_for(
            library,
            self if there else self.__wrapped__,
            self.__name__,
            args,
            kwargs,
            donate=self.donate,
            options=self._options,
            retraced=self._retraced,
        )
        run = self._halves if any_half else eager.run
        if is_users and library == "numpy":
            run = functools.partial(run_protected, self.__name__)
        compiling = COMPILING.get(library, ())
        return Plan(library, compiling, run, False, compiled, device=device_to_enter(first))

    def _needs_normal(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether calls like this one have other arguments made of theirs."""
        if self._check is None:
            return has_scalars_beside_arrays((args, kwargs))
        return self._has_strong_scalars(args, kwargs) or not self._positional.isdisjoint(kwargs)

    def _has_strong_scalars(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether NumPy scalars or arrays of shape () were given for scalars."""
        given = bind(self.__name__, self._signature, args, kwargs).arguments
        scalars = [given.get(name) for name in self._scalars | self._options]
        return any(map(is_strong_scalar, leaves(scalars)))

    def _remember(self, form: Hashable, values: list[Any], plan: Plan) -> Plan:
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        self._plans[form] = plan
        for leaf in values:
            if isinstance(leaf, types.FunctionType) or is_forgettable(leaf):
                _forget_with(leaf, self, form)
        return plan

    def forget(self, form: Hashable) -> None:
        """Drop what was found out about a form that cannot come again."""
        self._plans.pop(form, None)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__qualname__}>"

    def __reduce__(self) -> Any:
        return reduced(self)

    def __copy__(self) -> KernelFunction:
        return self

    def __deepcopy__(self, _: Any) -> KernelFunction:
        return self


def name_of(function: Any) -> str:
    """The name of a function, of a partial's function, or of the class of a callable object."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__


def is_forgettable(leaf: Any) -> bool:
    """Whether a leaf is an object that forms hold by identity."""
    return not isinstance(leaf, numpy.ndarray | int | float | str | None) and hasattr(leaf, "__dict__")


def _forget_with(leaf: Any, kernel: KernelFunction, form: Hashable) -> None:
    """When an object dies, what was compiled for it goes."""
    of_kernel = weakref.ref(kernel)

    def forget() -> None:
        alive = of_kernel()
        if alive is not None:
            alive.forget(form)

    try:
        weakref.finalize(leaf, forget).atexit = False
    except TypeError:
        return


def dispatched(
    kernel: Callable[P, R],
    check: Check,
    check_values: Check | None = None,
    *,
    halves: Callable[..., Any] = eager.run_halves_wide,
) -> Function[P, R]:
    """The public form of a kernel of the library.

    check:        raises for calls of a wrong form; runs once a form
    check_values: raises for wrong numbers in the arrays; runs at every call
    halves:       how arrays of half precision are computed with, operation by operation
    """
    made = KernelFunction(kernel)
    made.__module__ = "onepass"
    made._check, made._check_values, made._halves = check, check_values, halves
    made._scalars, made._options = scalars_of(kernel), options_of(kernel)
    parameters = made._signature.parameters.values()
    made._positional = frozenset(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
    return cast(Function[P, R], made)


def dispatched_by_user(function: Callable[P, R], donate: tuple[str, ...] = ()) -> Function[P, R]:
    """A function of the user's, run on the backend that its arrays ask for."""
    return cast(Function[P, R], KernelFunction(function, donate))
