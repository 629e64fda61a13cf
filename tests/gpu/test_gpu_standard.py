"""A sample of all calls of the array API standard on a GPU, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from on_gpu import to_gpu
from onepass.backends.common.trees import map_leaves
from same_results import assert_same
from standard_calls import CASES, Case

import onepass as op

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES[::40], ids=lambda case: case.name)
def test_a_call_of_the_standard(case: Case, cupy: Any) -> None:
    with np.errstate(all="ignore"):
        expected = case.function(*case.arrays)
    arrays = map(cupy.asarray, case.arrays)
    with op.use_backend("cupy"):
        result = op.kernel(case.function)(*arrays)
    on_host = map_leaves(lambda leaf: leaf.get() if hasattr(leaf, "get") else leaf, result)
    assert_same(on_host, expected, max(case.tolerance, 1e-6))


def test_parts_of_a_kernel_follow_one_another_on_the_device(cupy: Any) -> None:
    @op.kernel
    def newton(weight: Any, x: Any, y: Any) -> Any:
        xp = array_namespace(x)  # NumPy's `eye` would make an array of NumPy's
        probs = 1 / (1 + xp.exp(-(x @ weight)))
        hessian = (x.T * (probs * (1 - probs))) @ x + 0.1 * xp.eye(x.shape[1], dtype=x.dtype)
        return weight - xp.linalg.solve(hessian, x.T @ (probs - y) + 0.1 * weight)

    random = np.random.default_rng(0)
    x, weight = random.standard_normal((50, 4)), random.standard_normal(4)
    y = (x[:, 0] > 0).astype(float)
    expected = newton.__wrapped__(weight, x, y)
    with op.use_backend("cupy"):
        got = newton(*to_gpu(cupy, (weight, x, y), "float64"))
    np.testing.assert_allclose(got.get(), expected, rtol=1e-9)
