"""Reads, views, assignment, aliasing and masks, as NumPy has them: compiled for the CPU, against NumPy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from same_results import assert_same

import onepass as op

MATRIX = np.arange(12, dtype=np.float64).reshape(3, 4) + 0.5
VECTOR = np.arange(6, dtype=np.float64)
CUBE = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
ROWS, COLUMNS = np.array([2, -3, 1]), np.array([3, 0, -1])

CASES: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []


def case(*args: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds a function and its arguments to the cases."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        CASES.append((function, args))
        return function

    return add


def require_same(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Compare two calls with NumPy's result; nothing shares memory, and the arguments stay as they are."""
    expected = function(*copy.deepcopy(args))
    kernel, given = op.kernel(function), copy.deepcopy(args)
    with op.use_backend("numba"):
        for _ in range(2):
            got = kernel(*given)
            assert_same(got, expected, 1e-6)
    assert_same(given, args, 0.0)
    results = got if isinstance(got, tuple) else (got,)
    arrays = [array for array in (*results, *given) if isinstance(array, np.ndarray)]
    for number, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:number])


# Reads


@case(MATRIX)
def slices(x):
    two = x[::-1], x[2:0:-1], x[-2:], x[:, ::-1][:, 1:], x[::2, ::3], x[5:], x[1:-1, 1:-1], x[slice(1, None)]
    return *two, x[..., -1], x[..., None], x[None], x[:, None, 1], x[-1], x[(0,)], x[2:1], x[()]


@case(MATRIX, ROWS, COLUMNS)
def integer_arrays(x, i, j):
    return x[i], x[:, j], x[i][:, i], x[i, 1:3], x[i, None], x[None, i], x[i, j], x[i[:, None], j], x[[0, -1]]


@case(CUBE, np.array([1, 0]))
def integer_arrays_beside_others(x, i):
    apart = x[i, :, i], x[0, :, i], x[i, None, i], x[i, :, None, i], x[None, i, :, i]
    return *apart, x[:, i, :], x[..., i], x[i, ..., 0], x[:, 0, i], x[i, 1, i], x[:, i, None], x[[], 0]


@case(MATRIX)
def arguments_and_views_of_them(x):
    return x, x, x.T, x[0], x.reshape(-1), x[:, :2]


# Scalars and views


@case(VECTOR)
def an_element_is_a_copy(x):
    y = x * 2
    first = y[0]
    first += 1
    y[1], y[2] = y[2], y[1]
    y[3] = 100
    for element in y:
        element += 1
    return y, first


@case(VECTOR)
def a_sum_of_elements_of_an_argument(x):
    total = x[0]
    for position in range(1, 6):
        total += x[position]
    return total


@case(MATRIX)
def an_element_by_an_ellipsis_is_a_view(x):
    y = x * 2
    first = y[0, 0, ...]
    first += 1
    return y


@case(MATRIX)
def all_names_see_a_write(x):
    y = x * 2
    same, row, turned, flat, part = y, y[1], y.T, y.reshape(-1), y[:, 1:3]
    same += 1
    row *= 2
    turned[0] = 7
    flat[5] = 100
    part[...] = part * 2
    return y, same, row, turned, flat, part


@case(MATRIX)
def views_of_views(x):
    y = x * 2
    v = y.T[1:][..., ::-1]
    v[0] = 5
    v.reshape(3, 3)[1] = 100  # a copy
    y.swapaxes(0, 1)[1] += 3
    np.moveaxis(y, 0, 1)[0] = 9
    np.flip(y)[0, 0] = 77
    np.rot90(y, 2)[0, 1] = -5
    np.squeeze(np.expand_dims(y, 0))[0, 1] = 8
    left, right = np.split(y, 2, axis=1)
    left[:] -= 1
    right *= 2
    return y, v


