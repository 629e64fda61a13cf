"""The compiler that the tests of emitted CUDA rely on says what they need to hear."""

from __future__ import annotations

import nvrtc_compiler as nvrtc
import pytest

DOUBLES = """
extern "C" __global__ void doubles(float* values, long long count) {
    __shared__ float part[64];
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    part[threadIdx.x] = i < count ? values[i] : 0.0f;
    __syncthreads();
    if (i < count) values[i] = part[threadIdx.x] + part[blockDim.x - 1 - threadIdx.x];
}
"""

# Holds 96 values a thread, where there are registers for 32.
SPILLS = """
extern "C" __global__ void __launch_bounds__(1024, 2) spills(float* values, int rounds) {
    float held[96];
    #pragma unroll
    for (int i = 0; i < 96; i++) held[i] = values[i * 256 + threadIdx.x];
    for (int round = 0; round < rounds; round++) {
        #pragma unroll
        for (int i = 0; i < 96; i++) held[i] = held[i] * held[(i * 7 + 3) % 96] + 1.0f;
    }
    #pragma unroll
    for (int i = 0; i < 96; i++) values[i * 256 + threadIdx.x] = held[i];
}
"""

# What a thread writes and reads at places that are known only while it runs.
INDEXES = """
extern "C" __global__ void indexes(float* values, int place) {
    float held[64];
    for (int i = 0; i < 64; i++) held[(i * place) & 63] = values[i];
    values[0] = held[place & 63];
}
"""

CALLS = """
extern "C" __device__ __noinline__ float third(float x) { return x / 3.0f; }
extern "C" __global__ void calls(float* values) { values[threadIdx.x] = third(values[threadIdx.x]); }
"""


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_reports_a_kernel_without_faults(architecture: int) -> None:
    report = nvrtc.compile_for(DOUBLES, architecture)
    assert 4 <= report.registers["doubles"] <= 32
    assert report.spill_bytes == {"doubles": 0}
    assert report.stack_bytes == {"doubles": 0}
    assert report.shared_bytes == {"doubles": 256}
    assert report.warnings == ""
    assert report.cubin.startswith(b"\x7fELF")


def test_reports_spills_and_stacks_by_kernel() -> None:
    report = nvrtc.compile_for(DOUBLES + SPILLS + INDEXES, 90)
    assert report.registers["spills"] == 32
    assert report.spill_bytes["spills"] > 200
    assert report.stack_bytes["spills"] > 100
    assert report.spill_bytes["indexes"] == report.spill_bytes["doubles"] == 0
    assert report.stack_bytes["indexes"] == 256
    assert report.stack_bytes["doubles"] == 0
    assert report.warnings == ""


def test_a_function_that_a_kernel_calls_is_reported_as_such() -> None:
    report = nvrtc.compile_for(CALLS, 80)
    assert report.registers.keys() == {"calls"}
    assert report.spill_bytes.keys() == {"calls", "third"}


def test_reports_warnings_of_the_compiler_and_of_the_assembler() -> None:
    unused = DOUBLES.replace("__syncthreads();", "__syncthreads(); int unused;")
    assert "unused" in nvrtc.compile_for(unused, 90).warnings
    impossible = SPILLS.replace("(1024, 2)", "(1024, 64)")
    assert "minnctapersm" in nvrtc.compile_for(impossible, 90).warnings


def test_options_reach_the_compiler() -> None:
    source = DOUBLES.replace("part[threadIdx.x] +", "FACTOR * part[threadIdx.x] +")
    assert nvrtc.compile_for(source, 90, ["-DFACTOR=3.0f"]).warnings == ""
    with pytest.raises(nvrtc.CompileError, match="FACTOR"):
        nvrtc.compile_for(source, 90)


@pytest.mark.parametrize(
    ("source", "log"),
    [
        (DOUBLES.replace("count)", "size)", 1), r'kernels.cu\(5\): error: identifier "count" is undefined'),
        ('extern "C" __global__ void __cluster_dims__(4, 1, 1) k() {}', "not supported for this GPU"),
        ('extern "C" __global__ void k() { asm("nonsense;"); }', "ptxas"),
    ],
)
def test_what_does_not_compile_is_raised_with_the_log(source: str, log: str) -> None:
    with pytest.raises(nvrtc.CompileError, match=log):
        nvrtc.compile_for(source, 80)
