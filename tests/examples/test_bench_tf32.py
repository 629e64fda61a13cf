"""The columns of the GPU table in TF32, and who shares a device's memory with whom; needs no device."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_stand_ins import HEAD, LOSS, ROOT, STEP, Peer, entry, run_of

from bench import measure, peers, process, table, tf32, worker
from bench.workloads import WORKLOADS, Workload, make_data

IN_TF32 = [name for name in peers.found(gpu=True) if peers.is_tf32(name)]


def test_every_library_has_a_column() -> None:
    libraries = {name.removesuffix("_tf32_gpu") for name in IN_TF32}
    assert libraries == {"onepass_cupy", "torch_eager", "torch_compile", "jax_jit", "floor_products"}


@pytest.mark.parametrize(
    ("workload", "why"),
    [
        (STEP, ""),
        (HEAD, ""),
        (LOSS, "no products"),
        (Workload("step", "training step", (8, 5, 4, 3), dtype="float64"), "float64"),
        (Workload("step", "training step", (8, 5, 4, 3), optimizer="adam"), "Adam"),
        (Workload("step", "training step", (8, 5, 4, 3), batches=2), "epoch"),
    ],
)
def test_the_work_in_tf32(workload: Workload, why: str) -> None:
    if why:
        with pytest.raises(peers.OtherWorkError, match=why):
            tf32.require(workload)
    else:
        tf32.require(workload)
        assert workload.tolerance < tf32.tolerance(workload) <= 0.1
    assert any(w.kind == "training step" and not _refused(w) for w in WORKLOADS)


def _refused(workload: Workload) -> bool:
    try:
        tf32.require(workload)
    except peers.OtherWorkError:
        return True
    return False


@pytest.mark.parametrize(("name", "value"), [("onepass_cupy", "0"), ("onepass_cupy_tf32_gpu", "1")])
def test_the_switch_of_cupy(name: str, value: str) -> None:
    """It is read at CuPy's first product, so it has to be set when the peer is imported."""
    code = f"import os, sys; import bench.peers.{name}; print(os.environ['CUPY_TF32'], 'cupy' in sys.modules)"
    environment = {**os.environ, "CUPY_TF32": "1" if value == "0" else "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [value, "False"]


@pytest.mark.needs(name="torch")
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("torch_eager_gpu", "highest"),
        ("torch_eager_tf32_gpu", "high"),
        ("torch_compile_gpu", "highest"),
        ("torch_compile_tf32_gpu", "high"),
        ("floor_products_gpu", "highest"),
        ("floor_products_tf32_gpu", "high"),
    ],
)
def test_the_switch_of_pytorch(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = importlib.import_module("torch")
    from bench import gpu_torch

    monkeypatch.setattr(gpu_torch, "DEVICE", "cpu")
    before = torch.get_float32_matmul_precision()
    try:
        peers.load(name).prepare(HEAD, make_data(HEAD))
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.needs(name="jax")
@pytest.mark.parametrize(("name", "precision"), [("jax_jit", "highest"), ("jax_jit_tf32", "tensorfloat32")])
def test_the_switch_of_jax(name: str, precision: str) -> None:
    # On the processor, which computes in float32 all the same: the results say that the work is done.
    code = (
        f"import os; import bench.peers.{name}_gpu as peer; os.environ['JAX_PLATFORMS'] = 'cpu'\n"
        "import jax; jax.config.update('jax_platforms', 'cpu')\n"
        "from bench.workloads import Workload, make_data\n"
        "head = Workload('head', 'linear head', (8, 5, 30))\n"
        "loss, *grads = peer.prepare(head, make_data(head))()\n"
        "print(jax.config.jax_default_matmul_precision, [g.shape for g in grads], float(loss) > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{precision} [(8, 5), (5, 30)] True"


def test_what_overrides_a_program_s_precision_is_not_handed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in process.PRECISIONS:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    handed_on = process._environment(tmp_path)
    assert not {*process.PRECISIONS} & {*handed_on}
    assert handed_on["CUDA_VISIBLE_DEVICES"] == "0"


def test_the_table_compares_tf32_with_tf32() -> None:
    text = table.markdown(
        run_of(
            {
                "torch_eager_tf32_gpu": entry("PyTorch eager TF32", 0.0012, 0.0012),
                "onepass_cupy_tf32_gpu": entry("onepass cupy TF32", 0.0008, 0.0008),
                "floor_products_gpu": entry("products", 0.0016, 0.0016),
                "floor_products_tf32_gpu": entry("products TF32", 0.0001, 0.0001),
            },
            gpu=True,
        )
    )
    # The fastest of each precision; below the products in float32, and no less than the copy.
    assert (
        "| loss 8 | 4 ms (1.00) | **2 ms** (0.50) | 1.2 ms (0.30) | **800 µs** (0.20) | 1.6 ms products "
        "| 1 ms copy | 3000 GB/s |" in text
    )
    assert "| loss 8 | 2.5 | 1.2 | 1.2 | 0.8 |" in text


def test_who_is_in_a_device_s_memory_together() -> None:
    on_gpu = peers.found(gpu=True)
    assert measure.groups(HEAD, on_gpu) == [[name] for name in on_gpu]
    usual, in_tf32 = measure.groups(STEP, on_gpu)
    assert usual + in_tf32 != on_gpu
    assert sorted(usual + in_tf32) == sorted(on_gpu)
    assert in_tf32 == IN_TF32
    assert usual[0] == "torch_eager_gpu"
    on_cpu = peers.found()
    assert measure.groups(HEAD, on_cpu) == [on_cpu]


class OutOfMemoryError(RuntimeError):
    """The name that PyTorch's and CuPy's have."""


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (OutOfMemoryError("Out of memory allocating 4,096 bytes"), "left_out"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4096 bytes."), "left_out"),
        (RuntimeError("an illegal memory access was encountered"), "failed"),
    ],
)
def test_too_little_memory_is_a_reason_and_no_failure(error: Exception, answer: str) -> None:
    said = worker._failed(error)
    assert [*said] == [answer]
    assert str(error) in said[answer]


def test_inputs_are_put_back_before_results_are_compared(tmp_path: Path) -> None:
    class InPlace:
        logits = np.ones(3)

        def __call__(self) -> Any:
            self.logits *= 2
            return self.logits.copy(), np.ones((2, 2))

        def restore(self) -> None:
            self.logits[:] = 1

    peer = Peer()
    session = worker.Session(peer)
    session.workload, session.data, session.call = LOSS, make_data(LOSS), InPlace()
    peer.computed = True
    np.savez(tmp_path / "wanted.npz", np.full(3, 2.0), np.ones((2, 2)))
    session.first_call()
    assert session.check(str(tmp_path / "wanted.npz"), compare=True)["agrees"]
    session.call.restore = lambda: None  # type: ignore[attr-defined]
    assert not session.check(str(tmp_path / "wanted.npz"), compare=True)["agrees"]


def test_a_peer_may_differ_by_its_own_tolerance(tmp_path: Path) -> None:
    peer = Peer()
    session = worker.Session(peer)
    session.workload, session.data = HEAD, make_data(HEAD)
    session.call = peer.prepare(HEAD, None)
    np.savez(tmp_path / "wanted.npz", np.full(3, 1.005), np.ones((2, 2)))
    session.call()
    peer.computed = True
    assert not session.check(str(tmp_path / "wanted.npz"), compare=True)["agrees"]
    peer.tolerance = tf32.tolerance
    assert session.check(str(tmp_path / "wanted.npz"), compare=True)["agrees"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_library", "not installed: No module named 'no_such_library'"),
        ("raise RuntimeError('no driver')", "cannot be imported: RuntimeError: no driver"),
    ],
)
def test_a_library_that_cannot_be_imported_is_left_out_with_its_reason(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text(text)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['worker', 'broken']\n"
        "import importlib; from bench import peers, worker\n"
        "peers.load = importlib.import_module\n"
        "worker.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        input='{"do": "hello"}\n',
        capture_output=True,
        text=True,
        check=True,
    )
    assert f'"missing": "{why}"' in done.stdout