@case(CUBE)
def reshaped_views_and_copies(x):
    y = x * 1
    views = y.reshape(6, 4), y[:, :, :2].reshape(2, 3, 2), y[1].reshape(2, 6), y[:, 0].reshape(2, 2, 2)
    copies = y[:, 1:].reshape(16), y[:, :, :2].reshape(6, 2), y.transpose(1, 0, 2).reshape(6, 4)
    for number, part in enumerate((*views, *copies, y.reshape(2, 12)[:, ::-1].reshape(4, 6))):
        part[0] = number
    return y, *copies


@case(VECTOR)
def ravel_of_elements_with_gaps_is_a_copy(x):
    y = x * 1
    raveled, reshaped, flat = y[::2].ravel(), y[::2].reshape(-1), y.ravel()
    raveled[0] = 9
    reshaped[1] = 8
    flat[5] = 7
    return y, raveled


@case(MATRIX)
def arrays_in_the_order_of_their_operands(x):
    y, back = x.T + 1, x.T.T * 2
    arrays = y, y.copy(), y * 2, np.maximum(y, 3), np.zeros_like(y), np.sort(y), y.astype(int), +y, y.sum(0)
    for array in (*arrays, back):
        array.reshape(-1)[0] = 50
        array.ravel()[1] = 60
    return *arrays, back


@case(MATRIX)
def results_of_broadcasts_and_diagonals_follow_their_base(x):
    y, z = x[0] * 2, x * 2
    wide, diagonal = np.broadcast_to(y, (3, 4)), z.diagonal()
    y += 1
    z *= 3
    return wide, diagonal, np.diag(z)


@case(MATRIX)
def rows(x):
    y = x * 2
    for row in y:
        row -= row.mean()
    for one, other in zip(y, y[::-1], strict=True):
        one += other
    y[0], y[1] = y[1], y[0]  # both are the second row now
    y[[1, 2]] = y[[2, 1]]
    return y


# Assignment


@case(MATRIX)
def assignments_to_slices(x):
    y = x * 2
    y[::-1] = x
    y[::-2] += 1
    y[2:0:-1, ::-1] *= 3
    y[:, None] += 1
    y[:0] = 7
    y[1:, 1:][:, ::-1][0] = np.arange(3)
    y[1:] = y[:-1]
    y[:, :-1] -= y[:, 1:]
    return y


@case(CUBE, np.array([1, 0]))
def assignments_at_integer_arrays(x, i):
    y = x * 2
    y[i, :, i] = 1
    y[:, i, 0] = 5
    y[0, :, i] = np.arange(3)
    y[..., i] += 1
    y[i, 0] -= 1
    y[None, i] *= 2
    y[i, None, 1] = x[i, None, 2]
    y[i][0] = 100  # of a copy
    return y


@case(MATRIX, ROWS, COLUMNS)
def assignments_at_pairs(x, i, j):
    y = x * 2
    y[i, j] = 7
    y[np.arange(3), j] += 1
    y[[0, 0, 1]] = x
    y[[2, 2]] += 1  # once
    y.T[j] -= 3
    return y


@case(MATRIX)
def integers_take_floats_by_truncation(x):
    y = x.astype(np.int64)
    y[0], y[1], y[:, 0] = 1.9, -x[0], True
    y[y > 3] = 2.7
    return y


@pytest.mark.parametrize("kind", [int, np.int64, np.array], ids=lambda kind: kind.__name__)
def test_numbers_as_indices_are_those_of_each_call(kind: Any) -> None:
    def rows_at(x, t):
        y = x * 2
        row = y[t]  # a view at an integer, and a copy at an array
        row += 10
        y[:, t] += x[:, t]
        return y, row, x[t], x[:t], x[-t:]

    kernel = op.kernel(rows_at)
    with op.use_backend("numba"):
        for t in (2, 1, 0):
            assert_same(kernel(MATRIX, kind(t)), rows_at(MATRIX, kind(t)), 0.0)
        with pytest.raises(IndexError, match="rows_at"):
            kernel(MATRIX, kind(7))


