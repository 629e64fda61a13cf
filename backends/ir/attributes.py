"""What an operation knows beside its inputs: one class for each structural operation that knows anything.

Takes: leaves of a call, numbers, axes, dimensions. Gives: records that are equal where they mean the same, so
that a graph makes equal nodes once.

    v1: float32(3, 1) = view(v0) [0, None]        has    View((0, None))
    v2: float32() = constant() [-0.0]             has    Constant(-0.0), which is not Constant(0.0)
    v3: float32(3, 4) = matmul(v0, v1) [True, False]    has    Transposes(transpose_a=True, transpose_b=False)

Elementwise operations but `astype`, `copy`, `take` and `take_along_axis` have none.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dtypes import DType
    from .graph import Axis, Shape


class Attribute:
    """The attribute of a node; `str` is what a printed graph shows of it."""


class Layout(enum.Enum):
    """How the elements of an argument lie: which dimension has no gaps, where it is not all of them."""

    CONTIGUOUS = 0  # C order
    ROWS = 1  # a row has no gaps; rows lie apart
    COLUMNS = 2  # a column has no gaps; columns lie apart, as in Fortran's order

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Leaf(Attribute):
    """Of `input` and `scalar`: which leaf of the call, or which slot behind the leaves.

    layout: of an argument's elements
    """

    number: int
    layout: Layout = Layout.CONTIGUOUS

    def __str__(self) -> str:
        return f"{self.number}" if self.layout is Layout.CONTIGUOUS else f"{self.number}, {self.layout}"


@dataclass(frozen=True, eq=False)
class Constant(Attribute):
    """A Python number; 1, 1.0 and True are unequal here, and so are 0.0 and -0.0."""

    value: bool | int | float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[type, str]:
        return type(self.value), repr(self.value)

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Size(Attribute):
    """The length of an axis."""

    axis: Axis

    def __str__(self) -> str:
        return f"size {self.axis.size}"


@dataclass(frozen=True)
class Iota(Attribute):
    """0, 1, 2, ... along an axis; None for the 0 of a dimension of 1."""

    axis: Axis | None

    def __str__(self) -> str:
        return f"size {1 if self.axis is None else self.axis.size}"


@dataclass(frozen=True)
class View(Attribute):
    """For each dimension the input's dimension that it is; None for a new one of 1."""

    dimensions: tuple[int | None, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.dimensions))


@dataclass(frozen=True)
class BroadcastTo(Attribute):
    """The shape of the result; missing dimensions of the input are new ones in front."""

    shape: Shape

    def __str__(self) -> str:
        return ", ".join("None" if axis is None else f"size {axis.size}" for axis in self.shape)


@dataclass(frozen=True)
class Transposes(Attribute):
    """Whether each factor is transposed first.

    by_result: a product over the rows of both factors is computed in a loop over the rows of the result, not
               added up over the rows; the plan decides
    """

    transpose_a: bool = False
    transpose_b: bool = False
    by_result: bool = False

    @property
    def transposed(self) -> tuple[bool, bool]:
        """The same of both, in the order of the inputs."""
        return self.transpose_a, self.transpose_b

    def __str__(self) -> str:
        return ", ".join([*map(str, self.transposed), *["by result"] * self.by_result])


@dataclass(frozen=True)
class Held(Attribute):
    """Of `astype`: the dtype of the value's memory, which may not be that which it is computed in."""

    dtype: DType

    def __str__(self) -> str:
        return f"held as {self.dtype}"


@dataclass(frozen=True)
class Reduction(Attribute):
    """The dimensions of the input that are combined."""

    dimensions: tuple[int, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.dimensions))


@dataclass(frozen=True)
class Slice(Attribute):
    """For each dimension the first index and the step; None for one that is taken as it is.

    sizes: of the result
    """

    ranges: tuple[tuple[int, int] | None, ...]
    sizes: tuple[int, ...]

    def __str__(self) -> str:
        def text(given: tuple[int, int] | None, size: int) -> str:
            return ":" if given is None else f"{given[0]}+{given[1]}*{size}"

        return ", ".join(map(text, self.ranges, self.sizes))


@dataclass(frozen=True)
class Reshape(Attribute):
    """The sizes of the result."""

    sizes: tuple[int, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.sizes))


@dataclass(frozen=True)
class Concat(Attribute):
    """The dimension along which the inputs follow one another."""

    dimension: int

    def __str__(self) -> str:
        return str(self.dimension)


class Bounds(enum.Enum):
    """What is known of indices."""

    CHECKED = "checked"  # they are looked at: from the end where negative, an error where outside
    INSIDE = "inside"  # they are inside
    CHOSEN = "chosen"  # they are inside wherever the tests of the position have the given outcomes

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Gather(Attribute):
    """How the element of the first input is found, for each of its dimensions.

    places: the dimension of the result that runs along it; or -1 - i where the i-th index looks it up
    bounds: of the indices
    tests:  the outcomes of the last inputs, tests of the position, where the element is chosen
    """

    places: tuple[int, ...]
    bounds: Bounds = Bounds.CHECKED
    tests: tuple[bool, ...] = ()

    def __str__(self) -> str:
        places = ", ".join(str(place) if place >= 0 else f"index {-1 - place}" for place in self.places)
        return places if self.bounds is Bounds.CHECKED else f"{places}; {self.bounds}"


class MarkKind(enum.Enum):
    """What a mark means for derivatives."""

    VARIABLE = "variable"  # a derivative with respect to it may be asked for
    STOPPED = "stopped"  # its derivative is taken to be 0
    ARGUMENT = "argument"  # of a call that has a derivative of its own, which covers the argument
    RESULT = "result"  # of such a call

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Mark(Attribute):
    """A mark in a trace; it is gone before the graph is compiled.

    call: of an argument or a result, the number of the call in the trace
    """

    kind: MarkKind
    call: int = 0

    def __str__(self) -> str:
        return f"{self.kind}"


@dataclass(frozen=True)
class LibraryCall(Attribute):
    """A function of `ir.library`, and which of its results this is.

    options: names and values of its keyword arguments, sorted
    part:    None where it has one result
    """

    function: str
    options: tuple[tuple[str, Hashable], ...] = ()
    part: int | None = None

    def __str__(self) -> str:
        options = "".join(f", {name}={value}" for name, value in self.options)
        return f"{self.function}{options}" + ("" if self.part is None else f", result {self.part}")
