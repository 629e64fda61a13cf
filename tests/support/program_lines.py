"""The lines of random kernels of one and two dimensions, in array API style."""

from __future__ import annotations

from typing import Any

from program_text import Sizes
from program_writer import Writer, broadcast


class Lines(Writer):
    """One method for every kind of line."""

    def unary(self) -> None:
        value = self.value("float")
        if value is None:
            return
        x = value.name
        same = [
            f"-{x}",
            f"xp.abs({x})",
            f"xp.clip({x}, -1.0, 1.5)",
            f"xp.maximum({x}, 0.0)",
            f"({x} + 1) / 1",
        ]
        smooth = [
            f"xp.exp(xp.clip({x}, -3.0, 2.0))",
            f"xp.tanh({x})",
            f"xp.log1p(xp.abs({x}))",
            f"xp.sqrt(1 + {x} * {x})",
            f"1 / (1 + {x} * {x})",
            f"xp.log(0.5 + xp.abs({x}))",
            f"xp.expm1(-xp.abs({x}))",
            f"xp.logaddexp({x}, -{x})",
            f"1 / (1 + xp.exp(-{x}))",
            f"xp.where({x} != {x}, xp.zeros_like({x}), {x})",
        ]
        if self.choose(3) == 0:
            self.add(self.one_of(same), value.shape, bits=None if value.bits is None else value.bits + 1)
        elif value.exact and self.choose(4) == 0:
            text = self.one_of(
                ["xp.sign({0})", "xp.floor({0})", "xp.round({0})", "xp.ceil({0})", "xp.trunc({0})"]
            )
            self.add(text.format(x), value.shape, bits=value.bits)
        elif self.choose(6) == 0:
            self.add(
                f"{x}**{2 + self.choose(2)}", value.shape, bits=None if value.bits is None else 3 * value.bits
            )
        else:
            self.add(self.one_of(smooth), value.shape)

    def binary(self) -> None:
        pair = self.pair("float")
        if pair is None:
            return
        a, b = pair
        shape = broadcast(a.shape, b.shape) or ()
        bits = None if a.bits is None or b.bits is None else max(a.bits, b.bits)
        both = None if a.bits is None or b.bits is None else a.bits + b.bits
        kind = self.choose(6)
        if kind == 0:
            self.add(f"{a.name} * {b.name}", shape, bits=both)
        elif kind == 1:
            self.add(f"{a.name} / (1 + {b.name} * {b.name})", shape)
        elif kind == 2:
            name = self.one_of(["maximum", "minimum"])
            self.add(f"xp.{name}({a.name}, {b.name})", shape, bits=bits)
        elif kind == 3 and (test := self.value("bool")) and broadcast(test.shape, shape) is not None:
            whole = broadcast(test.shape, shape) or ()
            if len(whole) <= self.most_dimensions:
                self.add(f"xp.where({test.name}, {a.name}, {b.name})", whole, bits=bits)
        else:
            self.add(f"{a.name} {self.one_of('+-')} {b.name}", shape, bits=None if bits is None else bits + 2)

    def with_scalar(self) -> None:
        value = self.value("float")
        if value is None or not self.scalars:
            return
        number = self.one_of(self.scalars)
        bits = None if value.bits is None else value.bits + 4
        text = self.one_of(["{1} * {0}", "{0} - {1}", "{0} * {1} + 0.5", "xp.where({0} == {0}, {0}, {1})"])
        self.add(text.format(value.name, number), value.shape, bits=bits)

    def comparison(self) -> None:
        pair = self.pair("float", "int", exact=True)
        if pair is None:
            return
        a, b = pair
        if a.kind == "int":
            a = b
        shape = broadcast(a.shape, b.shape) or ()
        self.add(f"{a.name} {self.one_of(['<', '<=', '>', '>=', '==', '!='])} {b.name}", shape, "bool", 1)

    def logic(self) -> None:
        pair = self.pair("bool")
        if pair is None:
            return
        a, b = pair
        text = self.one_of(["{0} & {1}", "{0} | {1}", "{0} ^ {1}", "~{0} & {1}", "xp.logical_or({0}, {1})"])
        self.add(text.format(a.name, b.name), broadcast(a.shape, b.shape) or (), "bool", 1)

    def to_float(self) -> None:
        value = self.value("bool", "int")
        if value is not None:
            self.add(f"xp.astype({value.name}, a0.dtype)", value.shape, bits=value.bits and value.bits + 2)

    def reduction(self) -> None:
        value = self.value("float", "float", "bool", "int")
        if value is None or not value.shape:
            return
        if 0 in value.shape and self.choose(4):
            return
        axis = self.one_of([None, *range(-1, len(value.shape))])
        keep = bool(self.choose(2))
        axes = range(len(value.shape)) if axis is None else [axis % len(value.shape)]
        shape = tuple(1 if i in axes else n for i, n in enumerate(value.shape))
        if not keep:
            shape = tuple(n for i, n in enumerate(value.shape) if i not in axes)
        how = f"({value.name}, axis={axis}, keepdims={keep})"
        more = None if value.bits is None else value.bits + 6
        if value.kind == "bool":
            if self.choose(3) == 0:
                self.add(f"xp.count_nonzero({value.name}, axis={axis})", dropped(value.shape, axes), "int", 6)
            else:
                self.add(f"xp.{self.one_of(['any', 'all'])}{how}", shape, "bool", 1)
        elif value.kind == "int":
            name = self.one_of(["sum", "max", "min"])
            dtype_kept = value.bits if name != "sum" else None
            self.add(f"xp.astype(xp.{name}{how}, a0.dtype)", shape, bits=dtype_kept and more)
        else:
            kind = self.choose(8)
            if kind == 0 and value.exact and axis is not None:
                self.add(f"xp.{self.one_of(['argmax', 'argmin'])}{how}", shape, "int", 6, 0)
            elif kind == 1:
                self.add(f"xp.{self.one_of(['mean', 'var'])}{how}", shape)
            elif kind == 2:
                self.add(f"xp.prod(xp.tanh({value.name}), axis={axis}, keepdims={keep})", shape)
            elif kind <= 4:
                self.add(f"xp.sum{how}", shape, bits=more)
            else:
                self.add(f"xp.{self.one_of(['max', 'min'])}{how}", shape, bits=value.bits)

    def product(self) -> None:
        factors = [
            (value, turned)
            for value in self.values
            for turned in (False, True)
            if value.kind == "float" and (len(value.shape) == 2 or (len(value.shape) == 1 and not turned))
        ]
        if not factors:
            return
        a, a_turned = self.one_of(factors)
        inner = a.shape[0] if a_turned else a.shape[-1]
        fitting = [
            (value, turned)
            for value, turned in factors
            if (value.shape[-1] if turned else value.shape[0]) == inner
        ]
        if not fitting:
            return
        b, b_turned = self.one_of(fitting)
        left = a.shape[1:] if a_turned else a.shape[:-1]
        right = b.shape[:-1] if b_turned else b.shape[1:]
        bits = None if a.bits is None or b.bits is None else a.bits + b.bits + 6
        text = f"{a.name}{'.T' * a_turned} @ {b.name}{'.T' * b_turned}"
        self.add(f"0.5 * ({text})" if self.choose(2) else text, (*left, *right), bits=bits)

    def pick(self) -> None:
        labels = [value for value in self.values if value.below and len(value.shape) == 1]
        if not labels:
            return
        label = self.one_of(labels)
        fitting = [v for v in self.values if v.kind == "float" and v.shape == (*label.shape, label.below)]
        kind = self.choose(3)
        if kind == 0 and fitting:
            scores = self.one_of(fitting)
            text = f"xp.take_along_axis({scores.name}, {label.name}[:, None], axis=1)"
            squeezed = bool(self.choose(2))
            shape = label.shape if squeezed else (*label.shape, 1)
            self.add(text + "[:, 0]" * squeezed, shape, bits=scores.bits)
        elif kind == 1:
            text = f"{label.name}[:, None] == xp.arange({label.below}, dtype={label.name}.dtype)"
            self.add(f"({text})", (*label.shape, label.below), "bool", 1)
        else:
            vectors = [v for v in self.values if v.kind == "float" and v.shape == (label.below,)]
            if vectors:
                vector = self.one_of(vectors)
                self.add(f"xp.take({vector.name}, {label.name})", label.shape, bits=vector.bits)

    def view(self) -> None:
        value = self.value()
        if value is None:
            return
        name, shape = value.name, value.shape
        options: list[tuple[str, Sizes]] = []
        if len(shape) == 1:
            options += [(f"{name}[:, None]", (*shape, 1)), (f"xp.expand_dims({name}, axis=0)", (1, *shape))]
        if len(shape) == 2:
            options += [(f"{name}.T", shape[::-1])]
            if 1 in shape:
                options += [(f"xp.reshape({name}, (-1,))", (shape[0] * shape[1],))]
                axis = shape.index(1)
                options += [(f"xp.squeeze({name}, axis={axis})", dropped(shape, [axis]))]
        if options:
            text, shape = self.one_of(options)
            self.add(text, shape, value.kind, value.bits, value.below)

    def made(self) -> None:
        value = self.value("float")
        if value is None or not value.shape:
            return
        name, shape = value.name, value.shape
        text, made = self.one_of(
            [
                (f"xp.full_like({name}, 0.75)", shape),
                (f"xp.ones_like({name})", shape),
                (f"xp.astype(xp.arange({name}.shape[0]), a0.dtype)", shape[:1]),
                (
                    f"xp.broadcast_to({name}[None, ...], (1, *{name}.shape))" if len(shape) == 1 else name,
                    shape,
                ),
            ]
        )
        if text.startswith("xp.broadcast_to"):
            made = (1, *shape)
        self.add(text, made, bits=(value.bits or 0) + 6 if value.bits is not None else None)


def dropped(shape: Sizes, axes: Any) -> Sizes:
    """The shape without these dimensions."""
    return tuple(n for i, n in enumerate(shape) if i not in axes)
