"""Bugs that CUDA kernels are known for, planted: executing them on the host must show each."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from host_cuda import SCHEDULES, HostCudaError, HostModule

pytestmark = pytest.mark.needs(name="g++")

THREADS, GRID = 96, 4
ROWS, COLUMNS = 13, 333

HELPERS = """
constexpr int THREADS = 96, WARPS = 3, CLUSTER = 2;

struct Maximum { __device__ float operator()(float a, float b) const { return a > b || a != a ? a : b; } };
struct Sum { __device__ float operator()(float a, float b) const { return a + b; } };
__device__ __forceinline__ float lowest() { return -__int_as_float(0x7f800000); }

template <class Join> __device__ float of_block(float value, Join join, int& turn) {
    float* const half = reinterpret_cast<float*>(shared_bytes) + turn * (WARPS + 1);
    turn ^= 1;
#pragma unroll
    for (int offset = 16; offset; offset /= 2)
        value = join(value, __shfl_xor_sync(0xffffffffu, value, offset));
    if (threadIdx.x % 32 == 0) half[threadIdx.x / 32] = value;
    __syncthreads();
    value = half[0];
    for (int warp = 1; warp < WARPS; ++warp) value = join(value, half[warp]);
    return value;
}

template <class Join> __device__ float of_cluster(float value, Join join, int& turn) {
    float* const own = reinterpret_cast<float*>(shared_bytes) + turn * (WARPS + 1) + WARPS;
    value = of_block(value, join, turn);
    if (threadIdx.x == 0) *own = value;
    cluster_sync();
    value = cluster_load(own, 0);
    for (int rank = 1; rank < CLUSTER; ++rank) value = join(value, cluster_load(own, rank));
    return value;
}

// By a tree in shared memory, as it was done before there were shuffles.
template <class Join> __device__ float of_warp(float value, Join join) {
    const int lane = threadIdx.x % 32;
    float* const tree = reinterpret_cast<float*>(shared_bytes) + threadIdx.x / 32 * 32;
    tree[lane] = value;
    __syncwarp();  // leaves
    for (int below = 16; below; below /= 2) {
        if (lane < below) tree[lane] = join(tree[lane], tree[lane + below]);
        __syncwarp();  // level
    }
    value = tree[0];
    __syncwarp();  // root
    return value;
}
"""

SIGNATURE = """
extern "C" __global__ void __launch_bounds__(96) NAME(const long long rows, const long long columns,
        const float* __restrict__ logits, const long long* __restrict__ labels, float* __restrict__ gradients,
        float* __restrict__ losses) {"""

# A row, by threads that count from FIRST in strides of STRIDE and are combined by COMBINE.
ROW = """
        const float* const x = logits + row * columns;
        float top = lowest();
        for (long long i = FIRST; i < columns; i += STRIDE) top = Maximum()(top, x[i]);
        top = COMBINE(top, Maximum() TURN);
        float total = 0.0f;
        for (long long i = FIRST; i < columns; i += STRIDE) total += expf(x[i] - top);
        total = COMBINE(total, Sum() TURN);
        if (!(STORED)) continue;
        for (long long i = FIRST; i < columns; i += STRIDE)
            gradients[row * columns + i] = expf(x[i] - top) / total - (i == __ldg(labels + row) ? 1 : 0);
        if (FIRST == 0) losses[row] = logf(total) + top - x[labels[row]];"""


def row(first: str, stride: str, combine: str, turn: str = "", stored: str = "true") -> str:
    text = ROW.replace("FIRST", first).replace("STRIDE", stride).replace("COMBINE", combine)
    return text.replace(" TURN", turn).replace("STORED", stored)


KERNELS = {
    "by_block": f"""{SIGNATURE}
    int turn = 0;
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {{
{row("threadIdx.x", "THREADS", "of_block", ", turn")}
    }}
}}""",
    "by_warp": f"""{SIGNATURE}
    for (long long begin = blockIdx.x * WARPS; begin < rows; begin += gridDim.x * WARPS) {{
        const long long wanted = begin + threadIdx.x / 32, row = min(wanted, rows - 1);
{row("threadIdx.x % 32", "32", "of_warp", stored="wanted == row")}
    }}
}}""",
    "by_cluster": f"""{SIGNATURE}
    int turn = 0;
    const long long first = cluster_rank() * THREADS + threadIdx.x;
    for (long long row = blockIdx.x / CLUSTER; row < rows; row += gridDim.x / CLUSTER) {{
{row("first", "(THREADS * CLUSTER)", "of_cluster", ", turn")}
    }}
    cluster_sync();  // before exit
}}""",
    "scaled": """
