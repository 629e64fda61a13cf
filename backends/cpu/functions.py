"""The functions of a program's text: what one uses from outside becomes its parameters.

Two loops that do the same with other buffers are one function, which stands in the program once, and is
compiled once. To find them, a function is written with names that say nothing of the program: its first
length is n0, its first argument x0. If there is none like it, it is written again with the names of the plan,
which are those of `op.explain` and of its other parts.

    inner = Function(outer, ("row0", "rows"), None, plain=True)
    inner.use(buffer, "x")     "x0"; the call passes what `outer` calls the buffer
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from ..codegen.text import Lines
from ..ir.dtypes import BOOL
from ..ir.graph import Axis, Node
from ..ir.nest import BlockLoop, Buffer, BufferKind

# What the names of buffers begin with.
LETTERS = {
    BufferKind.ARGUMENT: "x",
    BufferKind.RESULT: "r",
    BufferKind.STAGE: "w",
    BufferKind.PARTIAL: "p",
    BufferKind.TOTAL: "d",
    BufferKind.BLOCK: "b",
    BufferKind.ROW: "t",
    BufferKind.TILE: "t",
}


def stored(buffer: Buffer) -> str:
    """The dtype of its elements in memory, where a bool is a byte."""
    return "uint8" if buffer.dtype == BOOL else buffer.dtype.name


class Scope:
    """Where names mean something: keys are buffers, axes, values and other things of a plan.

    sizes: of axes whose lengths stand in the text
    lines: between a head, which defines what they use, and a tail
    """

    def __init__(self, sizes: dict[Axis, int]) -> None:
        self.sizes = sizes
        self.names: dict[Hashable, str] = {}
        self.head, self.lines, self.tail = Lines(1), Lines(1), Lines(1)
        self._taken: set[str] = set()

    def use(self, key: Hashable, letter: str = "") -> str:
        """The name of a thing. letter: what its name begins with, where it needs one."""
        raise NotImplementedError

    def new(self, letter: str, wanted: str) -> str:
        """A name that nothing has here: the wanted one, or one with a suffix."""
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name

    def buffer(self, buffer: Buffer) -> str:
        return self.use(buffer, LETTERS[buffer.kind])

    def length(self, axis: Axis | None) -> str:
        """The number of elements along an axis."""
        if axis is None:
            return "1"
        axis = axis.find()
        return str(self.sizes[axis]) if axis in self.sizes else self.use(axis, "n")

    def size(self, axes: Sequence[Axis]) -> str:
        """The number of elements of all axes together."""
        return " * ".join(map(self.length, axes)) or "1"

    def flag(self, slot: int) -> str:
        """The variable that notes that an index was outside; the tail puts it into its slot."""
        key = "outside", slot
        if key not in self.names:
            name = self.names[key] = self.new("outside", f"outside{slot}")
            place = self.use(flag_of(slot), "f")
            self.head.add(f"{name} = int64(0)")
            self.tail.add(f"if {name} != 0:", f"    {place}[0] = int64(1)")
        return self.names[key]

    def all_lines(self) -> list[str]:
        return [*self.head.lines, *self.lines.lines, *self.tail.lines]


class Function(Scope):
    """A function while it is written.

    outer: where it is called
    given: names of the parameters that every call passes by itself, such as `row0`
    tile:  rows of a tile
    plain: whether its names say nothing of the plan
    """

    def __init__(self, outer: Scope, given: Sequence[str], tile: int | None, *, plain: bool) -> None:
        super().__init__(outer.sizes)
        self.outer, self.given, self.tile, self.plain = outer, given, tile, plain
        self._arguments: dict[str, str] = {}  # parameters -> what is passed
        self._counts: dict[str, int] = {}
        self._taken.update((*given, *_OF_LOOPS))

    def use(self, key: Hashable, letter: str = "") -> str:
        if key in self.names:
            return self.names[key]
        if isinstance(key, Buffer) and is_on_stack(key):
            name = self.names[key] = self.new(letter, key.name)
            self.head.add(f"{name} = stack_of_{stored(key)}({self.tile})")
            return name
        argument = self.outer.use(key, letter)
        is_name = argument.isidentifier()
        name = self.names[key] = self.new(letter, argument if is_name else letter) if letter else argument
        self._arguments[name] = argument
        return name

    def new(self, letter: str, wanted: str) -> str:
        if not self.plain:
            return super().new(letter, wanted)
        count = self._counts[letter] = self._counts.get(letter, -1) + 1
        return f"{letter}{count}"

    def text(self) -> str:
        """From its parameters on."""
        return f"({', '.join([*self.given, *self._arguments])}):\n" + "\n".join(self.all_lines()) + "\n"

    def call(self, name: str) -> str:
        """Its call, where it is called."""
        return f"{name}({', '.join([*self.given, *self._arguments.values()])})"


class LoopFunction(Function):
    """The function of a block loop: each worker has a part of the scratch buffers."""

    def __init__(self, outer: Scope, loop: BlockLoop, tile: int | None, *, plain: bool) -> None:
        super().__init__(outer, ("worker", "workers"), tile, plain=plain)
        self.loop = loop

    def use(self, key: Hashable, letter: str = "") -> str:
        is_new = key not in self.names
        name = super().use(key, letter)
        if is_new and isinstance(key, Buffer) and key.kind in _OF_A_WORKER and not is_on_stack(key):
            self.head.add(f"{name} = offset({name}, worker * {self.length_of(key)})")
        return name

    def length_of(self, buffer: Buffer) -> str:
        """A worker's part of a scratch buffer; a block's first axis counts the rows of a block."""
        axes = list(map(self.length, buffer.axes))
        if buffer.kind is BufferKind.BLOCK:
            axes[0] = self.block_rows()
        tile = [str(self.tile)] if buffer.kind is BufferKind.TILE else []
        return " * ".join(tile + axes) or "1"

    def block_rows(self) -> str:
        return self.use(("rows", self.loop.number), "rows")


# Names that the text of every loop uses.
_OF_LOOPS = (
    *("blocks", "block", "first", "last", "row0", "rows", "row", "i", "tile0", "tile_rows", "lane"),
    *("chunk", "column", "element", "other", "size"),
)

# Scratch buffers that each worker has a part of.
_OF_A_WORKER = (BufferKind.TOTAL, BufferKind.BLOCK, BufferKind.ROW, BufferKind.TILE)


def is_on_stack(buffer: Buffer) -> bool:
    """Whether a buffer is so small: one number for each row of a tile."""
    return buffer.kind is BufferKind.TILE and not buffer.axes


class StageScope(Scope):
    """The names in one stage of a program, whose sizes and pointers are read from the table where it begins.

    read: takes a thing; gives its name, and what it is read from, which may be nothing
    """

    def __init__(self, sizes: dict[Axis, int], read: Callable[[Hashable], tuple[str, str]]) -> None:
        super().__init__(sizes)
        self._read = read

    def use(self, key: Hashable, letter: str = "") -> str:
        if key not in self.names:
            name, source = self._read(key)
            self.names[key] = name
            self._taken.add(name)
            if source:
                self.head.add(f"{name} = {source}")
        return self.names[key]


class Functions:
    """The functions of one program, each text once."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # by the text with plain names
        self._texts: dict[str, str] = {}  # by the name, with names of the plan
        self._counts: dict[str, int] = {}

    def add(self, name: str, written: Callable[[bool], Function]) -> str:
        """Add a function, unless there is one like it; the call of it.

        name:    what it is called, before a number
        written: writes the function, with plain names or not
        """
        plain = written(True)
        text = plain.text()
        if text not in self._names:
            count = self._counts[name] = self._counts.get(name, -1) + 1
            self._names[text] = f"{name}{count}"
        # A caller that is written with plain names is written once more.
        is_last = not (isinstance(plain.outer, Function) and plain.outer.plain)
        if is_last and self._names[text] not in self._texts:
            self._texts[self._names[text]] = written(False).text()
        return plain.call(self._names[text])

    def routine(self, name: str, text: str) -> str:
        """Add a function of this text, from its parameters on; its name."""
        self._texts[name] = text
        return name

    def texts(self) -> list[str]:
        return [f"def {name}{text}" for name, text in self._texts.items()]


# Keys of what has no record of its own in a plan.


def sum_of(node: Node) -> Hashable:
    """The worker's part of a sum over rows: a pointer, or a number where the sum has no axes."""
    return "sum", node


def cell_of(node: Node) -> Hashable:
    """A pointer to the worker's part of a sum without axes, where several nests or blocks add to it."""
    return "cell", node


def stride_of(buffer: Buffer) -> Hashable:
    """The elements from one row of an argument to the next, or from one column to the next."""
    return "stride", buffer


def flag_of(slot: int) -> Hashable:
    """A pointer to where it is noted that an index was outside."""
    return "flag", slot
