"""Lines with views and with arrays put together, of any number of dimensions."""

from __future__ import annotations

import math

from program_text import Sizes
from program_writer import Value
from whole_writer import WholeWriter, root_of, together


class ViewLines(WholeWriter):
    """Slices, other orders and shapes; concat, roll and so on."""

    def slice_of(self, size: int) -> str:
        """A slice of one dimension."""
        i, j = self.choose(size + 2) - 1, self.choose(size + 3) - 1
        return self.one_of(
            [
                *(":", ":", "1:", ":-1", "::2", "::-1", "1::2", "-2:", "::-2"),
                f"{i}:{j}",
                f"{j}:{i}:-1",
                f"{i}:",
            ]
        )

    def key(self, shape: Sizes) -> str:
        """A key of slices, integers, None and `...`, in brackets."""
        entries = []
        for size in shape:
            if size and self.choose(4) == 0:
                entries.append(str(self.choose(2 * size) - size))
            else:
                entries.append(self.slice_of(size))
        kept = self.choose(len(entries) + 1)
        if kept < len(entries) and self.choose(2):
            at = self.choose(kept + 1)
            entries = [*entries[:at], "...", *entries[len(entries) - kept + at :]]
        elif self.choose(3) == 0:
            entries = entries[: max(kept, 1)]
        if self.choose(4) == 0:
            entries.insert(self.choose(len(entries) + 1), "None")
        return f"[{', '.join(entries) or '...'}]"

    def sliced(self) -> None:
        value = self.late(self.several(least=1))
        if value is not None:
            self.put(f"{value.name}{self.key(value.shape)}", value.bits, value.below)

    def order(self, count: int) -> tuple[int, ...]:
        left, order = list(range(count)), []
        while left:
            order.append(left.pop(self.choose(len(left))))
        return tuple(order)

    def turned(self) -> None:
        """The same elements with the dimensions in another order, reversed, or with others of size 1."""
        value = self.late(self.several(least=1))
        if value is None:
            return
        x, shape = value.name, value.shape
        axis, other = self.axis_of(shape), self.axis_of(shape)
        order = self.order(len(shape))
        options = [
            f"xp.flip({x}, axis={axis})",
            f"xp.flip({x})",
            self.say(f"xp.permute_dims({x}, {order})", f"{x}.transpose({order})"),
            self.say(f"xp.permute_dims({x}, {order})", f"np.transpose({x}, {order})"),
            f"xp.moveaxis({x}, {axis}, {other})",
            self.say(f"xp.moveaxis({x}, {axis}, {other})", f"{x}.swapaxes({axis}, {other})"),
            f"xp.expand_dims({x}, axis={axis})",
            f"xp.expand_dims({x}, axis={-1 - self.choose(len(shape) + 1)})",
        ]
        if len(shape) >= 2:
            options += [f"xp.matrix_transpose({x})", f"{x}.mT", self.say(f"{x}.mT", f"{x}.T")]
        if 1 in shape:
            one = shape.index(1)
            options += [self.say(f"xp.squeeze({x}, axis={one})", f"{x}.squeeze({one})")] * 2
            options += [self.say(f"xp.squeeze({x}, axis={one - len(shape)})", f"np.squeeze({x})")]
        self.put(self.one_of(options), value.bits, value.below)

    def reshaped(self) -> None:
        value = self.late(self.several())
        if value is None:
            return
        count = math.prod(value.shape)
        divisors = [n for n in range(1, count + 1) if count % n == 0] or [0]
        first = self.one_of(divisors)
        second = self.one_of([n for n in divisors if first and (count // first) % n == 0] or [1])
        shapes: list[tuple[int, ...]] = [(-1,), (first, -1), (first, second, -1), (count,), (-1, 1, first)]
        if len(value.shape) >= 2:
            shapes += [(*value.shape[:-2], -1), (value.shape[0], -1), (-1, value.shape[-1])]
        shape = self.one_of(shapes)
        x, before = value.name, len(self.values)
        texts = [f"{x}.reshape({str(shape)[1:-1]})", f"np.reshape({x}, {shape})"]
        texts += [f"{x}.ravel()", f"{x}.flatten()"] if len(shape) == 1 else []
        self.put(self.say(f"xp.reshape({x}, {shape})", self.one_of(texts)), value.bits, value.below)
        if len(self.values) > before:
            self.note_memory(value)

    def note_memory(self, value: Value) -> None:
        """Nothing writes into the last value where only the order in memory of `value` made it a copy."""
        made, root = self.values[-1].name, root_of(self.arrays[value.name])
        if root_of(self.arrays[made]) is not root and (self.is_given(root) or not _is_row_major(root)):
            self.unsure.update((value.name, made))

    def broadcast_up(self) -> None:
        value = self.late(self.several())
        if value is None:
            return
        shape = tuple(self.one_of([2, 3]) if n == 1 and self.choose(2) else n for n in value.shape)
        if self.choose(2):
            shape = (self.one_of([1, 2, 3]), *shape)
        self.put(f"xp.broadcast_to({value.name}, {shape})", value.bits, value.below)

    def joined(self) -> None:
        """Concat and stack of two or three arrays."""
        first = self.late(self.several(least=1))
        if first is None:
            return
        axis = self.axis_of(first.shape)
        others = [
            v
            for v in self.values
            if v.kind == first.kind
            and len(v.shape) == len(first.shape)
            and all(v.shape[d] == size or d == axis % len(first.shape) for d, size in enumerate(first.shape))
        ]
        same = [v for v in others if v.shape == first.shape]
        is_stack = self.choose(2) == 0
        parts = [first] + [self.one_of(same if is_stack else others) for _ in range(1 + self.choose(2))]
        names = ", ".join(part.name for part in parts)
        if is_stack:
            texts = [self.say(f"xp.stack([{names}], axis={axis})", f"np.stack(({names}), axis={axis})")]
        else:
            texts = [
                self.say(f"xp.concat([{names}], axis={axis})", f"np.concatenate([{names}], axis={axis})")
            ]
            if axis == 0 and self.is_numpy:
                texts += [f"np.vstack([{names}])", f"np.hstack([{names}])"]
        below = max(part.below for part in parts) if all(part.below for part in parts) else 0
        self.put(self.one_of(texts), together([part.bits for part in parts]), below)

    def split_up(self) -> None:
        value = self.late([v for v in self.several(least=1) if 0 not in v.shape])
        if value is None:
            return
        axis = self.axis_of(value.shape)
        part = self.choose(value.shape[axis])
        size = value.shape[axis]
        texts = [f"xp.unstack({value.name}, axis={axis})[{part}]"]
        if self.is_numpy:
            texts.append(f"np.split({value.name}, {size}, axis={axis})[{part}]")
            texts.append(f"np.array_split({value.name}, 2, axis={axis})[1]")
        self.put(self.one_of(texts), value.bits, value.below)

    def moved(self) -> None:
        """Roll, repeat, tile, triangles and differences."""
        value = self.late(self.several(least=1))
        if value is None:
            return
        x, axis, shift = value.name, self.axis_of(value.shape), self.choose(7) - 3
        count = self.choose(3) + (self.choose(4) > 0)
        options = [
            f"xp.roll({x}, {shift}, axis={axis})",
            f"xp.roll({x}, {shift})",
            f"xp.roll({x}, ({shift}, 1), axis=({axis}, {self.axis_of(value.shape)}))",
            self.say(f"xp.repeat({x}, {count}, axis={axis})", f"{x}.repeat({count}, axis={axis})"),
            f"xp.repeat({x}, {count})",
            f"xp.tile({x}, ({count}, 2))",
            f"xp.tile({x}, ({count},))",
            f"xp.tile({x}, ({', '.join(str(1 + self.choose(2)) for _ in value.shape)},))",
        ]
        if len(value.shape) >= 2:
            diagonal = self.choose(5) - 2
            options += [f"xp.{name}({x}, k={diagonal})" for name in ("tril", "triu", "tril", "triu")]
        if value.kind != "bool":
            option = f"xp.diff({x}, axis={axis}, n={1 + self.choose(2)})"
            if self.choose(4) == 0:
                self.put(option, together([value.bits], 4))
                return
        self.put(self.one_of(options), value.bits, value.below)


def _is_row_major(array: object) -> bool:
    return bool(array.flags.c_contiguous)  # type: ignore[attr-defined]
