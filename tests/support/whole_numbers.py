"""Lines with products, linear algebra, integers and bools, and reductions over several axes."""

from __future__ import annotations

from typing import Any

from program_writer import broadcast
from whole_indices import IndexLines
from whole_writer import counted, together


class NumberLines(IndexLines):
    """Arithmetic that the lines of matrices and floats have not."""

    def product_of(self, bits: tuple[int | None, int | None], count: int) -> int | None:
        return None if bits[0] is None or bits[1] is None else bits[0] + bits[1] + max(count, 1).bit_length()

    def many_products(self) -> None:
        """Products of matrices in arrays of any number of dimensions."""
        kinds = ("float", "float", "float", "int")[self.choose(4)]
        a = self.late(self.several(kinds, least=1))
        if a is None:
            return
        inner = a.shape[-1]
        fitting = [
            (b, text)
            for b in self.several(kinds, least=1)
            for text, size in (
                (b.name, b.shape[-2] if len(b.shape) > 1 else b.shape[0]),
                (f"{b.name}.mT", b.shape[-1] if len(b.shape) > 1 else -1),
            )
            if size == inner
        ]
        if not fitting:
            return
        b, text = self.late(fitting)
        how = self.say(
            f"{a.name} @ {text}", self.one_of([f"np.matmul({a.name}, {text})", f"{a.name}.dot({text})"])
        )
        self.put(how, self.product_of((a.bits, b.bits), inner))

    def contracted(self) -> None:
        """tensordot and vecdot."""
        a = self.late(self.several("float", least=1))
        if a is None:
            return
        axis = self.axis_of(a.shape)
        b = self.late([v for v in self.several("float", least=1) if a.shape[axis] in v.shape])
        if b is None:
            return
        size = a.shape[axis]
        other = self.one_of([d for d, n in enumerate(b.shape) if n == size])
        count = size
        texts = [f"xp.tensordot({a.name}, {b.name}, axes=(({axis},), ({other},)))"]
        if a.shape[-2:] == b.shape[:2] and len(a.shape) > 1:
            texts += [f"xp.tensordot({a.name}, {b.name}, axes=2)"]
            count *= max(*a.shape, 1)
        if other == axis and broadcast(a.shape, b.shape) is not None:
            texts += [f"xp.vecdot({a.name}, {b.name}, axis={axis})"]
        if b.shape[-1] == a.shape[-1]:
            texts += [f"xp.vecdot({a.name}, {b.name})"]
            if self.is_numpy and len(a.shape) == len(b.shape) == 2:
                texts += [f"np.einsum('ij,kj->ik', {a.name}, {b.name})", f"np.inner({a.name}, {b.name})"]
        self.put(self.one_of(texts), self.product_of((a.bits, b.bits), count))

    def solved(self) -> None:
        """Inverses, solutions and determinants of well-conditioned matrices."""
        value = self.late([v for v in self.several("float", least=2) if v.shape[-2] <= 6])
        if value is None:
            return
        x, n = value.name, value.shape[-2]
        library = self.say("xp", "np")
        matrix = f"(xp.tanh({x}) @ xp.tanh({x}).mT + {n} * {library}.eye({n}, dtype={x}.dtype))"
        options = [f"{library}.linalg.inv({matrix})", f"{library}.linalg.cholesky({matrix})"]
        if n <= 4:
            options += [f"{library}.linalg.det({matrix})", f"xp.linalg.slogdet({matrix})[1]"]
        right = [v for v in self.several("float", least=2) if v.shape[-2] == n]
        if right:
            options += [f"{library}.linalg.solve({matrix}, {self.one_of(right).name})"] * 3
        self.put(self.one_of(options))

    def of_integers(self) -> None:
        """Integers and bools, alone and mixed with others."""
        a = self.late(self.several("int", "bool"))
        if a is None:
            return
        kinds = ("int", "int", "bool", "float")[self.choose(4)]
        others = [v for v in self.several(kinds) if broadcast(a.shape, v.shape) is not None]
        b = self.late(others)
        x = a.name
        if b is None or self.choose(4) == 0:
            texts = [f"{x} + 1", f"{x} * 2", f"2 - {x}", f"{x} > 0", f"xp.astype({x}, xp.int64)", f"{x} / 2"]
            if a.kind == "int":
                texts += [
                    f"{x} % 3",
                    f"{x} // 2",
                    f"-{x}",
                    f"xp.abs({x})",
                    f"xp.clip({x}, 1, 2)",
                    f"xp.sign({x})",
                ]
                texts += [f"{x} & 3", f"~{x}", f"{x}**2", f"xp.astype({x}, xp.int32)", f"{x} == 1"]
            self.put(self.one_of(texts), together([a.bits, a.bits], 2))
            return
        y = b.name
        texts = [f"{x} + {y}", f"{x} * {y}", f"{y} * {x}"]
        if b.kind != "bool" and a.kind != "bool":
            texts += [f"xp.maximum({x}, {y})", f"{y} - {x}", f"{x} - {y}"]
        if a.kind == "bool":
            texts += [f"xp.where({x}, {y}, {y})", f"xp.where({x}, {y}, 1)"]
        if b.kind != "float":
            texts += [f"{x} & {y}", f"{x} | {y}", f"{x} ^ {y}"]
        if a.kind == b.kind == "int":
            texts += [f"{x} < {y}", f"{x} == {y}", f"{x} % (xp.abs({y}) + 1)", f"{x} // (xp.abs({y}) + 1)"]
        bits = None if a.bits is None or b.bits is None else a.bits + b.bits
        self.put(self.one_of(texts), bits)

    def reduced(self) -> None:
        """Reductions over one axis, several or all."""
        value = self.late(self.several(least=1))
        if value is None:
            return
        order = self.order(len(value.shape))
        axes = order[: 1 + self.choose(len(order))]
        axis: Any = self.one_of([axes, axes, axes[0], None])
        axes = tuple(range(len(order))) if axis is None else axes if axis == axes else axes[:1]
        keep = self.one_of(["", "", ", keepdims=True"])
        x, more = value.name, counted(value.shape, axes)

        def text(name: str) -> str:
            plain = self.one_of([f"{x}.{name}(axis={axis}{keep})", f"np.{name}({x}, axis={axis}{keep})"])
            return self.say(f"xp.{name}({x}, axis={axis}{keep})", plain)

        kind = self.choose(6)
        if value.kind == "bool" or kind == 0:
            name = self.one_of(
                ["any", "all", "sum", "count_nonzero"] if value.kind == "bool" else ["any", "all"]
            )
            if value.kind == "float" and not value.exact:
                return
            if name == "count_nonzero":
                self.put(f"xp.count_nonzero({x}, axis={axis}{keep})", more)
            else:
                self.put(text(name), more)
        elif kind <= 2:
            self.put(text("sum"), together([value.bits], more))
        elif kind == 3 and 0 not in value.shape:
            self.put(text(self.one_of(["mean", "var", "std"])) if value.exact else text("mean"))
        elif kind == 4 and value.kind == "int":
            self.put(text("prod"))
        elif 0 not in value.shape:
            self.put(text(self.one_of(["max", "min"])), value.bits)

    def in_numpy(self) -> None:
        """Functions of elements, as users of NumPy write them."""
        value = self.late(self.several("float"))
        if value is None:
            return
        x = value.name
        exact = [
            f"np.abs({x})",
            f"np.maximum({x}, 0)",
            f"np.clip({x}, -1, 1)",
            f"{x}.clip(-1, 1)",
            f"{x}.copy()",
        ]
        exact += [f"np.where({x} > 0, {x}, 0.0)", f"np.negative({x})"] if value.exact else []
        smooth = [f"np.exp(np.minimum({x}, 2))", f"np.tanh({x})", f"np.sin({x})", f"np.log1p({x} ** 2)"]
        if not self.is_numpy:
            exact = [
                f"xp.abs({x})",
                f"xp.asarray({x}, copy=True)",
                f"xp.asarray({x})",
                f"xp.real({x})",
                f"+{x}",
            ]
            smooth = [f"xp.sin({x})", f"xp.atan({x})", f"xp.hypot({x}, 1.0 + xp.abs({x}))"]
        if self.choose(2):
            self.put(self.one_of(exact), value.bits)
        else:
            self.put(self.one_of(smooth))
