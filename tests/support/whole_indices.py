"""Lines that look elements up, sort and search."""

from __future__ import annotations

from program_text import Sizes
from program_writer import Value
from whole_views import ViewLines
from whole_writer import counted, together


class IndexLines(ViewLines):
    """Integer arrays as indices; sort, searchsorted, cumulative sums."""

    def index(self, size: int, shape: Sizes | None = None) -> str | None:
        """An array of indices along a dimension of so many elements, some of them from the end."""
        fitting = [v for v in self.values if v.below and v.below <= size and shape in (None, v.shape)]
        if fitting and self.choose(3):
            label = self.one_of(fitting)
            is_signed = self.arrays[label.name].dtype.kind == "i"
            return f"(-1 - {label.name})" if is_signed and self.choose(4) == 0 else label.name
        if size == 0 or (shape is not None and len(shape) != 1):
            return None
        count = 1 + self.choose(4) if shape is None else shape[0]
        if shape is None and self.choose(2):
            numbers = [self.choose(2 * size) - size for _ in range(count)]
            if self.choose(4) == 0:
                numbers = [numbers, numbers[::-1]]
            return self.say(f"xp.asarray({numbers})", self.one_of([f"np.array({numbers})", f"{numbers}"]))
        return f"(xp.arange({count}) * {1 + self.choose(3)} % {size})"

    def taken(self) -> None:
        value = self.late(self.several(least=1))
        if value is None:
            return
        axis = self.axis_of(value.shape)
        index = self.index(value.shape[axis])
        if index is None or index[0] == "[":
            return
        texts = [
            self.say(
                f"xp.take({value.name}, {index}, axis={axis})", f"{value.name}.take({index}, axis={axis})"
            )
        ]
        self.put(self.one_of(texts), value.bits, value.below)

    def taken_along(self) -> None:
        """take_along_axis at labels of the same number of dimensions, or at an argsort or argmax."""
        value = self.late(self.several(least=1))
        if value is None:
            return
        axis = self.axis_of(value.shape)
        size, ndim = value.shape[axis], len(value.shape)
        labels = [v for v in self.values if v.below and v.below <= size and len(v.shape) == ndim]
        index = self.one_of(labels).name if labels and self.choose(3) else None
        if index is None:
            if not value.exact or 0 in value.shape:
                return
            index = self.one_of(
                [
                    f"xp.argmax({value.name}, axis={axis}, keepdims=True)",
                    f"xp.argsort({value.name}, axis={axis}, stable=True)",
                ]
            )
        self.put(f"xp.take_along_axis({value.name}, {index}, axis={axis})", value.bits, value.below)

    def mixed_key(self, shape: Sizes) -> str | None:
        """A key of integer arrays, slices and integers, in brackets."""
        entries, arrays = [], 0
        for size in shape:
            kind = self.choose(4)
            index = self.index(size) if kind == 0 or not arrays else None
            if index is not None:
                entries.append(index)
                arrays += 1
            elif kind == 1 and size:
                entries.append(str(self.choose(size)))
            else:
                entries.append(self.slice_of(size))
            if arrays and self.choose(3) == 0:
                break
        if self.choose(8) == 0:
            entries.insert(self.choose(len(entries) + 1), "None")
        return f"[{', '.join(entries)}]" if arrays else None

    def pair_key(self, shape: Sizes) -> str | None:
        """A key of one element for each position of the first dimension."""
        if len(shape) < 2:
            return None
        label = self.index(shape[1], (shape[0],))
        if label is None:
            return None
        rows = self.say(
            f"xp.arange({shape[0]})", self.one_of([f"np.arange({shape[0]})", f"range({shape[0]})"])
        )
        return f"[{rows}, {label}]"

    def looked_up(self) -> None:
        value = self.late(self.several(least=1))
        if value is None:
            return
        key = self.pair_key(value.shape) if self.choose(3) == 0 else None
        key = key or self.mixed_key(value.shape)
        if key is not None:
            self.put(f"{value.name}{key}", value.bits, value.below)

    def ordered(self) -> None:
        value = self.late(self.several("float", "int", least=1))
        if value is None:
            return
        axis, down = self.axis_of(value.shape), bool(self.choose(2))
        x = value.name
        if value.exact and self.choose(3) == 0:
            text = self.say(
                f"xp.argsort({x}, axis={axis}, descending={down}, stable=True)",
                f"np.argsort({x}, axis={axis}, kind='stable')",
            )
            self.put(text, counted(value.shape, [axis]), value.shape[axis])
            return
        text = self.say(f"xp.sort({x}, axis={axis}, descending={down})", f"np.sort({x}, axis={axis})")
        self.put(text, value.bits, value.below)

    def extreme_index(self) -> None:
        """argmax of exact values, along an axis or of all."""
        value = self.late([v for v in self.several("float", "int", exact=True, least=1) if 0 not in v.shape])
        if value is None:
            return
        name, x = self.one_of(["argmax", "argmin"]), value.name
        if self.choose(3) == 0:
            keep = self.one_of(["", ", keepdims=True"])
            size = 1
            for n in value.shape:
                size *= n
            self.put(self.say(f"xp.{name}({x}{keep})", f"{x}.{name}()"), counted(value.shape), size)
            return
        axis = self.axis_of(value.shape)
        text = self.say(f"xp.{name}({x}, axis={axis}, keepdims=True)", f"{x}.{name}({axis})")
        self.put(text, counted(value.shape, [axis]), value.shape[axis])

    def added_up(self) -> None:
        value = self.late(self.several(least=1))
        if value is None:
            return
        axis = self.axis_of(value.shape)
        initial = self.one_of(["", "", ", include_initial=True"])
        text = self.say(
            f"xp.cumulative_sum({value.name}, axis={axis}{initial})",
            self.one_of([f"np.cumsum({value.name}, axis={axis})", f"{value.name}.cumsum({axis})"]),
        )
        self.put(text, together([value.bits], counted(value.shape, [axis])))

    def searched(self) -> None:
        vectors = [v for v in self.several("float", exact=True, least=1) if len(v.shape) == 1]
        wanted = self.late(self.several("float", exact=True))
        if not vectors or wanted is None:
            return
        vector: Value = self.late(vectors)
        side = self.one_of(["left", "right"])
        text = f"xp.searchsorted(xp.sort({vector.name}), {wanted.name}, side={side!r})"
        self.put(text, counted(vector.shape), vector.shape[0] + 1)
