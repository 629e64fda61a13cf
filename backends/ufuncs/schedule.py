"""The order of a NumPy program: what is computed at once, and what block by block over the rows.

Takes items; gives segments, in order. A segment computes its items on whole arrays, or on blocks of rows that
stay in cache. `softmax_cross_entropy_with_grad` of 4096 x 1000 logits is

    whole arrays:            the label and the weight of each row
    4096 rows, 32 at a time: maximum, difference, exponentials, their sum, gradient
    whole arrays:            the losses of the rows, and their sum

Blocks depend on shapes and dtypes alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..ir.graph import Node
from .items import Item, Kind, elements, is_by_rows, rows_of, width

# Bytes of a value in a block. A few values of a block together stay in cache.
BLOCK = 1 << 18
# Values of up to so many bytes are computed at once.
WHOLE = 1 << 20
# What has at most an eighth of the elements is cheap.
_NARROW = 8


class Segment(NamedTuple):
    """Items that are computed together.

    rows:  the number of rows; None for whole arrays
    block: the number of rows of a block
    """

    items: list[Item]
    rows: int | None = None
    block: int = 0


def schedule(items: Mapping[Node, Item], outputs: Iterable[Node]) -> list[Segment]:
    """All items, each after what it needs."""
    loops = {node: rows_of(item) for node, item in items.items()}
    levels = _levels(items, loops)
    _sink(items, loops, levels, frozenset(outputs))
    segments: list[Segment] = []
    for level in range(max(levels.values(), default=-1) + 1):
        here = [item for node, item in items.items() if levels[node] == level]
        groups: dict[int | None, list[Item]] = {None: []}
        for item in here:
            groups.setdefault(loops[item.node], []).append(item)
        for rows, group in groups.items():
            segments += [Segment(group)] if rows is None else _loop(rows, group)
    return _joined(segments)


def _levels(items: Mapping[Node, Item], loops: Mapping[Node, int | None]) -> dict[Node, int]:
    """The level of each item. On a level whole arrays come first, then the loops over rows."""
    levels: dict[Node, int] = {}
    for node, item in items.items():
        level = 0
        for source in item.inputs:
            if source in items:
                is_together = loops[node] == loops[source] is not None and is_by_rows(item, source)
                level = max(level, levels[source] + (loops[source] is not None and not is_together))
        levels[node] = level
    return levels


def _sink(
    items: Mapping[Node, Item],
    loops: Mapping[Node, int | None],
    levels: dict[Node, int],
    outputs: frozenset[Node],
) -> None:
    """Compute what only later loops need there, unless it would keep more memory between loops."""
    users: dict[Node, list[Item]] = {node: [] for node in items}
    for item in items.values():
        for source in set(item.inputs) & items.keys():
            users[source].append(item)

    def is_kept(node: Node, but: Item) -> bool:
        others = (user for user in users[node] if user is not but)
        return node in outputs or any(levels[user.node] > levels[node] for user in others)

    for node, item in reversed(list(items.items())):
        mine = users[node]
        if loops[node] is None or node in outputs or not mine:
            continue
        later = min(levels[user.node] for user in mine)
        is_by_loop = all(loops[user.node] == loops[node] and is_by_rows(user, node) for user in mine)
        more = [s for s in set(item.inputs) if s in items and loops[s] is not None and not is_kept(s, item)]
        if is_by_loop and later > levels[node] and sum(map(_bytes, more)) <= _bytes(node):
            levels[node] = later


def _bytes(node: Node) -> int:
    return elements(node) * node.dtype.itemsize


def _loop(rows: int, items: list[Item]) -> list[Segment]:
    """The segments of items that can be computed row by row."""
    widest = max((item.node for item in items), key=lambda node: width(node) * node.dtype.itemsize)
    size = width(widest) * widest.dtype.itemsize
    wide = {item.node for item in items if width(item.node) * _NARROW > width(widest)}
    if rows * size <= WHOLE or len(wide) < 2:
        return [Segment(items)]
    before, body, after = _split(items, wide)
    found = [Segment(before), Segment(_early_first(body), rows, max(1, BLOCK // size)), Segment(after)]
    return [segment for segment in found if segment.items]


def _split(items: list[Item], wide: set[Node]) -> tuple[list[Item], list[Item], list[Item]]:
    """What needs no wide value, the loop, and what no wide value needs: few numbers are computed at once."""
    most = max(map(width, wide))
    before: set[Node] = set()
    inside = {item.node for item in items}
    for item in items:
        is_ready = all(source not in inside or source in before for source in item.inputs)
        # A pass over whole rows belongs into the loop that reads them too; a look at one element does not.
        is_pass = item.kind is not Kind.TAKE and any(width(source) * _NARROW > most for source in item.inputs)
        if is_ready and not is_pass and item.node not in wide:
            before.add(item.node)
    needed = {source for item in items if item.node in wide for source in item.inputs}
    after: set[Node] = set()
    for item in reversed(items):
        is_needed = item.node in needed or item.node in wide or item.node in before
        # What reads a wide value reads its block.
        if is_needed or any(source in wide for source in item.inputs):
            needed.update(item.inputs)
        else:
            after.add(item.node)
    body = [item for item in items if item.node not in before and item.node not in after]
    return (
        [item for item in items if item.node in before],
        body,
        [item for item in items if item.node in after],
    )


def _early_first(items: Sequence[Item]) -> list[Item]:
    """The items with those of few elements as early as they can be, so that what they read is dead sooner."""
    places = {item.node: place for place, item in enumerate(items)}
    needs = [{places[s] for s in item.inputs if s in places} for item in items]
    users: list[list[int]] = [[] for _ in items]
    for place, needed in enumerate(needs):
        for source in needed:
            users[source].append(place)
    left = list(map(len, needs))
    ready = [(not _is_reading(item), place) for place, item in enumerate(items) if not left[place]]
    heapq.heapify(ready)
    ordered: list[Item] = []
    while ready:
        _, place = heapq.heappop(ready)
        ordered.append(items[place])
        for user in users[place]:
            left[user] -= 1
            if not left[user]:
                heapq.heappush(ready, (not _is_reading(items[user]), user))
    return ordered


def _is_reading(item: Item) -> bool:
    return _NARROW * elements(item.node) <= max(map(elements, item.inputs), default=0)


def _joined(segments: Iterable[Segment]) -> list[Segment]:
    """Neighbouring segments of whole arrays as one."""
    found: list[Segment] = []
    for segment in segments:
        if not segment.items:
            continue
        if found and found[-1].rows is None and segment.rows is None:
            found[-1] = Segment([*found[-1].items, *segment.items])
        else:
            found.append(segment)
    return [Segment(_early_first(s.items)) if s.rows is None else s for s in found]
