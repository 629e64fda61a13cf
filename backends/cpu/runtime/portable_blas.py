"""Matrix products with the C signature of cblas_sgemm, for systems without OpenBLAS."""

from __future__ import annotations

import functools

from ...ir.dtypes import FLOAT32, FLOAT64, INT32, DType
from ..llvm.cache import load
from ..llvm.values import Pointer, Type

# C = alpha op(A) op(B) + beta C, row-major; the bits of a row do not depend on the other rows. A tile of
# op(B), 8 rows of 256 columns, stays in the L1 cache while all rows of op(A) use it. 112 is CblasTrans.
TEXT = """\
def product(order, transpose_a, transpose_b, rows, columns, inner, alpha, a, lda, b, ldb, beta, c, ldc):
    m = int64(rows)
    n = int64(columns)
    k = int64(inner)
    a_row = int64(1 if transpose_a == 112 else lda)
    a_inner = int64(lda if transpose_a == 112 else 1)
    b_inner = int64(1 if transpose_b == 112 else ldb)
    b_column = int64(ldb if transpose_b == 112 else 1)
    scale(c, int64(ldc), m, n, beta)
    block = STACK(2048)
    factors = STACK(8)
    for column in range(0, n, 256):
        width = min(256, n - column)
        for first in range(0, k, 8):
            depth = min(8, k - first)
            copy(block, offset(b, first * b_inner + column * b_column), b_inner, b_column, depth, width)
            for row in range(m):
                for j in range(8):
                    factors[j] = REAL(0.0)
                for j in range(depth):
                    factors[j] = alpha * a[row * a_row + (first + j) * a_inner]
                add_products(offset(c, row * int64(ldc) + column), factors, block, width)


def scale(c, c_row, rows, columns, beta):
    if beta != 1.0:
        for row in range(rows):
            for column in range(columns):
                # Uninitialised memory may hold NaN, and 0 times NaN is NaN.
                c[row * c_row + column] = REAL(0.0) if beta == 0.0 else beta * c[row * c_row + column]


def copy(block, b, b_inner, b_column, depth, width):
    for k in range(8):
        for j in range(width):
            block[k * 256 + j] = REAL(0.0)
    for k in range(depth):
        for j in range(width):
            block[k * 256 + j] = b[k * b_inner + j * b_column]


def add_products(c, a, block, width):
    for j in range(width):
        low = a[0] * block[j] + a[1] * block[256 + j] + a[2] * block[512 + j] + a[3] * block[768 + j]
        high = a[4] * block[1024 + j] + a[5] * block[1280 + j] + a[6] * block[1536 + j]
        c[j] += low + (high + a[7] * block[1792 + j])
"""


def sgemm() -> int:
    """The address of the product for float32."""
    return _address(FLOAT32)


def dgemm() -> int:
    """The address of the product for float64."""
    return _address(FLOAT64)


@functools.cache
def _address(real: DType) -> int:
    text = TEXT.replace("REAL", real.name).replace("STACK", f"stack_of_{real}")
    matrix = Pointer(real)
    types: tuple[Type, ...] = (*[INT32] * 6, real, matrix, INT32, matrix, INT32, real, matrix, INT32)
    return load(text, "product", types, f"product_{real}")
