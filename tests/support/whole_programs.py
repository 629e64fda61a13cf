"""All lines of random kernels of the whole standard, with assignment to elements of computed values."""

from __future__ import annotations

from collections.abc import Callable

from program_text import Sizes
from program_writer import Value, broadcast
from whole_numpy import NumpyLines
from whole_writer import together


class WholeLines(NumpyLines):
    """Statements that write into arrays of the kernel."""

    def target(self) -> Value | None:
        """A computed array; a new one where there is none."""
        computed = [
            v for v in self.several(least=1) if v.name[0] == "v" and (v.kind != "bool" or not self.choose(3))
        ]
        if not computed or self.choose(4) == 0:
            self.fresh()
            computed = [v for v in self.several(least=1) if v.name[0] == "v"]
        return self.late(computed)

    def fresh(self) -> None:
        """An array of its own, to be written into."""
        value = self.late(self.several(least=1))
        if value is None:
            return
        x = value.name
        options = [
            f"xp.zeros_like({x})",
            f"xp.asarray({x}, copy=True)",
            f"{x} * 1",
            f"xp.ones({value.shape})",
        ]
        if self.is_numpy:
            options += [f"np.zeros({value.shape})", f"{x}.copy()", f"np.array({x})"]
        options += [f"xp.zeros({value.shape}, dtype={x}.dtype)"]
        self.put(self.one_of(options), value.bits)

    def number(self, kind: str) -> tuple[str, int]:
        """A number, and its bits."""
        if kind == "bool":
            return self.one_of(["True", "False"]), 1
        if kind == "int":
            return self.one_of(["0", "1", "2"]), 2
        return self.one_of(["0.5", "-1.0", "2", "0.0", "1"]), 2

    def source(self, target: Value, shape: Sizes) -> tuple[str, int | None]:
        """What can be written into elements of a shape: an array that broadcasts, or a number."""
        kinds = {"float": ("float", "int", "bool"), "int": ("int", "bool"), "bool": ("bool",)}[target.kind]
        fitting = [v for v in self.several(*kinds) if broadcast(v.shape, shape) == shape]
        if not fitting or self.choose(3) == 0:
            return self.number(target.kind)
        value: Value = self.late(fitting)
        return value.name, value.bits

    def assignment(self, target: Value, key: str, part: Sizes) -> None:
        """target[key] = source, or +=, -=, *=."""
        text, bits = self.source(target, part)
        sign = self.one_of(["", "", "+", "-", "*"]) if target.kind != "bool" else self.one_of(["", "&", "|"])
        if sign and target.bits is not None and bits is not None:
            bits = together([bits, target.bits], 2) if sign != "*" else bits + target.bits
        self.written(target, f"{target.name}{key} {sign}= {text}", bits)

    def write_slices(self) -> None:
        target = self.target()
        if target is None:
            return
        key = self.key(target.shape) if self.choose(6) else "[...]"
        part = self.tried(f"{target.name}{key}")
        if part is not None:
            self.assignment(target, key, part.shape)

    def write_whole(self) -> None:
        """v += w, v *= 2."""
        target = self.target()
        if target is None or target.kind == "bool":
            return
        text, bits = self.source(target, target.shape)
        sign = self.one_of(["+", "-", "*"])
        if target.bits is not None and bits is not None:
            bits = together([bits, target.bits], 2) if sign != "*" else bits + target.bits
        self.written(target, f"{target.name} {sign}= {text}", bits)

    def write_at_mask(self) -> None:
        target = self.target()
        if target is None:
            return
        masks = [v.name for v in self.several("bool", least=1) if v.shape == target.shape[: len(v.shape)]]
        masks += [
            f"{v.name} {self.one_of(['>', '<='])} 0"
            for v in self.several("float", "int", exact=True, least=1)
            if v.shape == target.shape[: len(v.shape)]
        ]
        mask = self.late(masks)
        if mask is None:
            return
        number, bits = self.number(target.kind)
        known = None if target.bits is None else bits + target.bits
        if self.choose(3) == 0 and target.kind != "bool":
            self.written(target, f"{target.name}[{mask}] {self.one_of('+*')}= {number}", known)
        else:
            self.written(target, f"{target.name}[{mask}] = {number}", bits)

    def write_at_labels(self) -> None:
        target = self.target()
        if target is None:
            return
        key = self.pair_key(target.shape)
        part = self.tried(f"{target.name}{key}") if key else None
        if key is not None and part is not None:
            self.assignment(target, key, part.shape)

    def write_as_numpy(self) -> None:
        target = self.target() if self.is_numpy else None
        if target is not None:
            self.write_by_function(target)

    def write_at_indices(self) -> None:
        target = self.target()
        key = self.mixed_key(target.shape) if target is not None else None
        part = self.tried(f"{target.name}{key}") if target is not None and key else None
        if target is None or key is None or part is None or "None" in key:
            return
        if self.is_numpy and ":" not in key and self.choose(3) == 0:
            text, bits = self.source(target, part.shape)
            known = None if bits is None or target.bits is None else together([bits, target.bits], 4)
            self.written(target, f"np.add.at({target.name}, ({key[1:-1]},), {text})", known)
            return
        self.assignment(target, key, part.shape)


OF_MATRICES: list[Callable[[WholeLines], None]] = [
    *(WholeLines.unary, WholeLines.binary, WholeLines.binary, WholeLines.with_scalar, WholeLines.comparison),
    *(WholeLines.logic, WholeLines.to_float, WholeLines.reduction, WholeLines.product, WholeLines.pick),
    *(WholeLines.view, WholeLines.made),
]
OF_ALL: list[Callable[[WholeLines], None]] = [
    *(WholeLines.sliced, WholeLines.sliced, WholeLines.turned, WholeLines.reshaped, WholeLines.broadcast_up),
    *(WholeLines.joined, WholeLines.split_up, WholeLines.moved, WholeLines.taken, WholeLines.taken_along),
    *(WholeLines.looked_up, WholeLines.ordered, WholeLines.extreme_index, WholeLines.added_up),
    *(WholeLines.searched, WholeLines.many_products, WholeLines.contracted, WholeLines.solved),
    *(WholeLines.of_integers, WholeLines.of_integers, WholeLines.reduced, WholeLines.reduced),
    *(WholeLines.in_numpy, WholeLines.of_numpy, WholeLines.of_diagonals, WholeLines.of_masks),
]
WRITES: list[Callable[[WholeLines], None]] = [
    *(WholeLines.write_slices, WholeLines.write_slices, WholeLines.write_whole, WholeLines.write_at_mask),
    *(WholeLines.write_at_labels, WholeLines.write_at_indices, WholeLines.write_as_numpy),
]
WHOLE_STEPS = [*OF_MATRICES, *OF_ALL, *WRITES]
