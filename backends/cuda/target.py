"""A GPU as plans see it: threads share a row and keep it in registers from one pass to the next."""

from __future__ import annotations

from ..codegen.target import Target

CUDA = Target(workers=1, shares_rows=True, keeps_rows=True, masks_outside=True, takes_halves=True)
