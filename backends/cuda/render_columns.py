"""The part of the GPU's printer for the loops over the columns of a row."""

from __future__ import annotations

import re

from ..codegen.scopes import Scope
from ..codegen.stages import kind
from ..codegen.values import reduces
from ..ir.graph import Axis, Node
from . import dialect
from .render_parts import PartPrinter


class ColumnPrinter(PartPrinter):
    """Prints one turn over the columns: what a thread loads, computes, reduces and stores."""

    def columns(self, axis: Axis, nodes: list[Node], row: Scope) -> None:
        """A loop over the columns for all these: values to store or keep, reductions, and sums over rows."""
        assert self.loop is not None
        geometry = self.geometry
        active = "active" if geometry.rows > 1 else ""
        is_main = axis is self.main
        column = Scope(row.indent + 3 if is_main else row.indent + 1, [], row, {**row.index, axis: "column"})
        before, after = Scope(row.indent, []), Scope(row.indent, [])
        self.loads, self.first_loads, self.loaded = [], [], {}
        stores: list[str] = []
        names: dict[Node, str] = {}
        for node in nodes:
            if reduces(node) and kind(node) == "row":
                names[node] = self.name(node)
                start, join = dialect.start(node.operation, node.dtype), dialect.functor(node.operation)
                before.add(f"{dialect.TYPES[node.dtype]} {names[node]} = {start};")
                element = self.value(node.inputs[0], column)
                step = dialect.join(node.operation, node.dtype, names[node], element)
                column.add(f"{names[node]} = {step};")
                after.add(f"{names[node]} = group.combine({names[node]}, {join}());")
            elif kind(node) == "sum":
                self.add_to_sum(node, column, active)
            elif node in self.keep and is_main:
                value = self.value(node, column)
                name = f"v{node.number}_kept"
                before.add(f"{dialect.TYPES[node.dtype]} {name}[ITEMS][VECTOR];")
                column.add(f"{name}[item][v] = {value};")
                column.names[node] = value
                if node in self.loop.stores:
                    stores += self.stored(node, column)
                self.kept[node] = f"{name}[item][v]"
            else:
                stores += self.stored(node, column)
        row.lines += before.lines
        if is_main:
            self.print_main_loop(row, column, stores, active)
        else:
            # The thread that writes a column is the one that reads it.
            row.add(f"for (long long column = lane; column < {self.length(axis)}; column += LANES) {{")
            row.lines += column.lines
            row.lines += ["    " * (row.indent + 1) + text for text in stores]
            row.add("}")
        row.lines += after.lines
        row.names.update(names)

    def print_main_loop(self, row: Scope, column: Scope, stores: list[str], active: str) -> None:
        n = self.length(self.main)
        deep = "    " * (row.indent + 2)
        over_items = [
            "#pragma unroll",
            f"{row.margin}for (int item = 0; item < ITEMS; ++item) {{",
            f"{row.margin}    const int column0 = (item * LANES + lane) * VECTOR;",
            f"{row.margin}    if (column0 < {n}) {{",
        ]
        if self.first_loads:
            # All of a thread's part of the row is asked for before any of it is waited for.
            row.lines += [*over_items, *(deep + text for text in self.first_loads)]
            row.add("    }")
            row.add("}")
        if self.geometry.items:
            row.lines += over_items
        else:
            row.add(f"for (long long column0 = (long long)lane * VECTOR; column0 < {n};")
            row.add("     column0 += LANES * VECTOR) {")
            row.add("    {")
        row.lines += [deep + text for text in self.loads]
        if column.lines:
            row.lines.append("#pragma unroll")
            row.lines.append(f"{deep}for (int v = 0; v < VECTOR; ++v) {{")
            index = "int" if self.geometry.items else "long long"
            if re.search(r"\bcolumn\b", "\n".join(column.lines)):
                row.lines.append(f"{deep}    const {index} column = column0 + v;")
            row.lines += column.lines
            row.lines.append(f"{deep}}}")
        if stores and active:
            row.lines.append(f"{deep}if ({active}) {{")
            row.lines += [f"{deep}    {text}" for text in stores]
            row.lines.append(f"{deep}}}")
        else:
            row.lines += [deep + text for text in stores]
        row.add("    }")
        row.add("}")

    def stored(self, node: Node, column: Scope) -> list[str]:
        """Compute a value of a column, and the statements that store it behind the loop over the vector."""
        value = self.value(node, column)
        pointer = self.row_pointer(node) if self.main in node.axes and self.at_main(column) else None
        if pointer is None:
            place = f"{self.element(node, column)} = {dialect.written(value, self.held(node))};"
            if self.at_main(column):
                active = "if (active) " if self.geometry.rows > 1 and not self.geometry.flat else ""
                column.add(f"{active}{place}")
                return []
            return [f"if (active) {place}" if self.geometry.rows > 1 else place]
        name, held = f"v{node.number}_out", self.held(node)
        # Halves are rounded two at a time where they are stored.
        declared, in_vector = dialect.stored_type(held), dialect.written(value, held)
        if held.is_half:
            declared, in_vector = dialect.TYPES[node.dtype], value
        self.loads.append(f"{declared} {name}[VECTOR];")
        column.add(f"{name}[v] = {in_vector};")
        return [f"{dialect.store_of(held)}<VECTOR>({pointer} + {self.columns_here}, {name});"]
