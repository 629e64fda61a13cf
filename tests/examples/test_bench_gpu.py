"""The benchmarks of a GPU as far as they go without one: who is asked, how time is taken, what is written."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_stand_ins import HEAD, LOSS, ROOT, STEP, Peer, run_of

from bench import gpu, measure, peers, table
from bench.worker import Session
from bench.workloads import WORKLOADS, Workload, make_data


def test_the_two_tables_have_peers_of_their_own() -> None:
    on_cpu, on_gpu = peers.found(), peers.found(gpu=True)
    assert on_cpu[0] == "numpy_seeds"
    assert not [name for name in on_cpu if name.endswith("_gpu")]
    assert on_gpu[:2] == ["torch_eager_gpu", "onepass_cupy"]
    assert on_gpu[2:5] == ["jax_jit_gpu", "liger_gpu", "torch_compile_gpu"]
    assert on_gpu[-3:] == ["floor_copy_gpu", "floor_products_gpu", "floor_products_tf32_gpu"]
    in_tf32 = [name.replace("_tf32_gpu", "") for name in on_gpu[5:-3]]
    assert in_tf32 == ["onepass_cupy", "jax_jit", "torch_compile", "torch_eager"]
    assert [peers.is_tf32(name) for name in on_gpu] == [False] * 5 + [True] * 4 + [False, False, True]
    assert set(on_cpu) & set(on_gpu) == {"onepass_cupy"}


class Clock:
    """A device that takes 1 s for a flush and 3 s for a call, and whose events come with their time."""

    def __init__(self) -> None:
        self.now, self.waited, self.order = 0.0, 0, ""

    def flush(self) -> None:
        self.now, self.order = self.now + 1, self.order + "f"

    def call(self) -> None:
        assert not self.waited, "waited before everything was queued"
        self.now, self.order = self.now + 3, self.order + "c"

    def event(self) -> float:
        self.order += "e"
        return self.now

    def seconds(self, start: float, end: float) -> float:
        self.waited += 1
        return end - start


@pytest.mark.parametrize(("cold", "order", "waits"), [(True, "fece" * 4, 4), (False, "ecccce", 1)])
def test_flushes_are_queued_and_not_counted(cold: bool, order: str, waits: int) -> None:
    clock = Clock()
    assert gpu.time_calls(clock, clock.call, 4, cold=cold) == 12
    assert (clock.order, clock.waited) == (order, waits)


def test_steps_find_their_parameters_in_the_caches_and_nothing_else_does() -> None:
    assert [gpu.is_cold(workload) for workload in (STEP, LOSS, HEAD)] == [False, True, True]


def test_a_peer_says_what_it_runs_on_and_is_not_asked_where_it_cannot() -> None:
    assert Session(Peer()).hello()["device"] == "a GPU"
    assert Session(Peer("finds no GPU")).hello()["device"] == ""


@pytest.mark.parametrize(("kind", "memory"), [("linear head", 600), ("cross-entropy", None)])
def test_a_worker_waits_for_promises_and_counts_the_device_s_memory(
    kind: str, memory: int | None, tmp_path: Path
) -> None:
    peer = Peer()
    session = Session(peer)
    index = next(i for i, workload in enumerate(WORKLOADS) if workload.kind == kind)
    session.prepare(index, smoke=True)
    session.first_call()
    assert peer.computed
    answer = session.check(str(tmp_path / "results.npz"), compare=False)
    assert answer["memory"] == memory
    assert session.calibrate(0.04)["count"] == 1
    assert session.calibrate(1e9)["count"] == 1000, "repeated for ever"
    assert session.sample(4, 2)["seconds"] == 0.5
    smoke = WORKLOADS[index].smoke()
    assert peer.timed[-2:] == [(2, smoke), (4, smoke)], "no warm-up"
    session.sample(1, 0)
    assert peer.timed[-2:] == [(4, smoke), (1, smoke)]


@pytest.mark.parametrize(
    ("seconds", "count", "calls"), [(1e-5, 4001, 2000), (0.02, 2, 1), (0.5, 1, 1), (1.5, 1, 0)]
)
def test_long_calls_have_no_warm_up(seconds: float, count: int, calls: int) -> None:
    assert measure.warm_up_of(seconds, count) == calls


def test_the_table_has_ratios_to_pytorch_and_the_rate_of_the_copy() -> None:
    text = table.markdown(run_of(gpu=True))
    assert "- GPU: a GPU" in text
    assert "In brackets the ratio to PyTorch eager" in text
    assert "| workload | PyTorch eager | onepass cupy | floor | TF32 floor | rate of the copy |" in text
    assert "| loss 8 | 4 ms (1.00) | **2 ms** (0.50) | 1 ms copy |  | 3000 GB/s |" in text
    assert "| loss 8 | 4.0 | 2.0 |" in text
    assert "| loss 8 | 2.15 GB | 100 MB |" in text
    assert "- JAX jit: no GPU" in text
    assert "Device memory" in text
    # What is a floor's alone: the copy has no operations, the products move no bytes that count.
    assert "| loss 8 | copy | 1 ms | 1 ms to 1 ms | 2 | 0 |  | 3e+03 | 0e+00 |" in text
    assert "| loss 8 | products | 500 µs | 500 µs to 500 µs | 2 | 0 | 16 |  | 0e+00 |" in text


def test_the_table_of_the_processor_is_as_it_was() -> None:
    text = table.markdown(run_of())
    assert "| workload | PyTorch eager | onepass cupy | floor |\n" in text
    assert "On the device" not in text


def test_without_a_gpu_it_says_why_and_stops(tmp_path: Path) -> None:
    if any(peer_finds_a_gpu() for peer_finds_a_gpu in (_cupy_does, _torch_does)):
        pytest.skip("there is a GPU")
    command = [sys.executable, "-m", "bench", "--gpu", "--peers", "onepass_cupy", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert "left out: onepass cupy: " in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1] == "--gpu: no peer finds a GPU; the lines above give the reasons."


def _cupy_does() -> bool:
    from on_gpu import why_not

    return not why_not()


def _torch_does() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


@pytest.mark.needs(name="torch")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compile"])
def test_a_recorded_step_begins_where_its_parameters_did(
    optimizer: str, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the processor, with a graph that is a list of things to do again."""
    from bench import gpu_torch
    from bench.peers import torch_compile_gpu, torch_eager, torch_eager_gpu

    workload = Workload("step", "training step", (8, 5, 4, 3), optimizer=optimizer, l2=1e-3)  # type: ignore[arg-type]
    data = make_data(workload)
    recorded: list[Any] = []

    def record(work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        result = [None]

        def replay() -> None:
            result[0] = work()

        recorded.append(work)
        return replay, result

    monkeypatch.setattr(gpu_torch, "DEVICE", "cpu")
    monkeypatch.setattr(gpu_torch, "_warm_up", lambda work: [work() for _ in range(3)])
    monkeypatch.setattr(gpu_torch, "_record", record)
    monkeypatch.setattr(torch_compile_gpu, "_compiled", lambda loss_of: loss_of)
    call = (torch_compile_gpu if compiled else torch_eager_gpu).prepare(workload, data)
    plain = torch_eager.TrainingStep(workload, data, torch_eager.network_loss(workload))
    for _ in range(3):
        (loss, params), (expected, pairs) = call()[0], plain()
        np.testing.assert_allclose(loss.numpy(), expected.numpy(), rtol=1e-6)
        for mine, theirs in zip(params, pairs, strict=True):
            np.testing.assert_allclose(mine[0].detach().numpy(), theirs[0].detach().numpy(), rtol=1e-5)
    assert len(recorded) == 1


@pytest.mark.needs(name="torch")
def test_the_products_on_a_gpu_are_the_workload_s(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = importlib.import_module("torch")
    from bench import gpu_torch

    monkeypatch.setattr(gpu_torch, "DEVICE", "cpu")
    shapes: list[Any] = []
    monkeypatch.setattr(torch, "mm", lambda a, b, out: shapes.append((*a.shape, *b.shape, *out.shape)))
    call = gpu_torch.products_of(STEP)
    assert call is not None
    call()
    expected = {
        "forward": lambda d, k: (8, d, d, k, 8, k),
        "weight": lambda d, k: (d, 8, 8, k, d, k),
        "input": lambda d, k: (8, k, k, d, 8, d),
    }
    assert shapes == [expected[product](d, k) for product, d, k in STEP.products]
    assert gpu_torch.products_of(LOSS) is None


def test_the_driver_and_a_worker_do_without_tqdm_and_threadpoolctl(tmp_path: Path) -> None:
    """A machine with a GPU may have nothing but the libraries that are measured."""
    for name in ("tqdm", "threadpoolctl", "matplotlib"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not here')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    options = ["--only", "cross-entropy 300", "--peers", "onepass_numpy", "--sweeps", "2", "--seconds", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options, "--output", str(tmp_path / "out")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| cross-entropy 300" in done.stdout
    assert "- NumPy's BLAS: unknown to threadpoolctl" in done.stdout
    assert "no plots: matplotlib is not here" in done.stdout
    assert "cross-entropy 300" in done.stderr
