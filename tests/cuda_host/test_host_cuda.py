"""CUDA executed on the host: the order of its threads, its errors, its memory and its arithmetic."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_cuda import SCHEDULES, HostCudaError, HostModule, guarded

pytestmark = pytest.mark.needs(name="g++")

SOURCE = """
// The same arithmetic has to compile to float for float.
static_assert(sizeof(exp(1.0f)) == 4 && sizeof(pow(1.0f, 2.0f)) == 4 && sizeof(max(1.0, 2.0)) == 8);

extern "C" __global__ void order(long long* places, long long* next) { places[(*next)++] = threadIdx.x; }
extern "C" __global__ void parameters(const long long i, const double d, double* r) { r[0] = i; r[1] = d; }
extern "C" __global__ void add(const float* x, float* r) { r[threadIdx.x] += x[threadIdx.x]; }
extern "C" __global__ void at(float* x, const long long i) { x[i] = 1.0f; }
extern "C" __global__ void masked_read(const float* x, const long long i, float* r) {
    const float value = x[threadIdx.x * i];
    r[threadIdx.x] = value != value ? 0.0f : value;
}
extern "C" __global__ void unwritten(float* r) {
    r[threadIdx.x] = reinterpret_cast<float*>(shared_bytes)[threadIdx.x];
}
extern "C" __global__ void for_ever(volatile double* x) { while (x[0] == 0.0) __syncwarp(); }

template <class T> __device__ void shuffles(const T* x, T* r, int width) {
    const T value = x[threadIdx.x];
    r[threadIdx.x] = __shfl_xor_sync(0xffffffffu, value, 3, width);
    r[32 + threadIdx.x] = __shfl_down_sync(0xffffffffu, value, 5, width);
    r[64 + threadIdx.x] = __shfl_sync(0xffffffffu, value, threadIdx.x * 7, width);
}
extern "C" __global__ void shuffle_f(const float* x, float* r, const long long w) { shuffles(x, r, w); }
extern "C" __global__ void shuffle_d(const double* x, double* r, const long long w) { shuffles(x, r, w); }
extern "C" __global__ void shuffle_i(const int* x, int* r, const long long w) { shuffles(x, r, w); }
extern "C" __global__ void shuffle_q(const long long* x, long long* r, long long w) { shuffles(x, r, w); }

