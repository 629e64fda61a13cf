"""The side of the CUDA backend that touches CuPy, on a stand-in that records; nothing here runs on a GPU."""

from __future__ import annotations

import inspect
import struct
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
from onepass.backends.cuda import cupy_device
from onepass.backends.cuda.device import Device, Gemm, Launch
from recorded_cupy import MOST_SHARED, Array, Recorder, installed

SOURCE = 'extern "C" __global__ void fill(float* out) { out[threadIdx.x] = 1.0f; }'


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorder:
    return installed(monkeypatch, tmp_path)


def test_has_the_methods_of_the_seam() -> None:
    for name, method in inspect.getmembers(Device, inspect.isfunction):
        if not name.startswith("_"):
            asked = [(p.name, p.kind) for p in inspect.signature(method).parameters.values()]
            there = inspect.signature(getattr(cupy_device.CupyDevice, name)).parameters.values()
            assert [(p.name, p.kind) for p in there] == asked


def test_a_device_is_made_once_and_follows_the_current_one(recorder: Recorder) -> None:
    first = cupy_device.current_device()
    recorder.device, recorder.capability = 1, "100"
    second = cupy_device.current_device()
    recorder.device = 0
    assert cupy_device.current_device() is first
    assert (first.capability, second.capability, first.processors) == (90, 100, 132)


def test_a_source_is_compiled_once_and_found_on_the_disk_afterwards(recorder: Recorder) -> None:
    device = cupy_device.current_device()
    kernels = device.load(SOURCE, ["fill"])
    assert kernels.keys() == {"fill"}
    assert device.load(SOURCE, ["fill"])["fill"] is kernels["fill"]
    cupy_device.CupyDevice(0).load(SOURCE, ["fill"])
    assert len(recorder.nvrtc.compiled) == 1
    assert recorder.loaded == [b"cubin of " + SOURCE.encode()] * 2
    assert not recorder.nvrtc.open
    recorder.capability = "80"
    cupy_device.CupyDevice(0).load(SOURCE, ["fill"])
    device.load(SOURCE + "// another", ["fill"])
    assert len(recorder.nvrtc.compiled) == 3


def test_compiles_for_the_device_and_keeps_subnormal_numbers(recorder: Recorder) -> None:
    cupy_device.current_device().load(SOURCE, ["fill"])
    assert recorder.nvrtc.compiled == [
        (SOURCE, ("-std=c++17", "-default-device", "-fmad=false", "-arch=sm_90"))
    ]


@pytest.mark.parametrize(("capability", "option"), [("130", "-arch=compute_100"), ("86", "-arch=compute_80")])
def test_a_device_unknown_to_nvrtc_takes_assembler_text(
    recorder: Recorder, capability: str, option: str
) -> None:
    recorder.capability = capability
    cupy_device.current_device().load(SOURCE, ["fill"])
    assert recorder.nvrtc.compiled[0][1][-1] == option
    assert recorder.loaded == [b"ptx of " + SOURCE.encode()]


