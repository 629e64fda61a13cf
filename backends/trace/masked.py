"""Computations with `x[mask]`: they go over all of x, and use the results where the mask is true.

    x[mask] *= 0.5             multiplies all of x, and puts the products where the mask is true
    x[mask].sum()              is the sum of x where the mask is true

The number of elements depends on values, so they have no shape. An operation that needs it is an error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from ..ir.dtypes import BOOL, INT64
from ..ir.operations import Op
from .symbolic import SymbolicArray, as_symbolic, copy_of, source_line, view

# The options that a reduction takes.
_REDUCTIONS = {
    **dict.fromkeys(("sum", "prod"), ("axis", "dtype", "keepdims")),
    **dict.fromkeys(("max", "min", "mean", "any", "all"), ("axis", "keepdims")),
    **dict.fromkeys(("var", "std"), ("axis", "ddof", "keepdims")),
}


class MaskedValues:
    """The elements of an array where a mask is true.

    As in NumPy, the elements are copies: they do not change with the array or the mask.

    whole: the array that has these elements where the mask is true
    """

    __array_priority__ = 1000

    def __init__(self, whole: SymbolicArray, mask: SymbolicArray) -> None:
        self.whole = copy_of(whole)
        self.mask = copy_of(mask)
        self._node = mask.node
        self._line = source_line()

    @property
    def dtype(self) -> Any:
        return self.whole.dtype

    def fits(self, other: MaskedValues) -> bool:
        """Whether both are elements at the same places."""
        return self._node is other._node and self.whole.ndim == other.whole.ndim

    def with_whole(self, whole: Any) -> MaskedValues:
        """The elements of another array at the same mask."""
        return MaskedValues(whole, self.mask)

    def mask_of_whole(self) -> SymbolicArray:
        """The mask, with the dimensions of the array."""
        mask = self.mask
        return view(mask, (*range(mask.ndim), *[None] * (self.whole.ndim - mask.ndim)))

    def _or(self, value: Any) -> Any:
        """The array where the mask is true, a number elsewhere."""
        from .elementwise import apply

        return apply(Op.WHERE, self.mask_of_whole(), self.whole, value)

    def _reduced(self, function: str, whole: Any, axis: Any, keepdims: bool) -> Any:
        """A reduction of all elements, or along the one dimension that they have in place of the mask's."""
        from . import reductions

        if (axis not in (None, 0) and (axis, self.mask.ndim, self.whole.ndim) != (-1, 1, 1)) or keepdims:
            raise self.error(f"{function} of the elements at a mask along axis {axis}")
        axes = None if axis is None else tuple(range(self.mask.ndim))
        return getattr(reductions, function)(whole, axis=axes)

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        whole = self if dtype is None else self.astype(dtype)
        return self._reduced("sum", whole._or(0), axis, keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        whole = self if dtype is None else self.astype(dtype)
        return self._reduced("prod", whole._or(1), axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        return self._extreme("max", axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        return self._extreme("min", axis, keepdims)

    def _extreme(self, function: str, axis: Any, keepdims: bool) -> Any:
        dtype = self.whole.node.dtype
        if not dtype.is_float:
            raise self.error(f"{function} of the integers at a mask")
        return self._reduced(function, self._or(-math.inf if function == "max" else math.inf), axis, keepdims)

    def count(self, axis: Any = None) -> Any:
        """The number of elements; along an axis, the number of terms in each sum."""
        from . import reductions
        from .promotion import cast
        from .shapes import broadcast_to

        mask = self.mask
        if axis is None:
            mask = broadcast_to(self.mask_of_whole(), self.whole.shape)
        return reductions.sum(cast(self.whole.tracer, mask, INT64))

    @property
    def size(self) -> Any:
        return self.count()

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        from .promotion import cast

        total, count = self.sum(axis, keepdims=keepdims), self.count(axis)
        dtype = total.node.dtype
        return total / (cast(self.whole.tracer, count, dtype) if dtype.is_float else count)

    def var(self, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
        if axis is not None:
            raise self.error(f"var of the elements at a mask along axis {axis}")
        from .promotion import cast

        deviation: Any = self - self.mean()
        total = (deviation * deviation).sum(keepdims=keepdims)
        return total / cast(self.whole.tracer, self.count() - ddof, total.node.dtype)

    def std(self, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
        from .elementwise import apply

        return apply(Op.SQRT, self.var(axis, ddof, keepdims))

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        return self._reduced("any", self._or(False if self._is_bool() else 0), axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        return self._reduced("all", self._or(True if self._is_bool() else 1), axis, keepdims)

    def _is_bool(self) -> bool:
        return self.whole.node.dtype == BOOL

    def error(self, what: str) -> Exception:
        return self.whole.tracer.error(
            TypeError,
            f"{what} has a shape that depends on values; use xp.where with all elements",
            self._line,
        )

    def astype(self, dtype: Any, copy: bool = True) -> MaskedValues:
        from .namespace import astype

        return self.with_whole(astype(self.whole, dtype))

    def copy(self) -> MaskedValues:
        return self.with_whole(+self.whole)

    def applied(self, function: Callable[..., Any] | None, *values: Any) -> MaskedValues:
        """A function of elements at one mask, and of numbers."""
        assert function is not None
        wholes = []
        for value in values:
            if isinstance(value, MaskedValues):
                if not self.fits(value):
                    raise self.error("what is computed of elements at two masks")
                wholes.append(value.whole)
            else:
                if as_symbolic(self.whole.tracer, value).ndim:
                    raise self.error("what is computed of an array and the elements at a mask")
                wholes.append(value)
        return self.with_whole(function(*wholes))

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], options: Any) -> Any:
        name = (
            function.__name__.removeprefix("a")
            if function.__name__ in ("amax", "amin")
            else function.__name__
        )
        known, values = _REDUCTIONS.get(name), args[0] if args else None
        if known is None or not isinstance(values, MaskedValues):
            raise self.error(f"np.{name} of the elements at a mask")
        if more := [option for option in options if option not in known]:
            raise self.error(f"np.{name} with {more[0]}= of the elements at a mask")
        return getattr(values, name)(*args[1:2], **options)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self.error("an array of the elements at a mask")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.error(f".{name} of the elements at a mask")

    def __len__(self) -> int:
        raise self.error("len of the elements at a mask")

    def __iter__(self) -> Any:
        raise self.error("iteration over the elements at a mask")

    def __getitem__(self, key: Any) -> Any:
        raise self.error("an index of the elements at a mask")


def operator(operation: Op, *, reflected: bool = False) -> Callable[..., Any]:
    """A method of an operator."""

    def method(self: MaskedValues, *other: Any) -> Any:
        from .elementwise import apply

        function = functools.partial(apply, operation)
        return self.applied(function, *other, self) if reflected else self.applied(function, self, *other)

    return method


def in_place_operator(operation: Op) -> Callable[..., Any]:
    """A method of an augmented assignment: all names bound to the elements see the change."""

    def method(self: MaskedValues, other: Any) -> Any:
        from .in_place import require_casts
        from .promotion import cast

        trace, changed = self.whole.tracer, operator(operation)(self, other)
        require_casts(trace, changed, self.dtype)
        self.whole = copy_of(cast(trace, changed.whole, self.whole.node.dtype))
        return self

    return method