extern "C" __global__ void from_half(const long long n, const unsigned short* x, float* r) {
    for (long long i = threadIdx.x; i < n; i += blockDim.x) r[i] = half_to_float(x[i]);
}
extern "C" __global__ void to_half(const long long n, const float* x, unsigned short* r, unsigned short* b) {
    for (long long i = threadIdx.x; i < n; i += blockDim.x) {
        r[i] = float_to_half(x[i]);
        b[i] = float_to_bfloat16(x[i]);
    }
}
extern "C" __global__ void from_bfloat16(const long long n, const unsigned short* x, float* r) {
    for (long long i = threadIdx.x; i < n; i += blockDim.x) r[i] = bfloat16_to_float(x[i]);
}
// The sum of what all threads of a cluster hold, to each of them.
extern "C" __global__ void whole_cluster(const long long* x, long long* r) {
    long long* const held = reinterpret_cast<long long*>(shared_bytes);
    const long long place = blockIdx.x * (long long)(blockDim.x) + threadIdx.x;
    held[threadIdx.x] = x[place];
    cluster_sync();
    long long sum = 0;
    for (unsigned rank = 0; rank < cluster_blocks(); ++rank) sum += cluster_load(held + threadIdx.x, rank);
    r[place] = sum * 10 + cluster_rank();
    cluster_sync();
}
// The same by mail: what the other block holds, in a slot of eight bytes.
__device__ unsigned long long* box() { return reinterpret_cast<unsigned long long*>(shared_bytes); }
__device__ double* slot(int place) { return reinterpret_cast<double*>(shared_bytes) + place; }
__device__ void lost_mail() {
    if (!threadIdx.x) mailbox_open(box());
    cluster_sync();
    if (!threadIdx.x) mailbox_expect(box(), 16);
    if (threadIdx.x == 5 && cluster_rank()) mailbox_send(slot(1), 1.0, box(), 0);
    mailbox_wait(box(), 0);
}
extern "C" __global__ void by_mail(const double* x, double* r) {
    if (threadIdx.x < 2) mailbox_open(box() + threadIdx.x);
    cluster_sync();
    for (int turn = 0; turn < 6; ++turn) {
        const int half = turn % 2;
        if (threadIdx.x == 0) {
            mailbox_expect(box() + half, 8);
            mailbox_send(slot(2 + half), turn + x[blockIdx.x], box() + half, 1 - cluster_rank());
        }
        mailbox_wait(box() + half, turn / 2 % 2);
        r[(blockIdx.x * 6 + turn) * blockDim.x + threadIdx.x] = *slot(2 + half);
        __syncthreads();
    }
}
"""
# name, what each thread does (64 of them, clusters of 2 for names with cluster), the error
WRONG = {
    "barrier": (
        "if (threadIdx.x != 3) __syncthreads();",
        r"block 0, thread 0: divergent __syncthreads.*3 to 3: exited",
    ),
    "barrier_elsewhere": (
        "if (threadIdx.x >= 32) __syncwarp(threadIdx.x < 40 ? 0xff : ~0u); __syncthreads();",
        r"divergent __syncthreads.*40 to 63: __syncwarp with mask 0xffffffff",
    ),
    "exited_lane": (
        "if (threadIdx.x < 16) __shfl_xor_sync(~0u, 1.0f, 1);",
        r"divergent __shfl_xor_sync.*16 to 63: exited",
    ),
    "not_itself": ("__shfl_sync(0xfffffffeu, 1.0f, 2);", r"thread (0|32): .*lacks its own lane 0"),
    "not_named": (
        "if (threadIdx.x < 8) __shfl_xor_sync(0xffu, 1.0f, 8);",
        r"mask 0x000000ff reads from lane (8|9|1[0-5]),",
    ),
    "two_kinds": (
        "if (threadIdx.x % 2) __shfl_xor_sync(~0u, 1, 1); else __shfl_down_sync(~0u, 1, 1);",
        r"divergent __shfl_xor_sync|divergent __shfl_down_sync",
    ),
    "two_masks": ("__shfl_sync(threadIdx.x % 2 ? ~0u : 0x55555555u, 1, 0);", r"divergent|reads from lane"),
    "three_masks": (
        "if (threadIdx.x < 3) __syncwarp(threadIdx.x == 0 ? 3 : threadIdx.x == 1 ? 6 : 5);",
        r"0 to 0: __syncwarp with mask 0x00000003; .* 0x00000006; .* 2 to 2: .* with mask 0x00000005",
    ),
    "width": ("__shfl_xor_sync(~0u, 1, 1, 12);", r"with width 12"),
    "past_shared": (
        "shared_bytes[threadIdx.x + 193] = 1;",
        r"block 0: wrote byte 256 of its 256 of shared memory",
    ),
    "before_shared": ("shared_bytes[int(threadIdx.x) - 1] = 1;", r"block 0: wrote byte -1 of its 256"),
    "alignment": ("check_aligned(shared_bytes + 8, 16);", r"is not a multiple of 16 bytes"),
    "far_away": (
        "((float*)shared_bytes)[1ll << 60] = 1;",
        r"block 0, thread \d+: (Segmentation fault|Bus error)",
    ),
    "stack": (
        "volatile char much[70000]; for (int i = 0; i < 70000; i += 64) much[i] = 1;",
        r"bytes of stack",
    ),
    "cluster_barrier": ("if (cluster_rank()) cluster_sync();", r"block 1, thread 0: divergent cluster_sync"),
    "cluster_begin": (
        "cluster_load(shared_bytes, 1 - cluster_rank());",
        r"before the first cluster_sync|has exited",
    ),
    "cluster_end": (
        "cluster_sync(); cluster_load(shared_bytes, 0);",
        r"block 1, .*after the last cluster_sync|has exited",
    ),
    "cluster_no_mailbox": (
        "cluster_sync(); mailbox_expect(box(), 8);",
        r"a mailbox that has not been opened",
    ),
    "cluster_expects_twice": (
        "mailbox_open(box()); cluster_sync(); mailbox_expect(box(), 8); mailbox_expect(box(), 8);",
        r"mailbox_expect twice in one phase",
    ),
    "cluster_no_mail": ("lost_mail();", r"divergent mailbox_wait"),
    "cluster_mail_at_once": (
        "mailbox_send(slot(1), 1.0, box(), 1 - cluster_rank());",
        r"before the first cluster_sync|has exited",
    ),
    "cluster_absent": ("cluster_sync(); cluster_load(shared_bytes, 2);", r"from block 2 of a cluster of 2"),
    "cluster_address": (
        "cluster_sync(); cluster_load(shared_bytes + 256, 0);",
        r"at byte 256 of 256 of shared",
    ),
}


@pytest.fixture(scope="module")
def module() -> HostModule:
    wrong = (f'extern "C" __global__ void {name}() {{ {body} }}\n' for name, (body, _) in WRONG.items())
    names = [part.split("(")[0] for part in SOURCE.split('extern "C" __global__ void ')[1:]]
    return HostModule(SOURCE + "".join(wrong), [*names, *WRONG])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_blocks_of_a_cluster_get_what_the_other_sends(module: HostModule, schedule: str) -> None:
    x, got = np.array([1.0, 20.0]), np.zeros((2, 6, 64))
    module.launch("by_mail", 2, 64, [x, got], shared=32, cluster=2, schedule=schedule)
    expected = x[::-1, None, None] + np.arange(6.0)[:, None]
    np.testing.assert_array_equal(got, np.broadcast_to(expected, got.shape))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", WRONG)
def test_what_a_device_would_not_survive_is_an_error(module: HostModule, name: str, schedule: str) -> None:
    cluster = 2 if name.startswith("cluster") else 1
    with pytest.raises(HostCudaError, match=f"^kernel {name}, .*(?:{WRONG[name][1]})"):
        module.launch(name, 2, 64, [], shared=256, cluster=cluster, schedule=schedule)


def test_a_launch_after_an_error_is_as_any_other(module: HostModule) -> None:
    with pytest.raises(HostCudaError, match="divergent"):
        module.launch("barrier", 1, 64, [])
    result = np.ones(64, np.float32)
    module.launch("add", 1, 64, [np.full(64, 2, np.float32), result])
    np.testing.assert_array_equal(result, 3)


def test_a_kernel_without_end_is_an_error(module: HostModule) -> None:
    with pytest.raises(HostCudaError, match=r"for_ever, block 0, thread .* out of time"):
        module.launch("for_ever", 1, 64, [np.zeros(1)], seconds=1)


def order(module: HostModule, schedule: str, seed: int = 0) -> list[int]:
    places = np.zeros(96, np.int64)
    module.launch("order", 1, 96, [places, np.zeros(1, np.int64)], schedule=schedule, seed=seed)
    return list(places)


def test_schedules_are_four_orders_of_the_threads(module: HostModule) -> None:
    assert order(module, "forward") == list(range(96))
    assert order(module, "reverse") == list(range(96))[::-1]
    for schedule in ("random", "unfair"):
        assert order(module, schedule) == order(module, schedule)
        assert order(module, schedule) != order(module, schedule, seed=1)
        assert sorted(order(module, schedule)) == list(range(96))
    assert len({thread // 32 for thread in order(module, "random")[:32]}) == 3
    warps = [thread // 32 for thread in order(module, "unfair")]
    assert all(len(set(warps[begin : begin + 32])) == 1 for begin in (0, 32, 64))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_eight_blocks_of_1024_threads_meet(module: HostModule, schedule: str) -> None:
    given = np.random.default_rng(0).integers(0, 1000, (2, 8, 1024))
    found = np.zeros_like(given)
    module.launch("whole_cluster", 16, 1024, [given, found], shared=8192, cluster=8, schedule=schedule)
    np.testing.assert_array_equal(found, given.sum(axis=1, keepdims=True) * 10 + np.arange(8)[:, None])


@pytest.mark.parametrize("width", [32, 16, 8, 1])
@pytest.mark.parametrize(
    ("letter", "dtype"), [("f", np.float32), ("d", float), ("i", np.int32), ("q", np.int64)]
)
def test_shuffles_move_what_they_should(module: HostModule, letter: str, dtype: Any, width: int) -> None:
    lane = np.arange(32)
    segment, last = lane // width * width, lane // width * width + width - 1
    values = (np.random.default_rng(1).normal(size=32) * 1e8).astype(dtype)
    found = np.zeros((3, 32), dtype)
    module.launch(f"shuffle_{letter}", 1, 32, [values, found, width], schedule="random")
    sources = [lane ^ 3, lane + 5, segment + lane * 7 % width]
    for row, source in zip(found, sources, strict=True):
        np.testing.assert_array_equal(row, values[np.where(source > last, lane, source)])


def test_halves_round_as_they_do_in_numpy(module: HostModule) -> None:
    every = np.arange(65536, dtype=np.uint16)
    as_float = np.zeros(65536, np.float32)
    module.launch("from_half", 1, 32, [65536, every, as_float])
    np.testing.assert_array_equal(as_float, every.view(np.float16).astype(np.float32))

    bits = np.random.default_rng(2).integers(0, 2**32, 50000, np.uint32)
    with np.errstate(all="ignore"):
        between = (as_float[:-1] + as_float[1:]) / 2
        values = np.concatenate([as_float, between, np.nextafter(between, 0), bits.view(np.float32)])
        values = np.concatenate([values, np.array([65519.996, 65520, 2**-25, 2**-25 + 2**-40], np.float32)])
        expected = values.astype(np.float16)
    half, other = np.zeros(values.size, np.uint16), np.zeros(values.size, np.uint16)
    module.launch("to_half", 1, 32, [values.size, values, half, other])
    np.testing.assert_array_equal(half.view(np.float16), expected)
    np.testing.assert_array_equal(
        np.signbit(half.view(np.float16))[values == 0], np.signbit(values)[values == 0]
    )


def test_bfloat16_is_the_nearer_of_its_neighbours(module: HostModule) -> None:
    random = np.random.default_rng(3)
    below = random.integers(0, 2**16, 20000).astype(np.uint32) << 16
    offset = random.choice(np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32), below.size)
    values = (below | offset).view(np.float32)
    half, found, back = (
        np.zeros(below.size, np.uint16),
        np.zeros(below.size, np.uint16),
        np.zeros_like(values),
    )
    module.launch("to_half", 1, 32, [below.size, values, half, found])
    up = (offset > 0x8000) | ((offset == 0x8000) & (below >> 16 & 1 == 1))
    expected = ((below >> 16) + up).astype(np.uint16)
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(found[numbers], expected[numbers])
    module.launch("from_bfloat16", 1, 32, [below.size, found, back])
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    np.testing.assert_array_equal(back[numbers].view(np.uint32), expected[numbers].astype(np.uint32) << 16)


def test_arguments_arrive_as_they_are(module: HostModule) -> None:
    result = np.zeros(2)
    module.launch("parameters", 1, 1, [-(2**53) + 1, 0.1, result])
    assert result.tolist() == [-(2**53) + 1, 0.1]
    own = guarded(2, float)
    for address in (own, own.ctypes.data):
        module.launch("parameters", 1, 1, [7, 3, address])
        assert own.tolist() == [7.0, 3.0]
        own[:] = 0
    same = np.ones(64, np.float32)
    module.launch("add", 1, 64, [same, same])
    strided = np.zeros((64, 2), np.float32)
    module.launch("add", 1, 64, [same, strided[:, 1]])
    np.testing.assert_array_equal(strided, [[0, 2]] * 64)


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ([1], {}, "takes 3 arguments, got 1"),
        ([1.5, 1.5, 0], {}, "argument 0 is a long long, got 1.5"),
        ([1, 1.5, 1.5], {}, "argument 2 is a pointer, got 1.5"),
        ([1, 1.5, 0], {"grid": 3, "cluster": 2}, "a multiple of the cluster"),
        ([1, 1.5, 0], {"grid": 0}, "a grid above 0"),
        ([1, 1.5, 0], {"threads": 1025}, "1 to 1024 threads"),
        ([1, 1.5, 0], {"shared": 232449}, "at most 232448 bytes"),
    ],
)
def test_a_launch_that_cannot_be(module: HostModule, arguments: Any, options: Any, error: str) -> None:
    with pytest.raises(HostCudaError, match=error):
        module.launch("parameters", arguments=arguments, **{"grid": 1, "threads": 1, **options})


@pytest.mark.parametrize("place", [-1, 64, 1000])
def test_a_write_beyond_an_array_is_an_error(module: HostModule, place: int) -> None:
    # The first byte that is written may be what the guard had there.
    first = rf"({4 * place}|{4 * place + 1})"
    for array in (np.zeros(64, np.float32), guarded(64, np.float32)):
        with pytest.raises(
            HostCudaError, match=rf"at: wrote bytes {first} .*of the 256 of a float32 array of shape"
        ):
            module.launch("at", 1, 1, [array, place])


def test_a_write_to_a_read_only_array_is_an_error(module: HostModule) -> None:
    array = np.zeros(64, np.float32)
    array.flags.writeable = False
    with pytest.raises(HostCudaError, match=r"wrote to a read-only float32 array of shape \(64,\)"):
        module.launch("at", 1, 1, [array, 63])


def test_a_read_beyond_an_array_that_nobody_sees_is_an_error_where_memory_ends(module: HostModule) -> None:
    values, result = np.ones(64, np.float32), np.ones(64, np.float32)
    module.launch("masked_read", 1, 64, [values, 1, result], strict=True)
    np.testing.assert_array_equal(result, 1)
    module.launch("masked_read", 1, 64, [values, 2, result])
    np.testing.assert_array_equal(result, [1] * 32 + [0] * 32)
    with pytest.raises(HostCudaError, match=r"block 0, thread (32|63): Segmentation fault"):
        module.launch("masked_read", 1, 64, [values, 2, result], strict=True)


def test_shared_memory_begins_as_nan_in_every_block(module: HostModule) -> None:
    result = np.zeros(64, np.float32)
    module.launch("unwritten", 3, 64, [result], shared=256)
    assert np.isnan(result).all()


def test_source_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASS_HOST_CUDA_CACHE", str(tmp_path))
    source = 'extern "C" __global__ void one(double* r) { r[0] = 1.0; }'
    with ThreadPoolExecutor(3) as pool:
        modules = list(pool.map(lambda _: HostModule(source, ["one"]), range(3)))
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"]
    for module in modules:
        result = np.zeros(1)
        module.launch("one", 1, 1, [result])
        assert result[0] == 1
    monkeypatch.setattr("subprocess.run", None)
    HostModule(source, ["one"])


def test_source_that_the_compiler_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostCudaError, match=r"g\+\+ refuses the source:\n(.|\n)*<stdin>:2:.*INFINITY"):
        HostModule('\nextern "C" __global__ void one(double* r) { r[0] = INFINITY; }', ["one"])
