"""Side effects in a trace: a kernel that writes into captured values or containers cannot be compiled.

    history = []
    @kernel
    def step(x): history.append(x.sum()); return 2 * x

would append in the first call only, and a symbolic array. The change is undone and the kernel rejected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..common.trees import is_record

if TYPE_CHECKING:
    from .tracer import Trace


class Place(NamedTuple):
    """Something that a function can write into.

    kind:   "cell" of a closure, "name" in a dict of globals (where, name), "object" with attributes, or a
            container: "list", "dict", "set"
    before: the contents of the cell, the global, or a copy of the attributes or of the container
    """

    kind: Literal["cell", "name", "object", "list", "dict", "set"]
    where: Any
    before: Any
    description: str

    def now(self) -> Any:
        """The current contents."""
        if self.kind == "cell":
            return self.where.cell_contents
        if self.kind == "name":
            return self.where[0].get(self.where[1])
        return vars(self.where) if self.kind == "object" else self.where

    def is_unchanged(self) -> bool:
        """Whether the contents are the same as before, by identity."""
        now, before = self.now(), self.before
        if self.kind in ("object", "dict"):
            return len(now) == len(before) and all(
                key in now and now[key] is value for key, value in before.items()
            )
        if self.kind == "list":
            return len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True))
        return bool(now == before) if self.kind == "set" else now is before

    def restore(self) -> None:
        """Undo the changes."""
        if self.kind == "cell":
            self.where.cell_contents = self.before
        elif self.kind == "name":
            self.where[0][self.where[1]] = self.before
        elif self.kind == "list":
            self.where.clear()
            self.where.extend(self.before)
        else:
            now = self.now()
            now.clear()
            now.update(self.before)


def container(value: Any, description: str) -> Place | None:
    """A list, dict or set as a place; None for other values."""
    for kind, name in ((list, "list"), (deque, "list"), (dict, "dict"), (set, "set")):
        if isinstance(value, kind):
            return Place(name, value, value.copy(), description)  # type: ignore[arg-type]
    return None


def instance(value: Any, description: str) -> Place | None:
    """An object with attributes as a place; None for other values."""
    variables = getattr(value, "__dict__", None)
    return Place("object", value, dict(variables), description) if isinstance(variables, dict) else None


class Watched:
    """The places that a kernel must not change.

    outside: places in captured values
    tree:    the arguments of the kernel
    """

    def __init__(self, outside: Iterable[Place], tree: Any) -> None:
        self._outside = list(outside)
        self._inside: list[Place] = []
        self._add(tree)

    def _add(self, tree: Any) -> None:
        if isinstance(tree, list | tuple | dict):
            place = container(tree, "a list or dict among its arguments")
            items = list(tree.values() if isinstance(tree, dict) else tree)
        elif is_record(tree):
            place = instance(tree, "an object among its arguments")
            items = list(getattr(tree, "__dict__", {}).values())
        else:
            return
        self._inside += [place] if place is not None else []
        for item in items:
            self._add(item)

    def require_unchanged(self, trace: Trace, line: str) -> None:
        """Raise if the kernel, defined at `line`, wrote into a place that outlives the call."""
        for place in self._outside + self._inside:
            if not place.is_unchanged():
                raise trace.error(
                    TypeError,
                    f"writes into {place.description}; expected no side effects. Return the new value",
                    line,
                )

    def undo(self) -> None:
        """Undo the changes of captured values."""
        for place in self._outside:
            if not place.is_unchanged():
                place.restore()
