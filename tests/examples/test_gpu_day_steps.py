"""What the steps of a GPU day compute and measure, with NumPy for CuPy and a clock that tells no time."""

from __future__ import annotations

import importlib
import inspect
import json
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bench_stand_ins import ROOT
from onepass.backends.cuda import cupy_device

import onepass as op

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")

from bench.gpu_day import few, nsight, sanitizer, smoke, table, times, timing, tools
from bench.workloads import TIMES


class Clock:
    """Two events are 2 s apart, whatever happens between them."""

    def __init__(self) -> None:
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1

    def event(self) -> Any:
        return None

    def seconds(self, start: Any, end: Any) -> float:
        return 2.0


@pytest.fixture
def measured(tmp_path: Path) -> timing.Times:
    return timing.Times(tmp_path / "times.json", Clock())


def test_a_measured_call(measured: timing.Times, tmp_path: Path) -> None:
    calls: list[int] = []
    measured.measure(
        "a call", lambda: calls.append(1), least_bytes=4_000_000, operations=3_000_000_000, calls=4
    )
    assert len(calls) == timing.WARM_UPS + timing.COLD_CALLS + 4
    assert measured._clock.flushes == timing.COLD_CALLS  # type: ignore[attr-defined]
    entry = json.loads((tmp_path / "times.json").read_text())["a call"]
    host = entry.pop("host_us")
    assert 0 < host < 1e5
    assert entry == {"cold_us": 2e6, "back_to_back_us": 5e5, "TBps_cold": 2e-6, "TFLOPs": 6e-3}


def test_a_call_that_fails_is_an_entry(measured: timing.Times, capsys: pytest.CaptureFixture[str]) -> None:
    measured.measure("no call", lambda: 1 / 0)
    measured.measure("a call", lambda: None)
    assert measured.found["no call"] == {"failed": "ZeroDivisionError: division by zero"}
    assert "cold_us" in measured.found["a call"]
    assert "no call: FAILED ZeroDivisionError" in capsys.readouterr().out


def test_a_later_step_adds_to_the_file(measured: timing.Times, tmp_path: Path) -> None:
    measured.measure("first", lambda: None)
    later = timing.Times(tmp_path / "times.json", Clock())
    later.measure("second", lambda: None)
    assert [*json.loads((tmp_path / "times.json").read_text())] == ["first", "second"]


def assert_all_measured(found: timing.Times, names: list[str]) -> None:
    assert [*found.found] == names
    assert not [entry for entry in found.found.values() if "failed" in entry]


def test_the_times_of_onepass(measured: timing.Times, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "LEAST_COPIED", 2 * 30 * 4)
    times.cross_entropies(measured, np, ((5, 6),))
    times.training_steps(measured, np, ((6, 4, 5, 3),), "float32")
    times.training_steps(measured, np, ((6, 4, 5, 3),), "bfloat16", " TF32")
    times.heads(measured, np, ((5, 4, 6),), "float32")
    assert_all_measured(
        measured,
        [
            "cross-entropy 5x6 float32",
            "copy of the same bytes 5x6 float32",
            "cross-entropy 5x6 bfloat16",
            "step 6-4-5-3 float32",
            "Adam step 6-4-5-3 float32",
            "step 6-4-5-3 bfloat16 TF32",
            "Adam step 6-4-5-3 bfloat16 TF32",
            "head 5x4->6 float32",
        ],
    )
    # The clock's 2 s a sample: 2 x 5 x 6 numbers, and 2 x 6 x (2 x 4 x 5 + 3 x 5 x 3) in 50 steps.
    assert measured.found["cross-entropy 5x6 float32"]["TBps_cold"] == pytest.approx(240 / 2e12)
    assert measured.found["step 6-4-5-3 float32"]["TFLOPs"] == pytest.approx(1020 * 50 / 2e12)
    assert measured.found["head 5x4->6 float32"]["TFLOPs"] == pytest.approx(6 * 120 * 3 / 2e12)


