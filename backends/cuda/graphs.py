"""Recorded launches by the addresses that they were recorded with: which are made, and which are kept.

A graph costs one launch where a program has ten, but is bound to its addresses. Those of our own kernels
could be changed in it. cuBLAS hides those of its kernels, so that updating a graph means recording it anew:
as many calls from Python as launching it directly, which is what is done for new addresses.

A training loop comes back to the same few sets of addresses, or goes through many in rotation, such as the
batches of an epoch. So a set is recorded when it comes the second time, and a graph is not given up for
another while it is in use: of more sets in rotation than there are graphs, the first ones keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ..common.forks import data_lock
from .device import Device

MOST_GRAPHS = 64
# After so many calls without it a graph gives way to another, and a set of addresses is new again.
FORGOTTEN_AFTER = 1024


@dataclass(slots=True)
class _Graph:
    launch: Callable[[], None]
    used: int  # the call that launched it last


class Graphs:
    """The graphs of one program. They hold no arrays: a call has all that it launches them for."""

    def __init__(self) -> None:
        self._graphs: dict[Hashable, _Graph] = {}
        # Sets without a graph, the one seen first at the beginning: the call; None where recording failed.
        self._seen: dict[Hashable, int | None] = {}
        self._calls = 0
        self._full_until = 0  # no graph gives way before this call

    def get(self, key: Hashable) -> Callable[[], None] | None:
        """What was recorded for these addresses."""
        self._calls += 1
        graph = self._graphs.get(key)
        if graph is None:
            return None
        graph.used = self._calls
        return graph.launch

    def run(self, key: Hashable, run: Callable[[], None], device: Device) -> None:
        """Launch, and record what comes with the same addresses a second time."""
        # What the caller records must be part of that, and says nothing about the next call.
        if not self._is_due(key) or device.is_capturing():
            run()
            return
        launch = device.graph(run)
        with data_lock:
            if launch is None:
                # That need not be found out again.
                self._seen[key] = None
            else:
                self._seen.pop(key, None)
                self._graphs[key] = _Graph(launch, self._calls)
        (launch or run)()

    def _is_due(self, key: Hashable) -> bool:
        """Whether this set has come before, can be recorded as far as is known, and there is room."""
        with data_lock:
            if key not in self._seen:
                self._seen[key] = self._calls
                if len(self._seen) > FORGOTTEN_AFTER:
                    del self._seen[next(iter(self._seen))]
                return False
            return self._seen[key] is not None and self._has_room()

    def _has_room(self) -> bool:
        """Make room for a graph, if one has not been used for long."""
        if len(self._graphs) < MOST_GRAPHS:
            return True
        if self._calls < self._full_until:
            return False
        oldest = min(self._graphs, key=lambda key: self._graphs[key].used)
        self._full_until = self._graphs[oldest].used + FORGOTTEN_AFTER
        if self._calls < self._full_until:
            return False
        del self._graphs[oldest]
        return True