# Masks


@case(MATRIX)
def assignments_at_masks(x):
    y, m, k = x * 2, x > 2, x < 8
    y[~m & k] *= 3
    y[m] = (x + 0.5)[m]
    y[m & k] -= x[m & k]
    y[x[:, 0] > 1] += 1
    y[(x > 9).any(axis=1), :] = x[0]
    y.T[(x > 10).T] = -1
    y[[True, False, False]] -= 4
    y[1:][y[1:] > 4] = 1
    return y


@case(MATRIX)
def elements_at_masks_are_copies(x):
    y, m = x * 2, x > 3
    values = y[m]
    y[m] = 0
    before = values.sum()
    m = ~m
    also = values
    also += 1
    z = y + 1
    z[x > 3] = values
    return y, z, before, values.sum()


@case(MATRIX.astype(np.float32))
@case(MATRIX)
def reductions_of_elements_at_masks(x):
    v, rows = x[x > 3], x[x[:, 0] > 1]
    all_of = v.sum(), np.sum(v**2), v.mean(), np.mean(v), v.max(), np.min(v), v.std(), np.var(v, ddof=1)
    return (
        *all_of,
        v.size,
        rows.sum(axis=0),
        rows.mean(axis=0),
        np.sum(x[x > 3], dtype=np.float32),
        np.any(v > 9),
    )


@pytest.mark.parametrize(("function", "args"), CASES, ids=lambda part: getattr(part, "__name__", ""))
def test_a_case(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    require_same(function, args)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (4, 1), (1, 1), (3, 0)])
def test_sizes_of_0_and_1(shape: tuple[int, ...]) -> None:
    def everything(x):
        y = x * 2
        y[1:] = y[:-1]
        y[y > 1] += 1
        y.T[:] -= 1
        y.reshape(-1)[:1] = 5
        y[:, np.arange(x.shape[1])] *= 2
        return y, x[:0], x[::-1], x[[]], x[x > 2].sum(), y.ravel()

    require_same(everything, (np.arange(float(np.prod(shape))).reshape(shape),))


# Errors


ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "row 7": (lambda x: x[7], IndexError),
    "column -5": (lambda x: x[:, -5], IndexError),
    "three indices": (lambda x: x[0, 0, 0], IndexError),
    "a float": (lambda x: x[1.5], IndexError),
    "floats": (lambda x: x[[0.5]], IndexError),
    "known indices": (lambda x: x[np.array([0, 3])], IndexError),
    "computed indices": (lambda x: x[(x[0] > 1) * 3], IndexError),
    "a mask of another shape": (lambda x: x[(x > 1)[:2]].sum(), IndexError),
    "indices that do not fit": (lambda x: x[[0, 1], [0, 1, 2]], IndexError),
    "a wrong value": (lambda x: (x * 1).__setitem__(0, x), ValueError),
    "into broadcast_to": (lambda x: np.broadcast_to(x * 1, (2, 3, 4)).__setitem__(0, 1), ValueError),
    "into a diagonal": (lambda x: (x * 1).diagonal().__iadd__(1), ValueError),
    "int /= 2": (lambda x: x.astype(int).__itruediv__(2), TypeError),
    "int[mask] += 0.5": (lambda x: x.astype(int)[x > 1].__iadd__(0.5), TypeError),
    "uint8 of 300": (lambda x: x.astype(np.uint8).__setitem__(0, 300), OverflowError),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_of_the_class_of_numpy(name: str) -> None:
    wrong, kind = ERRORS[name]

    def mistaken(x):
        found = wrong(x)
        return x if found is None else found

    with pytest.raises(kind):
        mistaken(MATRIX.copy())
    with op.use_backend("numba"), pytest.raises(kind, match=r"^mistaken: .*line \d+"):
        op.kernel(mistaken)(MATRIX)