@pytest.mark.needs(name="CuPy")
def test_the_switch_for_tf32_is_there() -> None:
    cupy = importlib.import_module("cupy")
    assert callable(cupy._core.set_compute_type)
    seen: list[Any] = []
    routines = cupy._core._routines_linalg
    core = SimpleNamespace(set_compute_type=lambda *given: seen.append(given), _routines_linalg=routines)
    times.products_in_tf32(SimpleNamespace(_core=core))
    assert seen == [(np.dtype("float32"), routines.COMPUTE_TYPE_TF32)]


@pytest.mark.needs(name="torch")
def test_the_times_of_pytorch(
    measured: timing.Times, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = importlib.import_module("torch")
    from bench import gpu_torch
    from bench.gpu_day import torch_times

    monkeypatch.setattr(gpu_torch, "DEVICE", "cpu")
    monkeypatch.setattr(torch_times, "compiled", lambda loss_of: loss_of)
    monkeypatch.setattr(gpu_torch, "has_triton", lambda: True)
    before = torch.get_float32_matmul_precision()
    try:
        torch_times.cross_entropies(measured, ((5, 6),))
        torch_times.products(measured, ((5, 4, 6),))
    finally:
        torch.set_float32_matmul_precision(before)
    names = [*torch_times.losses()]
    works = [f"{name} cross-entropy 5x6 {dtype}" for dtype in ("float32", "bfloat16") for name in names]
    assert "torch.compile cross-entropy 5x6 bfloat16" in works
    assert_all_measured(
        measured, [*works, "torch product 5x4->6 float32", "torch product 5x4->6 float32 TF32"]
    )
    assert {*torch_times.SHAPES} < {*times.SHAPES}
    monkeypatch.setattr(gpu_torch, "has_triton", lambda: False)
    assert "torch.compile" not in torch_times.losses()
    assert "no torch.compile: Triton is not installed" in capsys.readouterr().out


def test_the_smoke_checks_compare_values(monkeypatch: pytest.MonkeyPatch) -> None:
    assert smoke.cross_entropy(np, 9, 5, np.dtype("float32")).startswith("error ")
    assert smoke.cross_entropy(np, 4, 33, times.dtype_of("bfloat16")).startswith("error ")
    assert smoke.product(np) == "as NumPy's"
    assert smoke.adam(np) == "4 steps"
    loss_and_grad = op.softmax_cross_entropy_with_grad

    def wrong(logits: Any, labels: Any) -> Any:
        loss, grad = loss_and_grad(logits, labels)
        return loss, grad * np.float32(1.001)

    monkeypatch.setattr(op, "softmax_cross_entropy_with_grad", wrong)
    with pytest.raises(AssertionError, match=r"error 1.0e-03; expected less than 2e-05"):
        smoke.cross_entropy(np, 9, 5, np.dtype("float32"))


def test_a_check_that_fails_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    check = smoke.Checks()
    check("good", lambda: "fine")
    check("bad", lambda: f"{1 / 0}")
    assert (check.good, check.bad) == (1, 1)
    said = capsys.readouterr()
    assert "  ok good: fine (" in said.out
    assert "  FAILED bad" in said.out
    assert "ZeroDivisionError" in said.err


def test_graphs_that_are_not_recorded_are_found() -> None:
    class Device:
        made: Any = object()

        def graph(self, run: Any) -> Any:
            return self.made

    device = Device()
    calling = SimpleNamespace(ones=lambda *_: device.graph(None) and np.ones((64, 64), "float32"))
    assert smoke.graphs(calling, Device) == "recorded [True, True]"
    device.made = None
    calling = SimpleNamespace(ones=lambda *_: [device.graph(None), np.ones((64, 64), "float32")][1])
    with pytest.raises(AssertionError, match=r"recorded: \[False, False\]"):
        smoke.graphs(calling, Device)
    with pytest.raises(AssertionError, match="no graph was requested"):
        smoke.graphs(np, Device)


def test_what_the_smoke_checks_watch_is_there() -> None:
    """They take the arguments of CupyDevice.launch apart, and ask whether `graph` gave one."""
    launch = inspect.signature(cupy_device.CupyDevice.launch).parameters
    assert [*launch] == ["self", "kernel", "launch", "arguments"]
    assert [*inspect.signature(cupy_device.CupyDevice.graph).parameters] == ["self", "run"]
    assert "function" in cupy_device.Kernel.__slots__


def test_the_clusters_of_a_launch_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    from onepass.backends.cuda.device import Launch

    asked: list[Any] = []

    def occupancy(function: Any, config: Any) -> Any:
        size = config.attrs[0].value.clusterDim
        asked.append(
            (int(function), config.gridDimX, config.blockDimX, config.sharedMemBytes, config.numAttrs)
        )
        asked.append((size.x, size.y, size.z))
        return "status", 15

    names = ("CUlaunchAttribute", "CUlaunchAttributeID", "CUlaunchConfig", "CUfunction")
    assert hasattr(driver, "cuOccupancyMaxActiveClusters")
    stand_in = SimpleNamespace(
        **{name: getattr(driver, name) for name in names}, cuOccupancyMaxActiveClusters=occupancy
    )
    kernel = SimpleNamespace(function=SimpleNamespace(ptr=4096))

    class Device:
        def launch(self, kernel: Any, launch: Any, arguments: Any) -> None:
            pass

    def call(logits: Any, labels: Any) -> None:
        Device().launch(kernel, Launch(264, 1024, 528, 8), [])
        Device().launch(kernel, Launch(1, 32), [])

    monkeypatch.setattr(op, "softmax_cross_entropy_with_grad", call)
    monkeypatch.setattr(smoke.importlib, "import_module", lambda name: stand_in)
    said = smoke.clusters(SimpleNamespace(ones=lambda *_: 0, zeros=lambda *_: 0), Device)
    assert said == "33 clusters of 8 blocks of 1024 threads, resident (error, number): ('status', 15)"
    assert asked == [(4096, 264, 1024, 528, 1), (8, 1, 1)]


def test_the_few_kernels_of_the_checkers(capsys: pytest.CaptureFixture[str]) -> None:
    few.cross_entropies(np, ((3, 4), (2, 70)), large=False)
    few.cross_entropies(np, ((3, 4),), large=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" ")[0] for line in lines] == [
        *("3 4 float32", "3 4 bfloat16", "2 70 float32", "2 70 bfloat16"),
        *("3 4 float32", "3 4 bfloat16"),
    ]
    # The same numbers as once more, aligned.
    assert lines[0] == lines[4]
    odd = few._off_by_one(np, np.arange(6, dtype=np.float32).reshape(2, 3))
    assert odd.ctypes.data % 8 == 4
    np.testing.assert_array_equal(odd, [[0, 1, 2], [3, 4, 5]])
    # Three steps of the learning rate, from 1 down, for 1000 elements.
    assert few.adam(np) == pytest.approx(1000 * (1 - 3 * 0.1), rel=1e-5)


