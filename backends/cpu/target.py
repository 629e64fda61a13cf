"""The CPU as plans see it: one thread does a row, short rows are computed side by side."""

from __future__ import annotations

from ..codegen.target import Target

CPU = Target(
    workers=64,
    short=32,
    tile=64,
    # A sum of float32 is taken in float64 every so many columns, so that long rows lose no digits.
    chunk=2048,
    peels_labels=True,
    splits_loops=True,
    looks_at_arguments=True,
    by_result=True,
    few=4,
    few_of_long=10,
)
