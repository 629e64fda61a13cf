"""Gradients checked against finite differences, in float64 and away from kinks."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import array_api_compat
import numpy

from .backends import device_of, is_real_array, leaves, library_of, map_leaves, named_leaves, notebook
from .derivatives import vjp
from .requirements import describe, require_option, require_real

Method: TypeAlias = Literal["central", "forward"]

# The steps that balance truncation and rounding errors of a difference: eps^(1/3) and eps^(1/2).
STEPS: dict[str, float] = {"central": 6e-6, "forward": 1.5e-8}
EPSILON = 2.0**-52
# A bound of the rounding error of a function's value, in units of EPSILON times its magnitude.
ROUNDINGS = 100


class ArgumentCheck(NamedTuple):
    """The result of `check_gradients` for one array."""

    name: str
    error: float  # the largest relative error |analytic - numeric| / max(|analytic|, |numeric|)
    tested: int  # number of entries, or of random directions for a large array
    kinks: int  # number of entries or directions that were skipped because of a kink


@dataclass(frozen=True)
class GradientCheck:
    """The result of `check_gradients`; `print` and notebooks show it.

    arguments: for each array its `name`, the relative `error`, the number of differences that were `tested`,
               and the number of entries at `kinks`, which were skipped
    rtol:      the largest relative error that passes
    passed:    whether no error is larger
    """

    arguments: tuple[ArgumentCheck, ...]
    rtol: float

    @property
    def passed(self) -> bool:
        return all(argument.error <= self.rtol for argument in self.arguments)

    def __str__(self) -> str:
        width = max(len(argument.name) for argument in self.arguments)
        rows = [
            f"{argument.name:{width}}  relative error {argument.error:.1e} over {argument.tested} differences"
            + (f", {argument.kinks} more at a kink" if argument.kinks else "")
            for argument in self.arguments
        ]
        return "\n".join([*rows, self._verdict])

    @property
    def _verdict(self) -> str:
        return f"{'passed' if self.passed else 'failed'} at rtol {self.rtol:g}"

    def _repr_html_(self) -> str:
        head = ["argument", "result", "relative error", "differences", "more at a kink"]
        rows = [
            [
                notebook.code(argument.name),
                "passed" if argument.error <= self.rtol else notebook.strong("failed"),
                f"{argument.error:.1e}",
                argument.tested,
                argument.kinks,
            ]
            for argument in self.arguments
        ]
        return notebook.page(
            notebook.paragraph("gradients: ", notebook.strong(self._verdict)),
            notebook.table(head, rows, numbers=[2, 3, 4]),
        )


def numeric_gradient(
    f: Callable[[Any], Any], x: Any, *, method: Method = "central", step: float | None = None
) -> Any:
    """The gradient of a scalar function by finite differences, one element of `x` after the other.

    df/dx = (f(x + h) - f(x - h)) / 2h + O(h^2)     "central"
    df/dx = (f(x + h) - f(x)) / h + O(h)            "forward"

    f:       takes an array like `x` in float64, returns a scalar
    x:       real array, any shape
    method:  "central" or "forward"
    step:    h, or None for 6e-6 (central) or 1.5e-8 (forward) times max(1, |x_i|)
    returns: numpy float64 array of the shape of `x`
    raises:  TypeError if `x` is not a real array, ValueError for an unknown method
    source:  E6930, Lecture 1, "Numerical Gradient"
    """
    require_option("numeric_gradient", "method", method, tuple(STEPS))
    require_real("numeric_gradient", "x", x)
    x = _as_float64(x)
    slopes = []
    for size, direction in _entries(x):
        h = step or STEPS[method] * size
        high = float(f(_asarray(x + h * direction)))
        low = float(f(x if method == "forward" else _asarray(x - h * direction)))
        slopes.append((high - low) / (h if method == "forward" else 2 * h))
    return numpy.asarray(slopes).reshape(tuple(x.shape))


def check_gradients(
    f: Callable[..., Any],
    f_backward: Callable[..., Any] | None = None,
    args: Sequence[Any] = (),
    *,
    kwargs: dict[str, Any] | None = None,
    method: Method = "central",
    step: float | None = None,
    rtol: float = 1e-5,
    max_entries: int = 1000,
    directions: int = 20,
    seed: int = 0,
    raises: bool = True,
) -> GradientCheck:
    """Check the vector-Jacobian product of `f` against finite differences of `f`, in float64.

    f:           returns a real array, or a tree of them; for example `op.relu`
    f_backward:  None for the derivative that `vjp` gives, which uses the backward of a kernel that has one.
                 Else f_backward(grad_out, ...) returns the gradients of the first arguments of `f`, one or
                 several. It gets those arguments of `f` that it has parameters for, by name, and the result
                 of `f` for a parameter called `out`. If it has other required parameters, it gets `args` by
                 position
    args:        the arguments of `f`: arrays, or lists, tuples and dicts of them; cast to float64
    kwargs:      keyword arguments for both functions
    method:      "central" or "forward" differences
    step:        h, or None for 6e-6 (central) or 1.5e-8 (forward) times max(1, |x_i|)
    rtol:        the largest relative error that passes, in addition to the rounding error of a difference
    max_entries: a larger array is tested along `directions` random directions instead of entry by entry
    seed:        for these directions, and for the random weights that reduce the result of `f` to one number
    raises:      whether a failure raises an AssertionError; if not, see `passed` of the result
    returns:     GradientCheck: for each array the relative error, the number of differences that were tested,
                 and the number of entries that were skipped because they lie on a kink of `f` (ReLU, hinge,
                 |x|)
    raises:      AssertionError if a gradient is wrong; TypeError and ValueError for what cannot be tested

    At a kink the slopes to the left and to the right differ for every step. If a kink is near an entry, a
    smaller step is used.

    source: E6930, Lecture 1, "Numerical Gradient"
    """
    require_option("check_gradients", "method", method, tuple(STEPS))
    options = kwargs or {}
    if not args:
        raise ValueError("check_gradients: got no args; expected the arguments of f, as args=(x, ...).")
    names = [
        path for name, arg in zip(_names(f, args), args, strict=True) for path, _ in named_leaves(arg, name)
    ]
    args = map_leaves(_float64_if_real, tuple(args))
    points = list(leaves(args))
    out = f(*args, **options)
    random = numpy.random.default_rng(seed)
    grad_out = map_leaves(lambda leaf: _random_like(leaf, random), out)
    differentiable = [index for index, point in enumerate(points) if is_real_array(point)]
    if f_backward is None:
        derived = leaves(vjp(functools.partial(f, **options) if options else f, *args)[1](grad_out))
        grads = [derived[index] for index in differentiable]
    else:
        grads = _call_backward(f_backward, grad_out, out, f, args, options)
    differences = _Differences(method, step, rtol)

    def value(index: int, point: Any) -> tuple[float, float]:
        """sum(grad_out * f) with one argument changed, and the sum of the magnitudes of its terms."""
        changed = iter([*points[:index], _asarray(point), *points[index + 1 :]])
        result = f(*map_leaves(lambda _: next(changed), args), **options)
        products = [v * o for v, o in zip(leaves(grad_out), leaves(result), strict=True)]
        return sum(map(_sum, products)), sum(_sum(abs(product)) for product in products)

    checked = []
    for index, grad in zip(differentiable, (g for g in leaves(grads) if g is not None), strict=False):
        name, point = names[index], points[index]
        grad = _in_shape(name, grad, point)
        small = _size(point) <= max_entries
        probes = _entries(point) if small else _random_directions(point, directions, random)
        checked.append(differences.check(name, functools.partial(value, index), point, grad, probes))
    if not checked:
        raise ValueError("check_gradients: got no real array with a gradient; expected at least one in args.")
    result = GradientCheck(tuple(checked), rtol)
    if raises and not result.passed:
        raise AssertionError(
            f"check_gradients: the gradients do not agree with {method} differences.\n{result}"
        )
    return result


@dataclass(frozen=True)
class _Differences:
    """Finite differences of a function of an array, compared with a gradient."""

    method: Method
    step: float | None
    rtol: float

    def check(
        self,
        name: str,
        value: Callable[[Any], tuple[float, float]],
        point: Any,
        grad: Any,
        probes: Iterator[tuple[float, Any]],
    ) -> ArgumentCheck:
        """Compare the gradient of `value` at `point`, along each direction of `probes`."""
        errors = [
            self._relative_error(
                lambda t, d=direction: value(point + t * d),  # type: ignore[misc]
                _sum(grad * direction),
                self.step or STEPS[self.method] * size,
            )
            for size, direction in probes
        ]
        measured = [error for error in errors if error is not None]
        return ArgumentCheck(name, max(measured, default=0.0), len(measured), len(errors) - len(measured))

    def _relative_error(
        self, value: Callable[[float], tuple[float, float]], analytic: float, h: float
    ) -> float | None:
        """The relative error of `analytic`, the slope of `value` at 0; None if the slope jumps there."""
        middle, magnitude = value(0.0)
        if not numpy.isfinite(middle):
            raise ValueError(f"check_gradients: the function is {middle} at args; expected a finite result.")
        if not numpy.isfinite(analytic):
            return float("inf")
        error = previous_jump = None
        for _ in range(5):
            right, left = (value(h)[0] - middle) / h, (middle - value(-h)[0]) / h
            numeric = right if self.method == "forward" else (right + left) / 2
            largest, jump = max(abs(right), abs(left)), abs(right - left)
            rounding = ROUNDINGS * EPSILON * magnitude / h
            is_smooth = jump <= self.rtol * largest + rounding
            # With a tenth of the step, a jump due to curvature shrinks to a tenth; one due to a kink stays.
            if is_smooth or (previous_jump and 0.05 <= jump / previous_jump <= 0.2):
                scale = max(abs(analytic), abs(numeric), rounding / self.rtol)
                error = abs(analytic - numeric) / scale if scale else 0.0
                if is_smooth or error <= self.rtol:
                    return error
            previous_jump, h = jump, h / 10
        return error


def _in_shape(name: str, grad: Any, point: Any) -> Any:
    """The gradient in the shape of its argument: a bias may be (1, K) and its gradient (K,)."""
    without_ones = [tuple(size for size in array.shape if size != 1) for array in (grad, point)]
    if without_ones[0] != without_ones[1]:
        raise ValueError(
            f"check_gradients: the gradient for {name} has shape {tuple(grad.shape)}; "
            f"expected {tuple(point.shape)}, the shape of {name}."
        )
    return array_api_compat.array_namespace(grad).reshape(grad, tuple(point.shape))


def _call_backward(
    f_backward: Callable[..., Any],
    grad_out: Any,
    out: Any,
    f: Callable[..., Any],
    args: Sequence[Any],
    options: dict[str, Any],
) -> Any:
    """Call f_backward with the arguments that its parameters name, else with all arguments by position."""
    available = {**dict(zip(_names(f, args), args, strict=True)), **options, "out": out}
    parameters = [
        parameter
        for parameter in list(inspect.signature(f_backward).parameters.values())[1:]
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    if required and all(name in available for name in required):
        return f_backward(grad_out, **{p.name: available[p.name] for p in parameters if p.name in available})
    return f_backward(grad_out, *args, **options)


def _names(f: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    """The names of the parameters that `args` fill."""
    parameters = inspect.signature(f).parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [*positional, *(f"args[{i}]" for i in range(len(positional), len(args)))][: len(args)]


def _entries(point: Any) -> Iterator[tuple[float, Any]]:
    """For each entry of `point`: the scale of its step, max(1, |x_i|), and its direction."""
    for entry in range(_size(point)):
        direction = numpy.zeros(_size(point))
        direction[entry] = 1.0
        along = _like(point, direction.reshape(tuple(point.shape)))
        yield max(1.0, abs(_sum(point * along))), along


def _random_directions(point: Any, count: int, random: numpy.random.Generator) -> Iterator[tuple[float, Any]]:
    """Random directions of length 1, as `_entries` gives them."""
    for _ in range(count):
        direction = random.standard_normal(tuple(point.shape))
        yield 1.0, _like(point, direction / numpy.linalg.norm(direction))


def _random_like(leaf: Any, random: numpy.random.Generator) -> Any:
    """Random weights for a result; 1 for a scalar."""
    if not is_real_array(leaf):
        raise TypeError(f"check_gradients: f returned {describe(leaf)}; expected real arrays.")
    return 1.0 if tuple(leaf.shape) == () else _like(leaf, random.standard_normal(tuple(leaf.shape)))


def _like(array: Any, values: Any) -> Any:
    """NumPy `values` as an array of the library and device of `array`."""
    return array_api_compat.array_namespace(array).asarray(values, device=device_of(array))


def _asarray(value: Any) -> Any:
    """An array: NumPy's arithmetic on arrays of shape () returns scalars."""
    return array_api_compat.array_namespace(value).asarray(value)


def _as_float64(array: Any) -> Any:
    xp = array_api_compat.array_namespace(array)
    wide = xp.astype(array, xp.float64)
    if wide.dtype != xp.float64:
        raise ValueError(
            f"finite differences: got {library_of(array)} arrays without float64; expected a library with "
            "float64. For JAX set jax_enable_x64."
        )
    return wide


def _float64_if_real(leaf: Any) -> Any:
    return _as_float64(leaf) if is_real_array(leaf) else leaf


def _size(array: Any) -> int:
    return math.prod(array.shape)


def _sum(array: Any) -> float:
    return float(array_api_compat.array_namespace(array).sum(array))
