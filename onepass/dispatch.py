"""How a function of the face runs: check, find the library of its arrays, choose the backend, call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import array_api_compat
import numpy

from .backends import chosen_backend, eager, require_arrays_of
from .backends.forms import form_of_call
from .backends.libraries import (
    device_of,
    device_to_enter,
    entered,
    is_current,
    is_half,
    library_of,
    on_two_devices,
)
from .backends.merge import TooManyDimensionsError
from .backends.registry import NotUsableError
from .backends.trace import tracing
from .backends.trees import leaves, map_leaves, named_leaves
from .checks import Check
from .compilation import COMPILING, compiled_for, has_traced, require_compilable
from .destinations import Function, filled, taken, takes_out
from .requirements import describe

P = ParamSpec("P")
R = TypeVar("R")

# A program that calls with ever new shapes must not fill the memory.
MOST_PLANS = 1024


class Plan(NamedTuple):
    """What was found out about calls of one form."""

    library: str
    compiling: tuple[str, ...]  # choices of a backend under which arrays of this library are compiled for
    run: Callable[..., Any]
    normalise: bool  # whether arguments came as NumPy scalars, or by name and not by position
    # Of (args, kwargs, leaves, out), where a backend can compile this form.
    compiled: Callable[..., Any] | None
    device: int | None  # of the arrays, where it has to be the current one for a call


def dispatched(kernel: Callable[P, R], check: Check, check_values: Check | None = None) -> Function[P, R]:
    """The public form of a kernel of the library.

    check:        raises for calls of a wrong form; runs once a form
    check_values: raises for wrong numbers in the arrays; runs at every call
    """
    name = kernel.__name__
    signature = inspect.signature(kernel)
    scalars = {
        parameter.name
        for parameter in signature.parameters.values()
        if "Scalar" in str(parameter.annotation) or "int" in str(parameter.annotation)
    }
    may_have_out = takes_out(signature)
    positional = {p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD}
    plans: dict[Hashable, Plan] = {}

    def normalised(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments in their places, and Python numbers for NumPy scalars, which would promote float32."""
        bound = bind(name, signature, args, kwargs)
        for parameter in scalars & bound.arguments.keys():
            bound.arguments[parameter] = map_leaves(_plain, bound.arguments[parameter])
        return bound.args, bound.kwargs

    def make_plan(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        normal_args, normal_kwargs = normalised(args, kwargs)
        check(name, *normal_args, **normal_kwargs)
        library, first, any_half = _arrays_in(name, signature, normal_args, normal_kwargs)
        run = eager.run_halves_wide if any_half else eager.run
        normalise = _any_numpy_scalar(args, kwargs) or not positional.isdisjoint(kwargs)
        # In the order in which this form's calls will pass them.
        the_args, the_kwargs = (normal_args, normal_kwargs) if normalise else (args, kwargs)
        compiled = compiled_for(library, kernel, name, the_args, the_kwargs, options=True)
        return Plan(library, COMPILING.get(library, ()), run, normalise, compiled, device_to_enter(first))

    @functools.wraps(kernel)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        out = taken(name, kwargs) if kwargs and may_have_out and "out" in kwargs else None
        if tracing() and has_traced((args, kwargs)):
            the_args, the_kwargs = normalised(args, kwargs)
            check(name, *the_args, **the_kwargs)
            if check_values is not None:
                check_values(name, *the_args, **the_kwargs)
            return kernel(*the_args, **the_kwargs)
        values: list[Any] = []
        form = form_of_call(args, kwargs, values)
        if kwargs:
            # An integer given by name is an option, an axis or an ignored label: it is the value that counts.
            form = form, tuple(value for value in kwargs.values() if type(value) is int)
        plan = plans.get(form) or _remember(plans, form, make_plan(args, kwargs))
        if plan.device is not None and not is_current(plan.device):
            with entered(plan.device):
                return call(*args, **kwargs, **_with_out(out))
        the_args, the_kwargs = normalised(args, kwargs) if plan.normalise else (args, kwargs)
        if check_values is not None:
            check_values(name, *the_args, **the_kwargs)
        values = leaves((the_args, the_kwargs)) if plan.normalise else values
        result: R = _run(kernel, name, plans, form, plan, the_args, the_kwargs, values, out)
        return result

    call.__module__ = "onepass"
    return cast(Function[P, R], call)


def dispatched_by_user(function: Callable[P, R], donate: tuple[str, ...] = ()) -> Function[P, R]:
    """A function of the user's, run on the backend that its arrays ask for."""
    name = function.__name__
    signature = inspect.signature(function)
    may_have_out = takes_out(signature)
    plans: dict[Hashable, Plan] = {}

    def make_plan(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        bind(name, signature, args, kwargs)
        # Among scalars only, NumPy's are the arrays.
        normalise = _any_numpy_scalar(args, kwargs) and _first_array((args, kwargs)) is not None
        normal_args, normal_kwargs = args, kwargs
        if normalise:
            normal_args, normal_kwargs = _scalars_beside_arrays((args, kwargs))
        library, first, _ = _arrays_in(name, signature, normal_args, normal_kwargs)
        compiled = compiled_for(library, function, name, normal_args, normal_kwargs, donate=donate)
        return Plan(
            library, COMPILING.get(library, ()), eager.run, normalise, compiled, device_to_enter(first)
        )

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        out = taken(name, kwargs) if kwargs and may_have_out and "out" in kwargs else None
        if tracing() and has_traced((args, kwargs)):
            return function(*args, **kwargs)
        values: list[Any] = []
        form = form_of_call(args, kwargs, values)
        plan = plans.get(form) or _remember(plans, form, make_plan(args, kwargs))
        if plan.device is not None and not is_current(plan.device):
            with entered(plan.device):
                return call(*args, **kwargs, **_with_out(out))
        the_args, the_kwargs = (args, kwargs)
        if plan.normalise:
            the_args, the_kwargs = _scalars_beside_arrays((args, kwargs))
            values = leaves((the_args, the_kwargs))
        result: R = _run(function, name, plans, form, plan, the_args, the_kwargs, values, out)
        return result

    return cast(Function[P, R], call)


def _run(
    function: Callable[..., Any],
    name: str,
    plans: dict[Hashable, Plan],
    form: Hashable,
    plan: Plan,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    values: list[Any],
    out: Any,
) -> Any:
    """A call of a form that has a plan, by the backend in force.

    values: the leaves of the arguments
    out:    a tree of arrays that take the results, or None
    """
    backend = chosen_backend()
    if backend in plan.compiling:
        if plan.compiled is None:
            require_compilable(backend, name, args, kwargs)
        else:
            try:
                return plan.compiled(args, kwargs, values, out)
            except (TooManyDimensionsError, NotUsableError):
                if backend != "auto":
                    raise
                # "auto" is the best backend that can do it.
                plans[form] = plan._replace(compiled=None)
    require_arrays_of(backend, plan.library, name)
    result = plan.run(function, args, kwargs)
    return result if out is None else filled(name, plan.library, result, out)


def _with_out(out: Any) -> dict[str, Any]:
    """`out` as it was given by name."""
    return {} if out is None else {"out": out}


def _remember(plans: dict[Hashable, Plan], form: Hashable, plan: Plan) -> Plan:
    if len(plans) >= MOST_PLANS:
        plans.clear()
    plans[form] = plan
    return plan


def bind(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    """The arguments by parameter; a TypeError that shows the signature where they do not fit it."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; expected {name}{_bare(signature)}.") from None


def _bare(signature: inspect.Signature) -> str:
    """The signature without annotations."""
    parameters = [
        parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def _any_numpy_scalar(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return any(isinstance(leaf, numpy.generic) for leaf in leaves((args, kwargs)))


def _plain(leaf: Any) -> Any:
    if isinstance(leaf, numpy.longdouble):  # which .item() leaves as it is
        return float(leaf)
    return leaf.item() if isinstance(leaf, numpy.generic) else leaf


def plain_unless_float32(leaf: Any) -> Any:
    """In a user's kernel a NumPy scalar may also be meant as an array of shape (), with a dtype that counts.

    float64 is a Python float by birth, and integers and bools have no dtype that anyone would want.
    """
    return _plain(leaf) if isinstance(leaf, numpy.float64 | numpy.integer | numpy.bool_) else leaf


def _first_array(tree: Any) -> Any:
    """The first array of a tree that is no NumPy scalar; None where there is none."""
    arrays = (x for x in leaves(tree) if library_of(x) is not None and not isinstance(x, numpy.generic))
    return next(arrays, None)


def _scalars_beside_arrays(tree: Any) -> Any:
    """The tree with its NumPy scalars as what they are in a user's kernel, beside arrays of any library.

    One whose dtype counts is an array of shape () of that library: `cupy.float32` is NumPy's type, and no
    other library computes with it in compiled code.
    """
    plain, array = map_leaves(plain_unless_float32, tree), _first_array(tree)
    if library_of(array) == "numpy":
        return plain
    namespace, device = array_api_compat.array_namespace(array), device_of(array)

    def beside(leaf: Any) -> Any:
        if not isinstance(leaf, numpy.generic):
            return leaf
        number, dtype = _plain(leaf), getattr(namespace, leaf.dtype.name, None)
        return number if dtype is None else namespace.asarray(number, dtype=dtype, device=device)

    return map_leaves(beside, plain)


def _arrays_in(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, Any, bool]:
    """The one library of all the arrays, on one device, the first, and whether any is of half precision."""
    library: str | None = None
    first: Any = None
    any_half = False
    for leaf in leaves((args, kwargs)):
        found = library_of(leaf)
        if found is None:
            if leaf is not None and not isinstance(leaf, int | float | str | complex):
                raise _not_an_argument(name, signature, args, kwargs)
            continue
        if library is None:
            library, first = found, leaf
        elif found != library or on_two_devices(leaf, first):
            raise _not_together(name, signature, args, kwargs)
        elif found != "numpy" and device_of(first) is None:
            first = leaf
        any_half = any_half or is_half(leaf)
    return library or "numpy", first, any_half


def _named_arguments(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[tuple[str, Any]]:
    bound = signature.bind(*args, **kwargs)
    return [pair for name, value in bound.arguments.items() for pair in named_leaves(value, name)]


def _not_an_argument(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TypeError:
    path, leaf = next(
        (path, leaf)
        for path, leaf in _named_arguments(signature, args, kwargs)
        if library_of(leaf) is None and not isinstance(leaf, int | float | str | complex | None)
    )
    how = " Bring it in with cupy.asarray." if hasattr(leaf, "__cuda_array_interface__") else ""
    return TypeError(
        f"{name}: {path} is {describe(leaf)}; expected an array, a number, or a list, tuple or dict of them."
        + how
    )


def _not_together(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TypeError | ValueError:
    arrays = [pair for pair in _named_arguments(signature, args, kwargs) if library_of(pair[1]) is not None]
    first_path, first = arrays[0]
    for path, array in arrays:
        if library_of(array) != library_of(first):
            return TypeError(
                f"{name}: {first_path} is {describe(first)} and {path} is {describe(array)}; expected arrays "
                "of one library. Convert one of them, for example with from_dlpack."
            )
        if on_two_devices(array, first):
            break
        if device_of(first) is None:
            first_path, first = path, array
    return ValueError(
        f"{name}: {first_path} is on {device_of(first)} and {path} on {device_of(array)}; expected arrays on "
        "one device. Move one of them first."
    )
