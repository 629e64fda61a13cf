"""What all tests share."""

from __future__ import annotations

import os

# JAX warns where it finds no GPU plugin; nothing here needs one.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
