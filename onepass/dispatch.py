"""How a public function runs: check the arguments, choose the backend by their library, call it.

One class does this for the functions of the library and for `@kernel`. They differ in what they require: a
function of the library checks its arguments and takes scalars as weak numbers; a user's kernel does neither.

What was found out for the first call of a signature is kept as a `Route`, so that later calls of it only
look up the route, check values, and run.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar, cast

from .arguments import arrays_in, bind
from .backends import (
    COMPILING_CHOICES,
    CannotCompileError,
    NotUsableError,
    Planned,
    PlannedCalls,
    PlannedKernel,
    chosen_backend,
    current_trace,
    device_context,
    device_to_enter,
    is_current_device,
    is_differentiating,
    leaves,
    require_arrays_of,
    run_eagerly,
    run_in_float32,
    signature_of_call,
    warn,
)
from .checks import Check
from .compilation import can_be_planned, compiled_for, has_traced, leaves_of, require_compilable
from .option_ranges import ValueCheck, no_values_to_check
from .out import KernelCallable, copy_to_out, pop_out, takes_out
from .own_backward import OwnBackward, call_inside, users_backward
from .protection import run_protected
from .reasons import raise_if_error, reason
from .references import make_reference, reduce_kernel
from .routes import Route, Routes
from .scalars import (
    as_option,
    has_scalars_beside_arrays,
    is_strong_scalar,
    options_of,
    scalars_beside_arrays,
    scalars_of,
    weak,
)

# A reason may name shapes, so there may be ever new ones.
MAX_WARNED = 256

P = ParamSpec("P")
R = TypeVar("R")


class KernelFunction:
    """A callable kernel.

    It behaves like a function: it can be pickled and copied, and as an attribute of a class it is a method.
    Compiled programs are neither pickled nor copied.
    """

    donate: tuple[str, ...]

    def __init__(
        self,
        function: Callable[..., Any],
        donate: tuple[str, ...] = (),
        backward: OwnBackward | None = None,
    ) -> None:
        self.__wrapped__ = function
        self.__name__ = name_of(function)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self.__module__ = getattr(function, "__module__", None) or type(function).__module__
        self.__doc__ = getattr(function, "__doc__", None)
        self.donate = donate
        self.backward = backward
        self.also_traced = () if backward is None else (backward.function,)
        self._signature = inspect.signature(function)
        self._takes_out = takes_out(self._signature)
        self._routes = Routes()
        self._retraces: dict[str, int] = {}
        self._warned: set[str] = set()  # reasons
        self._check: Check | None = None
        self._check_values: ValueCheck = no_values_to_check
        self._scalars: frozenset[str] = frozenset()
        self._options: frozenset[str] = frozenset()
        self._positional: tuple[str, ...] = ()
        self._run_halves: Callable[..., Any] = run_eagerly
        self.reference = make_reference(self)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        out = None
        if kwargs:
            if "out" in kwargs and self._takes_out:
                out = pop_out(self.__name__, kwargs)
            args = self._by_position(args, kwargs)
        if self._is_inside(args, kwargs):
            return self.inside(args, kwargs)
        values: list[Any] = []
        key = signature_of_call(args, kwargs, values)
        if kwargs and self._options:
            key = self._with_options(key, kwargs)
        route = self._routes.get(key)
        if route is None:
            route = self._routes.keep(key, values, self._make_route(args, kwargs))
        else:
            route.used = True
        if route.normalise:
            args, kwargs = self.normalised(args, kwargs)
            values = []
            route = self._normal_route(args, kwargs, values)
        if route.device is not None and not is_current_device(route.device):
            with device_context(route.device):
                return self(*args, **kwargs, **({} if out is None else {"out": out}))
        if route.check_values:
            route.check_values = not self._check_values(self.__name__, *args, **kwargs)
        backend, refused, why = chosen_backend(), None, ""
        if backend == "numpy" and out is None and route.planned is not None:
            return route.planned.run(args, kwargs, values)
        if backend in route.compiling and route.compiled is not None:
            try:
                if out is None:
                    return route.compiled.run(args, kwargs, values)
                return route.compiled.run_into(out, args, kwargs, values)
            except CannotCompileError as error:
                refused = cast(Exception, error.__cause__)
            except NotUsableError as error:
                refused = error
        # Outside of `except`, so that errors of the user's function do not show ours as their context.
        if refused is not None:
            # Its traceback has this frame: together they would keep the arguments alive.
            why, refused = self._refuse(backend, route, refused), None
        return self._run_eagerly(backend, route, args, kwargs, values, out, why)

    def _is_inside(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether a call is part of another kernel's trace."""
        # What a user's function closes over may be symbolic, even if no argument is.
        return current_trace.get() is not None and (self._check is None or has_traced((args, kwargs)))

    def _by_position(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The positional arguments, and those that follow them by keyword, which are taken out of `kwargs`.

        So a call of a library function by keyword has the signature of the call by position. A user's kernel
        is traced for each of the two.
        """
        for name in self._positional[len(args) :]:
            if name not in kwargs:
                break
            args = *args, kwargs.pop(name)
        return args

    def _normal_route(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: list[Any]) -> Route:
        """The route of a call whose arguments are normalised.

        values: the leaves of the call are appended to it
        """
        # Scalars on a GPU do not change when normalised: "normal" keeps them from finding the same route.
        key = self._with_options(("normal", signature_of_call(args, kwargs, values)), kwargs)
        route = self._routes.get(key)
        if route is None:
            return self._routes.keep(key, values, self._make_route(args, kwargs, are_normal=True))
        route.used = True
        return route

    def _refuse(self, backend: str, route: Route, refused: Exception) -> str:
        """Run calls of a signature operation by operation from now on, if the choice is "auto".

        refused: why the call cannot be compiled
        returns: the same in words; empty if that needs no warning
        raises:  if a backend that compiles was chosen by name
        """
        raise_if_error(self.__name__, refused, backend)
        route.compiling = tuple(choice for choice in route.compiling if choice != "auto")
        is_expected = isinstance(refused, NotUsableError)
        return "" if is_expected else reason(self.__name__, refused)

    def _run_eagerly(
        self,
        backend: str,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        values: list[Any],
        out: Any,
        why: str,
    ) -> Any:
        """Run a call in the library of its arrays.

        values: the leaves of (args, kwargs)
        why:    a reason to warn of, if the call runs without an error
        raises: if `backend` was chosen by name, and takes no such arrays
        """
        if route.compiled is None and backend in COMPILING_CHOICES.get(route.library, ()):
            require_compilable(backend, self.__name__, args, kwargs)
        require_arrays_of(backend, route.library, self.__name__)
        if route.planned is not None:
            result = route.planned.run(args, kwargs, values)
        else:
            result = route.run(self.__wrapped__, args, kwargs)
        if why and why not in self._warned:
            if len(self._warned) >= MAX_WARNED:
                self._warned.clear()
            self._warned.add(why)
            warn(f"{why} It runs operation by operation.")
        return result if out is None else copy_to_out(self.__name__, route.library, result, out)

    def inside(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the call as part of another kernel's trace."""
        if self._check is not None:
            args, kwargs = self.normalised(args, kwargs)
            self._check(self.__name__, *args, **kwargs)
            self._check_values(self.__name__, *args, **kwargs)
        if self.backward is not None and is_differentiating():
            signature = self._signature
            return call_inside(self.__name__, self.__wrapped__, signature, self.backward, args, kwargs)
        if not has_traced((args, kwargs)):
            return run_eagerly(self.__wrapped__, args, kwargs)  # without NumPy's warnings, as elsewhere
        return self.__wrapped__(*args, **kwargs)

    def normalised(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments by position, with weak scalars as Python numbers.

        For a user's kernel, see `scalars_beside_arrays`.
        """
        if self._check is None:
            normal: tuple[tuple[Any, ...], dict[str, Any]] = scalars_beside_arrays((args, kwargs))
            return normal
        bound = bind(self.__name__, self._signature, args, kwargs)
        for parameter in self._scalars & bound.arguments.keys():
            bound.arguments[parameter] = weak(bound.arguments[parameter])
        for parameter in self._options & bound.arguments.keys():
            bound.arguments[parameter] = as_option(bound.arguments[parameter])
        return bound.args, bound.kwargs

    def _with_options(self, key: Hashable, kwargs: dict[str, Any]) -> Hashable:
        """A signature extended by the values of integer options, like an axis or an ignored label."""
        for name in self._options:
            if name in kwargs:
                key = key, name, str(kwargs[name])
        return key

    def _make_route(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, are_normal: bool = False
    ) -> Route:
        if not are_normal and self._needs_normal(args, kwargs):
            return Route("", run_eagerly, normalise=True)
        bind(self.__name__, self._signature, args, kwargs)
        if self._check is not None:
            self._check(self.__name__, *args, **kwargs)
        is_users = self._check is None
        library, first, any_half = arrays_in(self.__name__, self._signature, args, kwargs, objects=is_users)
        # Scalars on a GPU can be made weak only in the trace: trace this object, which normalises them.
        is_traced_whole = library == "cupy" and not is_users and self._has_strong_scalars(args, kwargs)
        compiled = compiled_for(
            library,
            self if is_traced_whole else self.__wrapped__,
            self.__name__,
            args,
            kwargs,
            donate=self.donate,
            options=self._options,
            retraces=self._retraces,
        )
        eager_run = self._eager_run(library, any_half=any_half)
        return Route(
            library,
            eager_run,
            compiled,
            COMPILING_CHOICES.get(library, ()) if compiled is not None else (),
            self._planned(eager_run, args, kwargs) if can_be_planned(library, args, kwargs) else None,
            check_values=True,
            device=device_to_enter(first),
        )

    def _planned(
        self, eager_run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Planned:
        """What runs calls of this signature with NumPy."""
        if self._check is None:
            return PlannedKernel(self.__wrapped__, self.__name__, eager_run)
        static = frozenset(leaves_of(self.__wrapped__, args, kwargs, tuple(self._options)))
        return PlannedCalls(self.__wrapped__, self.__name__, static, self._retraces, eager_run)

    def _eager_run(self, library: str, *, any_half: bool) -> Callable[..., Any]:
        """What runs calls operation by operation: takes the function, args and kwargs."""
        if self._check is None and library == "numpy":
            return functools.partial(run_protected, self.__name__)
        return self._run_halves if any_half else run_eagerly

    def _needs_normal(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the arguments have to be normalised."""
        if self._check is None:
            return has_scalars_beside_arrays((args, kwargs))
        return self._has_strong_scalars(args, kwargs)

    def _has_strong_scalars(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether scalar parameters got NumPy scalars or arrays of shape ()."""
        arguments = bind(self.__name__, self._signature, args, kwargs).arguments
        scalars = [arguments.get(name) for name in self._scalars | self._options]
        return any(map(is_strong_scalar, leaves(scalars)))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__qualname__}>"

    def parts(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """A function, and the arguments with which it makes this kernel again."""
        own = None if self.backward is None else self.backward.function
        return dispatched_by_user, (self.__wrapped__, self.donate, own)

    def __reduce__(self) -> Any:
        return reduce_kernel(self)

    def __copy__(self) -> KernelFunction:
        return self

    def __deepcopy__(self, _: Any) -> KernelFunction:
        return self


def name_of(function: Any) -> str:
    """The name of a function, of the function of a partial, or of the class of a callable object."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__


def dispatched(
    kernel: Callable[P, R],
    check: Check,
    check_values: ValueCheck = no_values_to_check,
    *,
    run_halves: Callable[..., Any] = run_in_float32,
    backward: OwnBackward | None = None,
) -> KernelCallable[P, R]:
    """A kernel of the library, as the public API has it.

    check:        raises for wrong types, shapes, dtypes and options; runs once for each signature
    check_values: raises for wrong values in arrays and scalars; runs in every call, unless it returns that
                  later calls of the same signature pass it too
    run_halves:   runs calls with arrays of half precision operation by operation
    backward:     the derivative where the kernel is part of a function that is differentiated
    """
    public = KernelFunction(kernel, backward=backward)
    public.__module__ = "onepass"
    public._check, public._check_values, public._run_halves = check, check_values, run_halves
    public._scalars, public._options = scalars_of(kernel), options_of(kernel)
    parameters = public._signature.parameters.values()
    public._positional = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
    return cast(KernelCallable[P, R], public)


def dispatched_by_user(
    function: Callable[P, R], donate: tuple[str, ...] = (), backward: Callable[..., Any] | None = None
) -> KernelCallable[P, R]:
    """A kernel of a user's function."""
    own = users_backward(name_of(function), inspect.signature(function), backward)
    return cast(KernelCallable[P, R], KernelFunction(function, donate, own))
