"""How exact products are on a GPU at each precision, against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onepass as op

pytestmark = pytest.mark.gpu

# The least and the largest error of a precision, root mean square, in units of |a| |b| / sqrt(inner).
# cuBLAS may take TF32 for bfloat16, as it does on an H100.
BOUNDS = {"highest": (0.0, 2e-6), "high": (3e-5, 1e-3), "medium": (3e-5, 8e-3)}


def error(cupy: Any, rows: int, inner: int, columns: int) -> float:
    random = cupy.random.default_rng(0)
    a, b = (random.standard_normal(shape, dtype="float32") for shape in ((rows, inner), (inner, columns)))
    product = a.astype("float64") @ b.astype("float64")
    norms = cupy.linalg.norm(a, axis=1)[:, None] * cupy.linalg.norm(b, axis=0) / inner**0.5
    return float(cupy.sqrt((((op.linear(a, b) - product) / norms) ** 2).mean()))


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("shape", [(300, 100, 64), (1024, 784, 1024), (64, 8192, 256)], ids=str)
def test_errors_of_a_precision(cupy: Any, name: str, shape: tuple[int, int, int]) -> None:
    if name != "highest" and int(cupy.cuda.Device().compute_capability) < 80:
        pytest.skip("needs tensor cores for TF32 and bfloat16")
    least, most = BOUNDS[name]
    with op.use_precision(name):
        for _ in range(4):  # also from a recorded graph
            assert least <= error(cupy, *shape) <= most


def test_a_graph_of_one_precision_is_not_replayed_for_another(cupy: Any) -> None:
    if int(cupy.cuda.Device().compute_capability) < 80:
        pytest.skip("needs tensor cores for TF32 and bfloat16")
    a = cupy.random.default_rng(0).standard_normal((256, 256), dtype="float32")
    out = cupy.empty((256, 256), "float32")
    results: dict[str, Any] = {}
    for _ in range(4):
        for name in BOUNDS:
            with op.use_precision(name):
                op.linear(a, a, out=out)
            np.testing.assert_array_equal(results.setdefault(name, out.get()), out.get())
    different = {name for name, result in results.items() if (result != results["highest"]).any()}
    assert different == {"high", "medium"}
