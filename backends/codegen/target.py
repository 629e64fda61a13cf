"""The properties of a processor that plans depend on; there are two, in `cpu.target` and `cuda.target`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """The properties of a processor that decide how loops are built.

    workers:            of a stage at most; a sum without axes has a slot of the scalar buffer for each
    short, tile:        rows of up to `short` columns are computed `tile` at a time, side by side; 0: never
    chunk:              sums of float32 along a row are taken in parts of so many columns; None: they are not
    shares_rows:        several threads share a row
    keeps_rows:         a row stays in registers from one pass over it to the next
    masks_outside:      a value at a looked-up index is NaN or 0 where the index was outside
    takes_halves:       arrays may be of half precision, computed with in float32
    peels_labels:       the label's column is computed apart from the loop over the others
    splits_loops:       a loop over what was put together from parts has a part for each
    looks_at_arguments: indices that are arguments are looked at before every call
    by_result:          a product over rows may be computed in a loop over the rows of its result
    few:                a product with a dimension of so many numbers at most is computed in loops
    few_of_long:        the same where the loops are long
    """

    workers: int
    short: int = 0
    tile: int = 0
    chunk: int | None = None
    shares_rows: bool = False
    keeps_rows: bool = False
    masks_outside: bool = False
    takes_halves: bool = False
    peels_labels: bool = False
    splits_loops: bool = False
    looks_at_arguments: bool = False
    by_result: bool = False
    few: int = 0
    few_of_long: int = 0
