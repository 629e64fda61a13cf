"""Derivatives of the functions that the arrays' library computes: sorting, sums up to each element, linalg.

A function takes the cotangent of the result, the node, its inputs, and the position of the input whose
cotangent it gives. A node with several results has one cotangent for each; their contributions add up.

The formulas for matrix factors are those of Giles, "Collected matrix derivative results" (2008), of Murray,
"Differentiation of the Cholesky decomposition" (2016), and of Townsend, "Differentiating the Singular Value
Decomposition" (2016). As in JAX and PyTorch, the gradient of a function of symmetric matrices is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..ir.attributes import LibraryCall
from ..ir.dtypes import INT64
from ..ir.graph import Node
from ..trace import linalg
from ..trace import namespace as xp
from ..trace.indexing import get_item
from ..trace.library_calls import call
from ..trace.promotion import cast
from ..trace.symbolic import SymbolicArray
from .formulas import by_formula, matrix_power, products_up_to
from .shaping import summed_to

Rule = Callable[[SymbolicArray, Node, Sequence[SymbolicArray], int], Any]


def _options(node: Node) -> dict[str, Any]:
    return dict(node.attribute_as(LibraryCall).options)


def _part(node: Node) -> int:
    part = node.attribute_as(LibraryCall).part
    assert part is not None, f"{node} has one result"
    return part


def _out(node: Node, inputs: Sequence[SymbolicArray]) -> SymbolicArray:
    return SymbolicArray(inputs[0].tracer, node)


def _none(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> None:
    """Of integers, and of steps."""


# Sorting and sums


def _sort(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    options = _options(node)
    order = xp.argsort(inputs[0], **options)
    places = xp.argsort(order, axis=options["axis"])
    return xp.take_along_axis(g, places, axis=options["axis"])


def _cumulative_sum(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    """The sum of all cotangents from each element on."""
    options = _options(node)
    along = options["axis"]
    if options["include_initial"]:
        g = g[(*[slice(None)] * along, slice(1, None))]
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=along), axis=along), axis=along)


def _cumulative_product(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    options = _options(node)
    along = options["axis"]
    if options["include_initial"]:
        g = g[(*[slice(None)] * along, slice(1, None))]
    return by_formula(lambda x: products_up_to(x, along), g, inputs, position)


def _next_after(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    """Its neighbour moves with a number; the direction is a step."""
    return None if position else g


# Elements at indices


def _read(g: SymbolicArray, node: Node, indices: Sequence[SymbolicArray]) -> SymbolicArray:
    """The elements of a cotangent at the places that a call writes to."""
    each = iter(indices)
    key = tuple(
        next(each) if part is None else slice(*part) if isinstance(part, tuple) else part
        for part in _options(node)["key"]
    )
    found: SymbolicArray = get_item(g, key)
    return found


def _added_at(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    if position == 0:
        return g
    return summed_to(_read(g, node, inputs[2:]), inputs[1].node.sizes())


def _assigned(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    _, value, *indices = inputs
    key = _options(node)["key"]
    if position == 0:
        zero = cast(g.tracer, g.tracer.constant(0.0), node.dtype)
        return call("assigned", [g, zero, *indices], node.sizes(), node.dtype, key=key)
    found = _read(g, node, indices)
    # Of several values for one place the last one counts: it is found by assigning their numbers.
    numbers = xp.reshape(xp.arange(found.size), found.node.sizes())
    places = xp.zeros(node.sizes(), dtype="int64")
    places = call("assigned", [places, numbers, *indices], node.sizes(), INT64, key=key)
    found = xp.where(_read(places, node, indices) == numbers, found, 0.0)
    return summed_to(found, value.node.sizes())


# Linear algebra


def _t(x: Any) -> Any:
    return xp.matrix_transpose(x)


def _symmetric(x: Any) -> Any:
    return 0.5 * (x + _t(x))


def _diagonal(x: Any) -> Any:
    """Diagonal matrices, from their diagonals."""
    count = x.node.sizes()[-1]
    return xp.where(xp.eye(count, dtype="bool"), x[..., None], 0.0)


def _differences(x: Any) -> Any:
    """1 / (x_j - x_i); 0 where i is j."""
    count = x.node.sizes()[-1]
    same = xp.eye(count, dtype="bool")
    difference = x[..., None, :] - x[..., :, None]
    return xp.where(same, 0.0, 1 / xp.where(same, 1.0, difference))


def _matmul(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    a, b = inputs
    found = xp.matmul(g, _t(b)) if position == 0 else xp.matmul(_t(a), g)
    return summed_to(found, inputs[position].node.sizes())


def _cholesky(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    lower, of_lower = _out(node, inputs), g
    if _options(node)["upper"]:
        lower, of_lower = _t(lower), _t(g)
    product = xp.tril(xp.matmul(_t(lower), of_lower))
    halves = product - 0.5 * _diagonal(linalg.diagonal(product))
    return _symmetric(linalg.solve(_t(lower), _t(linalg.solve(_t(lower), _t(halves)))))


def _det(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    """By the inverse; where the determinant is 0, by the cofactors, of a singular value decomposition."""
    a, out = inputs[0], _out(node, inputs)
    count = a.node.sizes()[-1]
    is_singular = (out == 0)[..., None, None]
    unit = xp.eye(count, dtype=a.dtype)
    inverse = linalg.inv(xp.where(is_singular, unit, a))
    # Of a matrix with different singular values where the result is not used: derivatives of it are finite.
    others = unit * xp.astype(xp.arange(1, count + 1), a.dtype)
    u, s, vh = linalg.svd(xp.where(is_singular, a, others), full_matrices=False)
    signs = (linalg.det(u) * linalg.det(vh))[..., None]
    cofactors = xp.matmul(u * (signs * _products_of_others(s))[..., None, :], vh)
    return g[..., None, None] * xp.where(is_singular, cofactors, out[..., None, None] * _t(inverse))


def _products_of_others(s: Any) -> Any:
    """For each element along the last axis the product of all others."""
    before = xp.cumulative_prod(s, axis=-1, include_initial=True)[..., :-1]
    after = xp.flip(xp.cumulative_prod(xp.flip(s, axis=-1), axis=-1, include_initial=True), axis=-1)[..., 1:]
    return before * after


def _slogdet(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    return g[..., None, None] * _t(linalg.inv(inputs[0])) if _part(node) == 1 else None


def _inv(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    transposed = _t(_out(node, inputs))
    return -xp.matmul(xp.matmul(transposed, g), transposed)


def _solve(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    a, b = inputs
    is_vector = b.ndim == 1
    of_b = linalg.solve(_t(a), g[..., None] if is_vector else g)
    if position == 1:
        return summed_to(of_b[..., 0] if is_vector else of_b, b.node.sizes())
    x = _out(node, inputs)
    return summed_to(-xp.matmul(of_b, _t(x[..., None] if is_vector else x)), a.node.sizes())


def _eigh(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    values, vectors = linalg.eigh(inputs[0])
    is_values = _part(node) == 0
    middle = _diagonal(g) if is_values else _differences(values) * xp.matmul(_t(vectors), g)
    return _symmetric(xp.matmul(xp.matmul(vectors, middle), _t(vectors)))


def _eigvalsh(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    _, vectors = linalg.eigh(inputs[0])
    return _symmetric(xp.matmul(vectors * g[..., None, :], _t(vectors)))


def _qr(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    (a,) = inputs
    mode = _options(node)["mode"]
    rows, columns = a.node.sizes()[-2:]
    if mode == "complete" and rows > columns:
        raise g.tracer.error(
            TypeError, "linalg.qr with mode='complete' of more rows than columns has no derivative", node.line
        )
    q, r = linalg.qr(a, mode=mode)
    of_q = g if _part(node) == 0 else None
    of_r = g if _part(node) == 1 else None
    if rows >= columns:
        return _square_qr(q, r, of_q, of_r)
    # The first columns have the factors q and the square part of r; the others are q @ (the rest of r).
    first = None if of_r is None else of_r[..., :rows]
    rest = None if of_r is None else of_r[..., rows:]
    if rest is not None:
        of_q = xp.matmul(a[..., rows:], _t(rest))
    square = _square_qr(q, r[..., :rows], of_q, first)
    beside = xp.zeros_like(a[..., rows:]) if rest is None else xp.matmul(q, rest)
    return xp.concat([square, beside], axis=-1)


def _square_qr(q: Any, r: Any, of_q: Any, of_r: Any) -> Any:
    """Of matrices with no more columns than rows."""
    middle = 0.0
    if of_r is not None:
        middle = middle + xp.matmul(r, _t(of_r))
    if of_q is not None:
        middle = middle - xp.matmul(_t(of_q), q)
    symmetric = xp.tril(middle) + _t(xp.tril(middle, k=-1))
    found = xp.matmul(q, symmetric)
    found = found if of_q is None else found + of_q
    return _t(linalg.solve(r, _t(found)))


def _svd(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    (a,) = inputs
    part = _part(node)
    rows, columns = a.node.sizes()[-2:]
    if _options(node)["full_matrices"] and rows != columns and part != 1:
        raise g.tracer.error(
            TypeError,
            "the factors of linalg.svd with full_matrices=True have no derivative where the matrix is not "
            "square. Use full_matrices=False",
            node.line,
        )
    u, s, vh = linalg.svd(a, full_matrices=False)
    if part == 1:
        return xp.matmul(u * g[..., None, :], vh)
    if part == 0:
        return _left_factor(g, u, s, vh)
    # The left factor of the transposed matrix.
    return _t(_left_factor(_t(g), _t(vh), s, _t(u)))


def _left_factor(g: Any, u: Any, s: Any, vh: Any) -> Any:
    skew = _differences(s * s) * xp.matmul(_t(u), g)
    inside = xp.matmul(u, (skew + _t(skew)) * s[..., None, :])
    outside = (g - xp.matmul(u, xp.matmul(_t(u), g))) / s[..., None, :]
    return xp.matmul(inside + outside, vh)


def _svdvals(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    u, _, vh = linalg.svd(inputs[0], full_matrices=False)
    return xp.matmul(u * g[..., None, :], vh)


def _pinv(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    if position:
        return None  # the tolerance decides which singular values count
    a, p = inputs[0], _out(node, inputs)
    pt, gt = _t(p), _t(g)
    first = -xp.matmul(pt, xp.matmul(g, pt))
    beside = gt - xp.matmul(a, xp.matmul(p, gt))
    before = gt - xp.matmul(xp.matmul(gt, p), a)
    return first + xp.matmul(xp.matmul(beside, p), pt) + xp.matmul(xp.matmul(pt, p), before)


def _matrix_power(g: SymbolicArray, node: Node, inputs: Sequence[SymbolicArray], position: int) -> Any:
    exponent = _options(node)["n"]
    return by_formula(lambda x: matrix_power(x, exponent), g, inputs, position)


LIBRARY_RULES: dict[str, Rule] = {
    **dict.fromkeys(("argsort", "argmax", "argmin", "searchsorted", "matrix_rank"), _none),
    "sort": _sort,
    "cumulative_sum": _cumulative_sum,
    "cumulative_prod": _cumulative_product,
    "nextafter": _next_after,
    "matmul": _matmul,
    "cholesky": _cholesky,
    "det": _det,
    "eigh": _eigh,
    "eigvalsh": _eigvalsh,
    "inv": _inv,
    "matrix_power": _matrix_power,
    "qr": _qr,
    "slogdet": _slogdet,
    "solve": _solve,
    "svd": _svd,
    "svdvals": _svdvals,
    "pinv": _pinv,
    "assigned": _assigned,
    "added_at": _added_at,
}