@pytest.mark.parametrize(
    "harm", [lambda content: content[:-1], lambda content: b"", lambda content: b"x" * 99]
)
def test_a_damaged_file_is_compiled_anew(
    recorder: Recorder, tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    cupy_device.CupyDevice(0).load(SOURCE, ["fill"])
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    cupy_device.CupyDevice(0).load(SOURCE, ["fill"])
    assert recorder.loaded[1] == recorder.loaded[0]
    assert path.read_bytes() == whole


@pytest.mark.filterwarnings("ignore:onepass cannot cache compiled programs")
def test_works_without_a_folder(recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(tmp_path / "file" / "folder"))
    cupy_device.current_device().load(SOURCE, ["fill"])
    assert len(recorder.loaded) == 1


def test_what_does_not_compile_is_a_bug_of_this_library(recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"9\.0\. This is a bug of onepass(.|\n)*what is wrong"):
        cupy_device.current_device().load("#error", ["fill"])
    assert not recorder.nvrtc.open
    assert not list(tmp_path.rglob("*.cubin"))


def test_arguments_are_eight_bytes_each(recorder: Recorder) -> None:
    device = cupy_device.current_device()
    kernel = device.load(SOURCE, ["fill"])["fill"]
    device.launch(kernel, Launch(264, 256, 1024, cluster=2), [0x7F00_0000_0000, -1, 2**33, 0.1, 2**63 + 8])
    (call,) = recorder.calls
    assert call.arguments == struct.pack("<qqqdQ", 0x7F00_0000_0000, -1, 2**33, 0.1, 2**63 + 8)
    assert call[:5] == ("fill", 0, 0, (264,), (256,))
    assert call.shared == 1024


def test_launches_on_the_stream_that_is_current_then(recorder: Recorder) -> None:
    device = cupy_device.current_device()
    kernel = device.load(SOURCE, ["fill"])["fill"]
    device.launch(kernel, Launch(1, 32), [])
    with recorder.stream() as first:
        device.launch(kernel, Launch(2, 32), [])
        with recorder.stream() as second:
            device.launch(kernel, Launch(3, 32), [])
        device.launch(kernel, Launch(4, 32), [])
    streams = [(call.grid[0], call.stream) for call in recorder.calls]
    assert streams == [(1, 0), (2, first.ptr), (3, second.ptr), (4, first.ptr)]


def test_asks_for_shared_memory_beyond_what_every_kernel_has(recorder: Recorder) -> None:
    recorder.fixed_shared = 1024
    device = cupy_device.current_device()
    kernel = device.load(SOURCE, ["fill"])["fill"]
    attributes = recorder.attributes[kernel.function.ptr]
    device.launch(kernel, Launch(1, 32, 47 * 1024), [])
    assert MOST_SHARED not in attributes
    for shared in (47 * 1024 + 16, 200 * 1024, 100 * 1024):
        device.launch(kernel, Launch(1, 32, shared), [])
    assert attributes[MOST_SHARED] == 200 * 1024
    assert [call.shared for call in recorder.calls] == [48128, 48144, 204800, 102400]


def test_makes_arrays(recorder: Recorder) -> None:
    device = cupy_device.current_device()
    made = device.empty((2, 3), numpy.dtype("float64"))
    assert (made.shape, made.dtype) == ((2, 3), "float64")
    assert device.address(made) == made.ctypes.data


def _space(device: Any, size: int) -> tuple[int, int]:
    workspace = device.workspace(size)
    return device.address(workspace), workspace.nbytes


def test_a_small_workspace_is_kept_for_the_stream_and_the_thread(recorder: Recorder) -> None:
    device = cupy_device.current_device()
    first, size = _space(device, 100)
    assert size >= 100
    assert _space(device, 200) == (first, size)
    with recorder.stream() as stream:
        other, _ = _space(device, 100)
        assert other != first
        stream.begin_capture()  # what is recorded may be launched beside the next calls
        captured = device.workspace(100)
        assert device.address(captured) != other
        stream.end_capture()
        assert _space(device, 100)[0] == other
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(_space, device, 100).result()[0] not in (first, other)
    assert _space(device, 100) == (first, size)
    assert _space(device, 2 * size)[1] == 2 * size


def test_a_large_workspace_is_given_back(recorder: Recorder) -> None:
    device = cupy_device.current_device()
    large = device.workspace((1 << 20) + 1)
    gone = weakref.ref(large)
    del large
    assert gone() is None


def _misaligned(values: numpy.ndarray) -> Any:
    memory = numpy.zeros(values.nbytes + 1, numpy.uint8)
    array = memory[1:].view(values.dtype).reshape(values.shape)
    array[...] = values
    return array


VALUES = numpy.arange(24, dtype=numpy.float32).reshape(4, 6)


@pytest.mark.parametrize(
    "array",
    [
        VALUES.T,
        VALUES[::2],
        VALUES[:, 1:4],
        VALUES[::-1, ::-2],
        numpy.broadcast_to(VALUES[0], (3, 6)),
        VALUES.astype("float64"),
        VALUES.astype("int8").T,
        numpy.array(3.5),
        _misaligned(VALUES),
        _misaligned(VALUES)[1:, ::-2],
        _misaligned(VALUES.astype("float64")).T,
        _misaligned(VALUES)[:0],
    ],
)
@pytest.mark.parametrize("are_known", [False, True])
def test_brings_an_array_into_plain_form(recorder: Recorder, array: numpy.ndarray, are_known: bool) -> None:
    given, strides = array.view(Array), numpy.empty(array.shape, "float32").strides
    plain = cupy_device.current_device().plain(given, "float32", strides if are_known else None)
    assert plain is not given
    assert plain.flags.c_contiguous
    assert plain.flags.aligned
    assert plain.dtype == "float32"
    numpy.testing.assert_array_equal(plain, array)
    assert not numpy.shares_memory(plain, array)


@pytest.mark.parametrize("array", [VALUES, VALUES[1:3], numpy.float32(2.5), VALUES[:0], VALUES[:, :1].copy()])
def test_a_plain_array_stays_itself(recorder: Recorder, array: numpy.ndarray) -> None:
    given = numpy.asarray(array).view(Array)
    device = cupy_device.current_device()
    # What strides a caller expects does not matter for an array that is plain by itself.
    for strides in (None, given.strides, tuple(8 * step for step in given.strides)):
        assert device.plain(given, "float32", strides) is given


def _step(recorder: Recorder) -> Callable[[], None]:
    device = cupy_device.current_device()
    kernel = device.load(SOURCE, ["fill"])["fill"]
    a, out = (device.empty((2, 2), numpy.dtype("float32")) for _ in range(2))

    def run() -> None:
        device.launch(kernel, Launch(5, 32), [device.address(out)])
        device.product(Gemm(a, a, out, accumulate=True), 256)

    return run


def test_a_graph_holds_kernels_and_products_and_goes_to_the_current_stream(recorder: Recorder) -> None:
    run = _step(recorder)
    run()
    launch = cupy_device.current_device().graph(run)
    assert launch is not None
    assert len(recorder.calls) == 1
    assert recorder.streams == [recorder.all_streams[0]]
    launch()
    with recorder.stream() as stream:
        launch()
    assert [ptr for ptr, _ in recorder.launched_graphs] == [0, stream.ptr]
    for _, recorded in recorder.launched_graphs:
        assert recorded[0][:4] == ("fill", 0, recorded[0].stream, (5,))
        assert recorded[1:] == ["product"]


def _fails() -> None:
    raise ValueError


@pytest.mark.parametrize("how", ["run", "end", "product by CuPy"])
def test_what_cannot_be_recorded_leaves_nothing_behind(recorder: Recorder, how: str) -> None:
    run = _fails if how == "run" else _step(recorder)
    recorder.graphs_fail = how == "end"
    if how == "product by CuPy":
        del recorder.cublas.cublasGemmEx_64
    assert cupy_device.current_device().graph(run) is None
    assert recorder.streams == [recorder.all_streams[0]]
    assert not any(stream.is_capturing() for stream in recorder.all_streams.values())


def test_says_whether_the_caller_records(recorder: Recorder) -> None:
    device = cupy_device.current_device()
    assert not device.is_capturing()
    with recorder.stream() as stream:
        stream.begin_capture()
        assert device.is_capturing()
        with recorder.stream():
            assert not device.is_capturing()
        stream.end_capture()
    assert not device.is_capturing()


def test_an_interrupt_ends_the_recording(recorder: Recorder) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cupy_device.current_device().graph(interrupted)
    assert not any(stream.is_capturing() for stream in recorder.all_streams.values())
    assert recorder.streams == [recorder.all_streams[0]]
