"""Matrix products compiled by Numba, with the C signature of cblas_sgemm, for systems without OpenBLAS."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numba import types

from .machine_code import compiled
from .pointers import data_of, offset

# A tile of op(B), 8 rows of this width, stays in the L1 cache while all rows of op(A) use it.
WIDTH = 256
TRANSPOSED = 112  # CblasTrans


@functools.cache
def sgemm() -> Any:
    """The product for float32, as a Numba cfunc."""
    return _compiled(types.float32)


@functools.cache
def dgemm() -> Any:
    """The product for float64, as a Numba cfunc."""
    return _compiled(types.float64)


def _compiled(real: Any) -> Any:
    matrix, whole = types.CPointer(real), types.int32
    signature = types.void(*[whole] * 6, real, matrix, whole, matrix, whole, real, matrix, whole)
    return compiled(_product, numba.cfunc, signature)


def _product(  # type: ignore[no-untyped-def]
    order, transpose_a, transpose_b, rows, columns, inner, alpha, a, lda, b, ldb, beta, c, ldc
):
    """C = alpha op(A) op(B) + beta C, row-major; the bits of a row do not depend on the other rows."""
    a_row, a_inner = (1, np.int64(lda)) if transpose_a == TRANSPOSED else (np.int64(lda), 1)
    b_inner, b_column = (1, np.int64(ldb)) if transpose_b == TRANSPOSED else (np.int64(ldb), 1)
    c_row = np.int64(ldc)
    _scale(c, c_row, rows, columns, beta)
    block = np.empty((8, WIDTH), numba.carray(c, (1,)).dtype)
    for column in range(0, columns, WIDTH):
        width = min(WIDTH, columns - column)
        for first in range(0, inner, 8):
            depth = min(8, inner - first)
            _copy(block, offset(b, first * b_inner + column * b_column), b_inner, b_column, depth, width)
            for row in range(rows):
                part_of_a = offset(a, row * a_row + first * a_inner)
                _add_products(
                    offset(c, row * c_row + column), part_of_a, a_inner, depth, alpha, data_of(block), width
                )


@numba.njit(nogil=True)
def _scale(c, c_row, rows, columns, beta):  # type: ignore[no-untyped-def]
    if beta == 1:
        return
    for row in range(rows):
        for column in range(columns):
            at = row * c_row + column
            # Uninitialised memory may hold NaN, and 0 times NaN is NaN.
            c[at] = 0 if beta == 0 else beta * c[at]


@numba.njit(nogil=True)
def _copy(block, b, b_inner, b_column, depth, width):  # type: ignore[no-untyped-def]
    """Copy `depth` rows of a tile of op(B); the other rows become zeros."""
    for k in range(8):
        for j in range(width):
            block[k, j] = b[k * b_inner + j * b_column] if k < depth else 0


@numba.njit(nogil=True, fastmath={"contract"})
def _add_products(c, a, a_inner, depth, alpha, block, width):  # type: ignore[no-untyped-def]
    """Add eight products to each element of a row, with one load and one store of it."""
    a0 = _factor(a, a_inner, depth, alpha, 0)
    a1 = _factor(a, a_inner, depth, alpha, 1)
    a2 = _factor(a, a_inner, depth, alpha, 2)
    a3 = _factor(a, a_inner, depth, alpha, 3)
    a4 = _factor(a, a_inner, depth, alpha, 4)
    a5 = _factor(a, a_inner, depth, alpha, 5)
    a6 = _factor(a, a_inner, depth, alpha, 6)
    a7 = _factor(a, a_inner, depth, alpha, 7)
    for j in range(width):
        low = a0 * block[j] + a1 * block[WIDTH + j] + a2 * block[2 * WIDTH + j] + a3 * block[3 * WIDTH + j]
        high = a4 * block[4 * WIDTH + j] + a5 * block[5 * WIDTH + j] + a6 * block[6 * WIDTH + j]
        c[j] += low + (high + a7 * block[7 * WIDTH + j])


@numba.njit(nogil=True)
def _factor(a, a_inner, depth, alpha, k):  # type: ignore[no-untyped-def]
    return alpha * a[k * a_inner] if k < depth else alpha - alpha
