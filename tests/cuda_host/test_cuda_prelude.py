"""What emitted CUDA begins with, executed on the host: numbers of halves, and the label among the columns."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from host_cuda import HostModule, guarded, guarded_copy
from onepass.backends.cuda.prelude import PRELUDE

pytestmark = pytest.mark.needs(name="g++")

KERNELS = """
extern "C" __global__ void powers(const long long n, const float* x, float* r) {
    for (long long i = threadIdx.x; i < n; i += blockDim.x) r[i] = exp_for_halves(x[i]);
}
template <int N> __device__ void rounded(const float* x, unsigned short* half, unsigned short* bfloat16) {
    float here[N];
    for (int i = 0; i < N; ++i) here[i] = x[threadIdx.x * N + i];
    store_half<N>(half + threadIdx.x * N, here);
    store_bfloat16<N>(bfloat16 + threadIdx.x * N, here);
}
extern "C" __global__ void one(const float* x, unsigned short* h, unsigned short* b) {
    rounded<1>(x, h, b);
}
extern "C" __global__ void two(const float* x, unsigned short* h, unsigned short* b) {
    rounded<2>(x, h, b);
}
extern "C" __global__ void eight(const float* x, unsigned short* h, unsigned short* b) {
    rounded<8>(x, h, b);
}
extern "C" __global__ void columns(const long long* x, long long* r) {
    r[threadIdx.x] = as_column(x[threadIdx.x]);
}
"""


@pytest.fixture(scope="module")
def module() -> HostModule:
    return HostModule(PRELUDE + KERNELS, ["powers", "one", "two", "eight", "columns"])


def test_exp_is_right_to_what_a_half_holds(module: HostModule) -> None:
    x = np.concatenate([np.linspace(-104, 88.7, 20_000), [0, -0.0, -1e-30]]).astype(np.float32)
    got = guarded(x.shape, "float32")
    module.launch("powers", 1, 64, [len(x), x, got])
    expected = np.exp(x.astype(np.float64))
    # Results below the smallest normal number have fewer digits, but are not 0.
    np.testing.assert_allclose(got, expected, rtol=6e-6, atol=1.5e-45)
    assert (got[expected > 2e-45] > 0).all()


def test_exp_of_what_has_no_number(module: HostModule) -> None:
    x, got = np.array([np.inf, -np.inf, np.nan, 1e4, -1e4], np.float32), guarded((5,), "float32")
    module.launch("powers", 1, 64, [len(x), x, got])
    np.testing.assert_array_equal(got, [np.inf, 0, np.nan, np.inf, 0])


@pytest.mark.needs(name="ml_dtypes")
@pytest.mark.parametrize(("kernel", "vector"), [("one", 1), ("two", 2), ("eight", 8)])
def test_halves_are_rounded_to_nearest_in_their_order(module: HostModule, kernel: str, vector: int) -> None:
    ml_dtypes = importlib.import_module("ml_dtypes")
    x = np.random.default_rng(0).standard_normal(64 * vector).astype(np.float32) * 100
    x[:6] = np.inf, -np.inf, np.nan, 1 + 2**-9, 65520, 1e-41
    half, bfloat16 = guarded(x.shape, "uint16"), guarded(x.shape, "uint16")
    module.launch(kernel, 1, 64, [guarded_copy(x), half, bfloat16])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(half.view(np.float16), x.astype(np.float16))
    np.testing.assert_array_equal(
        np.array(bfloat16).view(ml_dtypes.bfloat16).astype(float), x.astype(ml_dtypes.bfloat16).astype(float)
    )


def test_what_is_no_column_is_none(module: HostModule) -> None:
    x = np.array([0, 5, 2**31 - 1, 2**31, -1, 2**32 + 5, -(2**63), 2**63 - 1])
    got = np.zeros_like(x)
    module.launch("columns", 1, len(x), [x, got])
    np.testing.assert_array_equal(got, [0, 5, 2**31 - 1, -1, -1, -1, -1, -1])
