"""Lines that only users of NumPy write: out=, functions that write into an array, padding, einsum."""

from __future__ import annotations

from program_writer import Value, broadcast
from whole_numbers import NumberLines
from whole_writer import counted, together


class NumpyLines(NumberLines):
    """They are written only in programs of NumPy's style, but for those that the standard has as well."""

    def of_diagonals(self) -> None:
        """Diagonals, traces, norms and powers of matrices."""
        value = self.late(self.several("float", least=2))
        if value is None:
            return
        x, offset = value.name, self.choose(3) - 1
        library = self.say("xp", "np")
        kind = self.choose(4)
        if kind == 0:
            self.put(f"{library}.linalg.diagonal({x}, offset={offset}) + 0", value.bits)
        elif kind == 1:
            self.put(
                f"{library}.linalg.trace({x}, offset={offset})", together([value.bits], counted(value.shape))
            )
        elif kind == 2:
            axis = self.axis_of(value.shape)
            self.put(f"{library}.linalg.vector_norm({x}, axis={axis}, keepdims={bool(self.choose(2))})")
        elif value.shape[-1] == value.shape[-2]:
            self.put(f"{library}.linalg.matrix_power(xp.tanh({x}), {self.choose(4)})")

    def of_numpy(self) -> None:
        """Functions that the standard has not."""
        value = self.late(self.several("float", least=1))
        if value is None or not self.is_numpy:
            return
        x, axis = value.name, self.axis_of(value.shape)
        widths = [(self.choose(3), self.choose(2)) for _ in value.shape]
        same = [
            f"np.pad({x}, {widths})",
            f"np.pad({x}, {self.choose(2)}, constant_values=0.5)",
            f"np.append({x}, {x}, axis={axis})",
            f"np.rot90({x}[..., None])",
            f"np.atleast_2d({x})",
            f"np.squeeze({x}[None])",
            f"np.where({x} == {x}, {x}, 0)",
            f"np.nan_to_num({x}, posinf=1.0, neginf=-1.0)",
            f"np.meshgrid({x}.ravel()[:3], np.arange(2.0))[0]",
            f"np.ravel({x})",
            f"np.broadcast_arrays({x}, {x}[..., :1])[1] + 0",
            f"{x}.flatten()",
        ]
        if 0 not in value.shape:
            same += [
                f"np.ptp({x}, axis={axis})",
                f"np.median({x}, axis={axis})",
                f"np.delete({x}, 0, axis={axis})",
            ]
        inexact = [
            f"np.outer({x}[..., 0], {x}[..., 0])",
            f"np.gradient({x}, axis={axis})",
            f"np.cumprod(np.tanh({x}))",
        ]
        inexact += [f"np.einsum('i,j->ij', {x}.ravel()[:4], {x}.ravel()[:3])"]
        if len(value.shape) == 3:
            inexact += [f"np.einsum('ijk,ijk->ik', {x}, {x})", f"np.einsum('ijk->kji', {x})"]
        if self.choose(4):
            before = len(self.values)
            self.put(self.one_of(same), together([value.bits], 1))
            if len(self.values) > before:
                self.note_memory(value)
        else:
            self.put(self.one_of(inexact))

    def of_masks(self) -> None:
        """Sums of the elements at a mask."""
        value = self.late(self.several("float", least=1))
        if value is None or not self.is_numpy:
            return
        masks = [v for v in self.several("bool", least=1) if v.shape == value.shape[: len(v.shape)]]
        if masks:
            mask: Value = self.late(masks)
            self.put(f"{value.name}[{mask.name}].sum()", together([value.bits], counted(value.shape)))

    def write_by_function(self, target: Value) -> None:
        """Functions and methods that write into an array."""
        x = target.name
        kinds = {"float": ("float",), "int": ("int",), "bool": ("bool",)}[target.kind]
        same = [v for v in self.several(*kinds) if broadcast(v.shape, target.shape) == target.shape]
        texts: list[tuple[str, int | None]] = [(f"{x}.fill(1)", 1), (f"{x}.sort()", target.bits)]
        texts += [(f"{x}.flat[...] = 0", 1)] if self.choose(8) == 0 else []
        if len(target.shape) == 2:
            texts.append((f"np.fill_diagonal({x}, 1)", 1))
        if same:
            other: Value = self.late(same)
            y, bits = other.name, together([other.bits, target.bits], 2)
            texts.append((f"np.copyto({x}, {y})", other.bits))
            if target.kind == "float":
                texts += [
                    (f"np.add({x}, {y}, out={x})", bits),
                    (f"np.negative({y}, out={x})", other.bits),
                ] * 2
                texts += [(f"np.tanh({x}, out={x})", None), (f"np.maximum({x}, {y}, out={x})", bits)]
                masks = [
                    v.name for v in self.several("bool") if broadcast(v.shape, target.shape) == target.shape
                ]
                if masks:
                    texts.append((f"np.copyto({x}, {y}, where={self.one_of(masks)})", other.bits))
        text, written = self.one_of(texts)
        self.written(target, text, written)
