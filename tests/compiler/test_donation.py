"""Results may take the memory of what was donated by name, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onepass as op


@op.kernel(donate="momentum")
def of_batches(*batches: Any, momentum: Any) -> Any:
    return [2 * b for b in batches]


@op.kernel(donate="first")
def of_first(first: Any, /, *others: Any, last: Any, **named: Any) -> Any:
    return [2 * part for part in (first, *others, last, *named.values())]


@op.kernel(donate="others")
def of_others(first: Any, *others: Any, last: Any = None) -> Any:
    return [2 * part for part in (first, *others, *([] if last is None else [last]))]


@op.kernel(donate="named")
def of_named(first: Any, **named: Any) -> Any:
    return [2 * part for part in (first, *named.values())]


@op.kernel(donate=("state", "params"))
def of_two(params: Any, grads: Any, state: Any = None) -> Any:
    new = [2 * g for g in grads]
    return [p - g for p, g in zip(params, grads, strict=True)], new if state is None else [
        s + 1 for s in state
    ]


def array(value: float) -> Any:
    return np.full(3, float(value))


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], list[int]]] = {
    "keyword": (of_batches, (array(1), array(2)), {"momentum": array(3)}, [2]),
    "first": (of_first, (array(1), array(2), array(3)), {"last": array(4), "more": array(5)}, [0]),
    "others": (of_others, (array(1), array(2), array(3)), {"last": array(4)}, [1, 2]),
    "no others": (of_others, (array(1),), {"last": array(4)}, []),
    "named": (of_named, (array(1),), {"a": array(2), "b": array(3)}, [1, 2]),
    "trees": (of_two, ([array(1), array(2)], [array(3), array(4)], [array(5)]), {}, [0, 1, 4]),
    "by name": (of_two, ([array(1)],), {"state": [array(2)], "grads": [array(3)]}, [0, 1]),
    "default": (of_two, ([array(1)], [array(2)]), {}, [0]),
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_overwritten_that_was_not_named(name: str) -> None:
    from onepass.backends.common.trees import leaves, map_leaves

    kernel, args, kwargs, donated = CALLS[name]
    args, kwargs = map_leaves(np.copy, (args, kwargs))
    before = [leaf.copy() for leaf in leaves((args, kwargs))]
    expected = [leaf.copy() for leaf in leaves(kernel.__wrapped__(*args, **kwargs))]  # type: ignore[attr-defined]
    got = leaves(kernel(*args, **kwargs))
    for mine, reference in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, reference)
    for number, (leaf, old) in enumerate(zip(leaves((args, kwargs)), before, strict=True)):
        if number not in donated:
            np.testing.assert_array_equal(leaf, old)


def test_what_was_named_is_taken() -> None:
    others = [array(2), array(3)]
    result = of_others(array(1), *others)
    assert [np.shares_memory(a, b) for a, b in zip(result[1:], others, strict=True)] == [True, True]


def test_a_default_that_is_an_array_is_not_donated() -> None:
    start = array(1)

    @op.kernel(donate="buffer")
    def step(v: Any, buffer: Any = start) -> Any:
        return v + buffer

    for _ in range(3):
        assert step(array(1)).tolist() == [2, 2, 2]
    assert start.tolist() == [1, 1, 1]