struct __align__(16) Four { float at[4]; };
extern "C" __global__ void NAME(const long long n, const double factor, const float* x, float* r) {
    const long long thread = blockIdx.x * (long long)(blockDim.x) + threadIdx.x, all = gridDim.x * blockDim.x;
    const bool aligned = ((unsigned long long)(x) | (unsigned long long)(r)) % 16 == 0;
    const long long vectors = aligned ? n / 4 : 0;
    for (long long v = thread; v < vectors; v += all) {
        check_aligned(x + 4 * v, 16);
        check_aligned(r + 4 * v, 16);
        Four four = *reinterpret_cast<const Four*>(x + 4 * v);
        for (int i = 0; i < 4; ++i) four.at[i] = float(four.at[i] * factor);
        *reinterpret_cast<Four*>(r + 4 * v) = four;
    }
    for (long long i = 4 * vectors + thread; i < n; i += all) r[i] = float(x[i] * factor);
}""",
}
LABEL = "i == __ldg(labels + row)"

# kernel, what is wrong, what is right in the source, what stands there instead
BUGS = [
    ("by_block", "no barrier before the sums of other warps are read", "__syncthreads();", ""),
    ("by_block", "one buffer where two take turns", "turn ^= 1;", ""),
    ("by_block", "a shuffle too few", "offset = 16;", "offset = 8;"),
    ("by_block", "every shuffle by one lane", "value, offset))", "value, 1))"),
    ("by_block", "shuffles up to half of what is named", "(0xffffffffu, value", "(0x0000ffffu, value"),
    (
        "by_block",
        "a barrier for the first warp alone",
        "__syncthreads();",
        "if (threadIdx.x < 32) __syncthreads();",
    ),
    ("by_block", "a maximum that starts at 0", "return -__int_as_float(0x7f800000)", "return 0.0f"),
    ("by_block", "a sum that does not start", "float total = 0.0f;", "float total;"),
    (
        "by_block",
        "reads a column past the end",
        "i < columns; i += THREADS) top",
        "i <= columns; i += THREADS) top",
    ),
    ("by_block", "writes a column past the end", "columns; i += THREADS)\n", "columns + 1; i += THREADS)\n"),
    ("by_block", "no stride over the rows", "row += gridDim.x", "row += rows"),
    ("by_block", "a row past the end", "row < rows", "row <= rows"),
    ("by_block", "the sums of all warps but one", "warp < WARPS", "warp < WARPS - 1"),
    ("by_block", "the sums of a warp too many", "warp < WARPS", "warp <= WARPS"),
    ("by_block", "halves that overlap", "(WARPS + 1);", "(WARPS - 1);"),
    ("by_block", "halves further apart than there is memory", "(WARPS + 1);", "(WARPS + 4);"),
    (
        "by_block",
        "shared memory that was never written",
        "if (threadIdx.x % 32 == 0)",
        "if (threadIdx.x == 0)",
    ),
    ("by_block", "labels of another row", LABEL, "i == labels[row + 1]"),
    ("by_block", "writes to what is only read", "losses[row] =", "((float*)logits)[row] = losses[row] ="),
    (
        "by_block",
        "a return before others are at the barrier",
        "float top =",
        "if (threadIdx.x >= columns - 300) return; float top =",
    ),
    ("by_warp", "no barrier before the tree is read", "__syncwarp();  // leaves", ""),
    ("by_warp", "no barrier between levels of the tree", "__syncwarp();  // level", ""),
    ("by_warp", "no barrier before the tree is written again", "__syncwarp();  // root", ""),
    ("by_warp", "a barrier that names half a warp", "__syncwarp();  // leaves", "__syncwarp(0xffff);"),
    (
        "by_warp",
        "a barrier that part of a warp is at",
        "__syncwarp();  // leaves",
        "if (lane < 16) __syncwarp();",
    ),
    ("by_warp", "one tree for all warps", "threadIdx.x / 32 * 32", "0"),
    ("by_warp", "half a tree", "below = 16", "below = 8"),
    ("by_warp", "rows behind the last are stored", "min(wanted, rows - 1)", "wanted"),
    ("by_warp", "rows behind the last are read", "min(wanted, rows - 1)", "min(wanted, rows)"),
    ("by_warp", "the last row is taken for the one before", "min(wanted, rows - 1)", "min(wanted, rows - 2)"),
    ("by_cluster", "exits while others read its memory", "cluster_sync();  // before exit", ""),
    ("by_cluster", "no barrier before other blocks are read", "cluster_sync();\n    value", "value"),
    (
        "by_cluster",
        "a barrier of the block alone",
        "cluster_sync();\n    value",
        "__syncthreads();\n    value",
    ),
    ("by_cluster", "reads the first block twice", "cluster_load(own, rank)", "cluster_load(own, 0)"),
    ("by_cluster", "reads a block that is not there", "rank < CLUSTER", "rank <= CLUSTER"),
    ("by_cluster", "one buffer where two take turns", "turn ^= 1;", ""),
    ("by_cluster", "no barrier of the block", "__syncthreads();", ""),
    ("by_cluster", "rows by block, not by cluster", "blockIdx.x / CLUSTER", "blockIdx.x"),
    ("scaled", "vectors whatever the address", "aligned ? n / 4 : 0", "n / 4"),
    ("scaled", "a vector that is not whole", "n / 4", "(n + 3) / 4"),
    ("scaled", "no elements behind the vectors", "i < n", "i < 4 * vectors"),
    ("scaled", "the last element is left", "i < n", "i < n - 1"),
    ("scaled", "no stride over the vectors", "v += all", "v += vectors"),
]


def mutant(number: int) -> str:
    kernel, what, right, wrong = BUGS[number]
    source = HELPERS + KERNELS[kernel]
    assert source.count(right) == 1, what
    return source.replace(right, wrong)


@pytest.fixture(scope="module", autouse=True)
def _compiled_before() -> None:
    compiled()  # or that it fails would pass for a bug that shows


@functools.cache
def compiled() -> HostModule:
    """The kernels as they should be, and every bug in a namespace of its own: one start of the compiler."""
    sources = {kernel: HELPERS + text for kernel, text in KERNELS.items()}
    sources |= {f"bug{number}": mutant(number) for number in range(len(BUGS))}
    parts = (f"namespace of_{name} {{{text.replace('NAME', name)}}}" for name, text in sources.items())
    calls = (f"using of_{name}::{name};" for name in sources)
    return HostModule("\n".join([*parts, *calls]), list(sources))


@functools.cache
def example() -> tuple[np.ndarray[Any, Any], ...]:
    """Logits and labels; gradients and losses as float64 has them."""
    random = np.random.default_rng(7)
    logits = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    logits[1] -= 500  # where a maximum of 0 leaves nothing of the sum
    logits[2] += 90
    logits[3, 50] = np.nan
    logits[5, 100:] = -np.inf
    logits[7, 200] = np.inf
    logits[8] = -np.inf
    logits[10] *= 20
    labels = random.integers(0, 100, ROWS)
    with np.errstate(invalid="ignore"):
        shifted = logits - logits.max(axis=1, keepdims=True).astype(np.float64)
        total = np.exp(shifted).sum(axis=1, keepdims=True)
        losses = np.log(total[:, 0]) - shifted[np.arange(ROWS), labels]
    gradients = np.exp(shifted) / total - (np.arange(COLUMNS) == labels[:, None])
    for given in (logits, labels):
        given.flags.writeable = False
    return logits, labels, gradients, losses


def check(name: str, kernel: str, schedule: str, strict: bool, seed: int = 0) -> None:
    """Launch it and compare; an AssertionError or a HostCudaError where anything is wrong."""
    logits, labels, gradients, losses = example()
    if kernel == "scaled":
        values = logits[0, 2:]
        for offset in (0, 4):
            result = np.zeros_like(values)
            arguments: list[Any] = [values.size, 3.0, values, result]
            compiled().launch(
                name, 2, 32, arguments, schedule=schedule, seed=seed, strict=strict, alignment_offset=offset
            )
            np.testing.assert_array_equal(result, values * np.float32(3))
        return
    cluster = 2 if kernel == "by_cluster" else 1
    shared = THREADS * 4 if kernel == "by_warp" else 2 * 4 * 4
    found = np.zeros_like(logits), np.zeros(ROWS, np.float32)
    compiled().launch(
        name,
        GRID,
        THREADS,
        [ROWS, COLUMNS, logits, labels, *found],
        shared=shared,
        cluster=cluster,
        schedule=schedule,
        seed=seed,
        strict=strict,
    )
    np.testing.assert_allclose(found[0], gradients, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], losses, rtol=1e-5, atol=1e-4)


def verdict(number: int, schedule: str, strict: bool) -> str | None:
    """How a bug shows under a schedule, if it does."""
    try:
        for seed in range(3):
            check(f"bug{number}", BUGS[number][0], schedule, strict, seed)
    except (AssertionError, HostCudaError) as error:
        return f"{type(error).__name__}: {str(error).strip()}"
    return None


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_without_a_bug_every_schedule_agrees(kernel: str, schedule: str, strict: bool) -> None:
    for seed in range(4):
        check(kernel, kernel, schedule, strict, seed)


@pytest.mark.parametrize("number", range(len(BUGS)), ids=[f"{bug[0]}: {bug[1]}" for bug in BUGS])
def test_a_planted_bug_shows(number: int) -> None:
    assert any(verdict(number, schedule, strict) for schedule in SCHEDULES for strict in (False, True))
