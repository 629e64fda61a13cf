"""Writes random kernels of the whole standard: every line is tried on NumPy arrays before it is kept.

The trial gives shapes, dtypes, and which arrays have the same memory. A line that NumPy rejects is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
from program_lines import Lines
from program_text import Argument, Line, Sizes, array_of
from program_writer import LABEL_DTYPES, LAYOUTS, Value

MOST_ELEMENTS = 5000
KINDS = {"f": "float", "i": "int", "u": "int", "b": "bool"}
REJECTED = (ValueError, IndexError, TypeError, OverflowError, AttributeError)


class WholeWriter(Lines):
    """Writes one program with arrays of up to five dimensions, views, and assignment to elements.

    arrays:    the values of a trial with float64 arguments
    is_numpy:  whether lines are written with np and methods, or with xp
    """

    most_dimensions = 5

    def draw_arguments(self, sizes: Sequence[int]) -> None:
        self.arrays: dict[str, Any] = {"xp": xp, "np": np}
        self.rejected = 0
        choose = self.choose
        self.is_numpy = choose(3) == 0
        n, k, d, e = (sizes[choose(len(sizes))] for _ in range(4))
        shapes = [
            *((n, k), (n, d), (d, k), (n,), (k,), (n, 1), (1, k), (n, n), (k, d)),
            *((n, k, d), (d, n, k), (n, 1, d), (n, k, d, e), (e, n, n), (1, n, k, 1)),
        ]
        first = shapes[[0, 9, 12][choose(3)]]
        for shape in [first] + [shapes[choose(len(shapes))] for _ in range(choose(4))]:
            small = self.small(shape)
            self.argument(Argument(small, "float", layout=self.one_of(LAYOUTS)), "float", 4)
        n, k = self.small((n, k))
        for _ in range(choose(3)):
            label_shape = self.one_of([(n,), (n,), (k,), (n, k), (n, 1)])
            below = self.one_of([n, k, d])
            if below or 0 in label_shape:
                label = Argument(
                    label_shape, self.one_of(LABEL_DTYPES), below=below or 1, layout=self.one_of(LAYOUTS)
                )
                self.argument(label, "int", 3)
        if choose(3) == 0:
            self.argument(
                Argument(self.one_of([(n, k), (n,)]), "bool", layout=self.one_of(LAYOUTS)), "bool", 1
            )
        if choose(2):
            self.scalar(0.25 * (choose(9) - 4) or 0.75, "float")
        if choose(4) == 0:
            self.scalar(choose(7) - 3, "int")

    def small(self, shape: Sizes) -> Sizes:
        """The shape with so few elements that a program stays quick."""
        shape = tuple(shape)
        for position in reversed(range(len(shape))):
            if math.prod(shape) > MOST_ELEMENTS // 2:
                shape = (*shape[:position], min(shape[position], 2), *shape[position + 1 :])
        return shape

    def argument(self, argument: Argument, kind: str, bits: int) -> None:
        super().argument(argument, kind, bits)
        name = self.values[-1].name
        random = np.random.default_rng(len(self.arrays))
        self.arrays[name] = array_of(argument, "float64", random, False)
        if kind == "int":
            self.values[-1] = replace(self.values[-1], bits=argument.below.bit_length())

    def scalar(self, number: float | int, kind: str) -> None:
        super().scalar(number, kind)
        self.arrays[self.scalars[-1]] = number

    def say(self, standard: str, numpy: str) -> str:
        """A text in the program's way of writing."""
        return numpy if self.is_numpy else standard

    def tried(self, text: str) -> Any:
        """The value of an expression; None if NumPy rejects it."""
        try:
            with np.errstate(all="ignore"):
                made = eval(text, self.arrays)
        except REJECTED:
            self.rejected += 1
            return None
        good = hasattr(made, "dtype") and made.dtype.kind in KINDS and made.dtype != np.float16
        return made if good and made.ndim <= self.most_dimensions and made.size <= MOST_ELEMENTS else None

    def add(
        self,
        text: str,
        shape: Sizes = (),
        kind: str = "float",
        bits: int | None = None,
        below: int = 0,
    ) -> None:
        """Adds the line if NumPy takes it; shape and kind are those of the trial."""
        made = self.tried(text)
        if made is None:
            return
        super().add(text, made.shape, KINDS[made.dtype.kind], self.bits_of(made, bits), below)
        self.arrays[self.values[-1].name] = made

    def put(self, text: str, bits: int | None = None, below: int = 0) -> None:
        """The same, with nothing said about shape and kind."""
        self.add(text, (), "float", bits, below)

    def bits_of(self, array: Any, claimed: int | None) -> int | None:
        """At least as many bits as the trial's values have, and one more for other values."""
        return None if claimed is None else max(claimed, measured_bits(array) + 1)

    def written(self, target: Value, text: str, bits: int | None) -> None:
        """Adds a statement that writes into a value, if NumPy takes it.

        bits: of what is written
        """
        root = root_of(self.arrays[target.name])
        if self.is_given(root):
            return
        if any(v.name in self.unsure and root_of(self.arrays[v.name]) is root for v in self.values):
            return
        try:
            with np.errstate(all="ignore"):
                exec(text, self.arrays)
        except REJECTED:
            self.rejected += 1
            return
        self.program.lines.append(Line(target.name, text, writes=True))
        for number, value in enumerate(self.values):
            array = self.arrays[value.name]
            if value.name == target.name or root_of(array) is root:
                known = None if bits is None or value.bits is None else max(bits, value.bits)
                self.values[number] = replace(value, bits=self.bits_of(array, known), below=0)

    def is_given(self, root: Any) -> bool:
        """Whether memory is that of an argument."""
        return any(root is root_of(self.arrays[value.name]) for value in self.values if value.name[0] == "a")

    @property
    def unsure(self) -> set[str]:
        """Values of which the layout of the arguments says whether they are views."""
        if not hasattr(self, "_unsure"):
            self._unsure: set[str] = set()
        return self._unsure

    def several(self, *kinds: str, exact: bool = False, least: int = 0) -> list[Value]:
        """All values of some kinds, with so many dimensions at least."""
        return [
            value
            for value in self.values
            if (not kinds or value.kind in kinds) and (not exact or value.exact) and len(value.shape) >= least
        ]

    def late(self, values: Sequence[Any]) -> Any:
        """One of them, a late one rather than an early one; None of none."""
        if not values:
            return None
        return values[max(self.choose(len(values)), self.choose(len(values)))]

    def axis_of(self, shape: Sizes) -> int:
        """An axis, some from the end."""
        axis = self.choose(len(shape))
        return axis - len(shape) if self.choose(3) == 0 else axis


def root_of(array: Any) -> Any:
    """The array whose memory a view has."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    return array


def measured_bits(array: Any) -> int:
    """In how many bits all finite elements are multiples of one power of 2."""
    values = np.asarray(array, dtype=np.float64)
    values = values[np.isfinite(values) & (values != 0)]
    if not values.size:
        return 1
    mantissas, exponents = np.frexp(values)
    whole = np.abs(mantissas * 2.0**53).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    lowest = int((exponents - 53 + trailing).min())
    return int(exponents.max()) - lowest


def counted(shape: Sizes, axes: Sequence[int] | None = None) -> int:
    """The bits by which a sum over some axes is longer than its terms."""
    count = math.prod(shape if axes is None else [shape[axis] for axis in axes])
    return max(count, 1).bit_length()


def together(bits: Sequence[int | None], more: int = 0) -> int | None:
    """The bits of what is chosen among, or added up from, values of these bits."""
    known = [b for b in bits if b is not None]
    return max(known, default=0) + more if len(known) == len(bits) else None
