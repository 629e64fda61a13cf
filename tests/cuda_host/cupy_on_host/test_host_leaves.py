"""CuPy on the host leaves nothing behind for the tests that run in the same process afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onepass.backends import choice
from onepass.backends.cuda import cublas as cupy_products
from onepass.backends.cuda import cupy_device

import onepass as op


def _state() -> list[Any]:
    import array_api_compat.cupy as standard
    import cupy

    places = [cupy, cupy.cuda, cupy.cuda.runtime, cupy.ndarray, standard, cupy_products]
    return [
        *(dict(vars(place)) for place in places),
        cupy.cuda.get_allocator(),
        dict(cupy_device._devices),
        set(choice._usable),
    ]


def test_nothing_stays_behind(tmp_path: Path) -> None:
    import cupy
    from host_cupy import host_cupy

    before = _state()
    assert not op.backends()["cupy"].usable
    with host_cupy(tmp_path):
        assert op.backends()["cupy"].usable
        with op.use_backend("cupy"):
            assert float(op.relu(cupy.ones((2, 2))).sum()) == 4
        assert _state() != before
    assert _state() == before
    with pytest.raises(RuntimeError, match="CuPy finds no CUDA driver"):
        op.use_backend("cupy")
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
        cupy.ones(3)