def test_the_profiled_kernel_is_the_one_over_the_rows() -> None:
    logits, labels = np.zeros((64, 256), np.float32), np.zeros(64, np.int64)
    text = op.explain(op.softmax_cross_entropy_with_grad, logits, labels).cuda
    assert f" {nsight.KERNEL}(" in text
    command = nsight.command("ncu")
    assert command[-1] == "large"
    assert "regex:rows0_0" in command


def tool(folder: Path, name: str, text: str) -> None:
    """A program of that name in the folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setenv("GPU_DAY_STEP_SECONDS", "30")
    monkeypatch.setattr(tools, "FOLDERS", (f"{tmp_path}/toolkits/*",))
    return folder


def test_the_sanitizer_says_which_checkers_found_something(
    on_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="compute-sanitizer was not found"):
        sanitizer.main()
    tool(on_path, "compute-sanitizer", 'echo "ERROR SUMMARY: $2"; echo more; [ "$2" != racecheck ] || exit 9')
    with pytest.raises(SystemExit, match="errors found by: racecheck"):
        sanitizer.main()
    report = (tmp_path / "sanitizer.txt").read_text()
    assert (
        "--- memcheck: exit status 0\nERROR SUMMARY: memcheck\nmore\n--- racecheck: exit status 9" in report
    )
    assert "more" not in capsys.readouterr().out
    tool(on_path, "compute-sanitizer", 'echo "ERROR SUMMARY: 0 errors"')
    with pytest.raises(SystemExit) as clean:
        sanitizer.main()
    assert clean.value.code == 0


def test_the_profile_is_a_file_and_its_telling_lines_are_printed(
    on_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="ncu was not found"):
        nsight.main()
    newest = tmp_path / "toolkits" / "2026.3"
    newest.mkdir(parents=True)
    tool(newest, "ncu", 'echo "  rows0_0 (528, 1, 1)"; echo "  Duration us 94"; echo "  Other 1"')
    assert tools.found("ncu") == str(newest / "ncu")
    with pytest.raises(SystemExit) as done:
        nsight.main()
    assert done.value.code == 0
    assert capsys.readouterr().out == "  rows0_0 (528, 1, 1)\n  Duration us 94\n"
    assert "Other" in (tmp_path / "ncu.txt").read_text()


def test_a_tool_that_takes_too_long_is_interrupted() -> None:
    start = time.monotonic()
    status, text = tools.run(["/bin/sh", "-c", "trap 'echo summed up; exit 4' INT; sleep 30 & wait"], 1.0)
    assert status == 4
    assert text.splitlines() == ["--- interrupted after 1 s", "summed up"]
    # What it runs goes with it.
    assert time.monotonic() - start < 15


@pytest.mark.needs(name="g++")
def test_the_sweep_launches_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    from host_device import HostDevice

    sweep = importlib.import_module("bench.gpu_day.sweep")
    device = HostDevice()
    shapes = [sweep.Shapes(6, 260, ((32, 1), (32, 2)), (0, 2))]
    sweep.sweep(np, device, Clock(), shapes)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert not [line for line in lines if "FAILED" in line]
    assert lines[0].startswith("6x260 float32      32 threads, cluster 1, usual groups: 2000000.0 us")
    launched = {
        (launch.grid, launch.threads, launch.cluster) for name, launch in device.launches if name == "rows0_0"
    }
    # Two groups: of one block, and of two.
    assert {(2, 32, 1), (4, 32, 2)} < launched
    assert all(cluster > 1 or threads <= 1024 for *_, forms, _ in sweep.SWEEP for threads, cluster in forms)


def test_the_table_of_a_day() -> None:
    def entry(cold: float, **more: float) -> dict[str, float]:
        return {"cold_us": cold, "back_to_back_us": cold + 1, "host_us": 42.0, "TBps_cold": 2.63, **more}

    text = table.markdown(
        {
            "cross-entropy 4096x8192 float32": entry(101.98),
            "copy of the same bytes 4096x8192 float32": entry(93.312),
            "torch eager cross-entropy 4096x8192 float32": entry(1234.0),
            "cross-entropy 300x3 float32": entry(5.9),
            "step 1024-784-1024-10 float32": entry(147.0, TFLOPs=22.6),
            "step 1024-784-1024-10 float32 TF32": entry(85.4, TFLOPs=38.8),
            "head 8192x256->131072 bfloat16": {"failed": "no memory"},
        }
    )
    assert text.splitlines() == [
        "| cross-entropy and gradient | onepass | copy | ratio | onepass TB/s | torch eager | host |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| 4096{TIMES}8192 float32 | 102 µs | 93.3 µs | 1.09 | 2.63 | 1.23 ms | 42 µs |",
        f"| 300{TIMES}3 float32 | 5.9 µs |  |  | 2.63 |  | 42 µs |",
        "",
        "| workload | float32 (TFLOP/s) | TF32 (TFLOP/s) | bfloat16 (TFLOP/s) |",
        "| --- | ---: | ---: | ---: |",
        "| step 1024-784-1024-10 | 148 µs (22.6) | 86.4 µs (38.8) |  |",
    ]


def test_no_module_of_the_day_is_long() -> None:
    for path in (ROOT / "bench" / "gpu_day").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 320
