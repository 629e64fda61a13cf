"""A call in the CPU's text: its plan, and what that costs for the sizes of the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..codegen.cost import Sizes
from ..codegen.explain import Explanation, explain
from ..codegen.lower import lower
from ..ir.attributes import Layout
from ..trace.trace import Traced
from .render import Renderer
from .runtime import threads
from .target import CPU


class CpuText:
    """A traced call, its plan and its text; nothing is compiled."""

    def __init__(
        self,
        function: Callable[..., Any],
        kernel: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        donated_leaves: Sequence[int] = (),
        static_leaves: frozenset[int] = frozenset(),
        layouts: Mapping[int, Layout] | None = None,
        traced: Traced | None = None,
    ) -> None:
        lowered = lower(
            *(function, kernel, args, kwargs, donated_leaves, static_leaves),
            target=CPU,
            layouts=layouts,
            traced=traced,
        )
        self.traced, self.plan, self.shapes = lowered.traced, lowered.plan, lowered.shapes
        self.slot_values = lowered.slot_values
        self.sizes = Sizes(self.plan)
        self.source = Renderer(self.plan).source()

    def explanation(self) -> Explanation:
        """What the program does, in words."""
        return explain(self.plan, self.sizes, threads.worker_count(), self.source)
