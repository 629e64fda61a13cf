"""`python -m onepass bench`: NumPy's results by hand, the table in all its forms, and the command."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_text import read
from onepass.backends.common.trees import leaves

import onepass as op
from onepass import by_hand, command_line, progress, speed, speed_views
from onepass.speed import WORKLOADS, Measured, SpeedTable, Workload

TIMES = "\N{MULTIPLICATION SIGN}"
SMALL = {
    "cross-entropy and gradient": (9, 5),
    "training step": (9, 7, 6, 5),
    "linear head": (9, 7, 5),
}

ROWS = [
    Measured(
        WORKLOADS[0],
        {"onepass": [2e-5, 3e-5, 9e-5], "NumPy by hand": [3e-4, 6e-4, 4.5e-4], "copy": [2e-6, 1e-6]},
        first_call=0.25,
        error=1e-7,
    ),
    Measured(
        WORKLOADS[3],
        {"onepass": [2e-3], "NumPy by hand": [1e-3], "copy": [1e-5], "products": [7e-4, 8e-4]},
        first_call=1.5,
        error=0.5,
    ),
]
TABLE = SpeedTable({"versions": "onepass <1>"}, ROWS, {"a large one": "needs 9.0 GB"}, others=4096.0)


def test_numpy_by_hand_computes_what_the_kernels_do() -> None:
    random = np.random.default_rng(0)
    x, weight = random.standard_normal((30, 7)), random.standard_normal((7, 5))
    labels = random.integers(0, 5, 30)
    scores = 100 * (x @ weight)
    loss, grad = by_hand.cross_entropy(scores, labels)
    expected = op.kernels.softmax_cross_entropy_with_grad(scores, labels)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-13)
    np.testing.assert_allclose(grad, expected[1], rtol=1e-12, atol=1e-16)
    loss, grad_x, grad_weight = by_hand.head(x, weight, labels)
    expected = op.kernels.softmax_cross_entropy_with_grad(x @ weight, labels)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-13)
    np.testing.assert_allclose(grad_x, expected[1] @ weight.T, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(grad_weight, x.T @ expected[1], rtol=1e-11, atol=1e-15)


def test_a_step_by_hand_is_the_kernels_step() -> None:
    random = np.random.default_rng(0)
    widths = [7, 6, 8, 5]
    params = [(random.standard_normal((d, k)), random.standard_normal(k)) for d, k in pairwise(widths)]
    x, labels = random.standard_normal((30, 7)), random.integers(0, 5, 30)
    expected_loss, grads = op.kernels.mlp_loss_and_grads(params, x, labels)
    expected = leaves(op.kernels.sgd_step(params, grads, 0.1))
    loss, got = by_hand.train_step(params, x, labels, 0.1)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    for mine, theirs in zip(leaves(got), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", SMALL)
def test_a_workload_is_measured_where_results_agree(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "WORKLOADS", (Workload(kind, SMALL[kind], quick=True),))
    with op.use_backend("numpy"):
        (row,) = speed.measure_speed(quick=True, seconds=0).rows
    assert row.agrees
    assert row.error < 1e-5
    names = {"onepass", "NumPy by hand", "copy"} | ({"products"} if len(SMALL[kind]) > 2 else set())
    assert set(row.samples) == names
    assert all(len(samples) == speed.LEAST_SAMPLES for samples in row.samples.values())
    assert row.floor.seconds > 0


def test_what_needs_too_much_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "available_memory", lambda: 100_000.0)
    table = speed.measure_speed(quick=True)
    assert not table.rows
    assert list(table.left_out) == [workload.name for workload in WORKLOADS if workload.quick]
    assert "of memory" in str(table)
    assert table.left_out[WORKLOADS[0].name] in str(table)


def test_the_memory_of_this_machine_is_known_or_infinite() -> None:
    assert speed.available_memory() > 0


def test_medians_ratios_and_the_floor() -> None:
    first, second = ROWS
    assert (first.onepass, first.numpy, first.floor) == (3e-5, 4.5e-4, (1e-6, "copy"))
    assert second.floor == (7e-4, "products")
    assert first.agrees
    assert not second.agrees


def test_all_forms_of_the_table_have_the_same_figures() -> None:
    rows = [
        [WORKLOADS[0].name, "450 µs", "30 µs", f"15{TIMES}", "1 µs copy", "250 ms"],
        [WORKLOADS[3].name, "1 ms", "2 ms", f"0.5{TIMES}; WRONG by 5e-01", "700 µs products", "1.5 s"],
    ]
    text, page = str(TABLE), read(TABLE._repr_html_())
    assert page.rows == [list(speed_views.HEAD), *rows]
    for row in rows:
        (line,) = [line for line in text.splitlines() if line.startswith(row[0])]
        assert [cell.strip() for cell in line.split("  ") if cell.strip()] == row
    for remark in ("a large one: needs 9.0 GB", "Other programs used 4096.0 of"):
        assert remark in text
        assert any(remark in line for line in page.lines)
    assert page.has_in_order(["versions: onepass <1>"])


def test_json_has_the_times_in_seconds() -> None:
    data = json.loads(json.dumps(speed_views.as_json(TABLE)))
    first, second = data["workloads"]
    assert (first["numpy"], first["onepass"]) == (4.5e-4, 3e-5)
    assert (first["floor"], first["floor_kind"]) == (1e-6, "copy")
    assert first["speedup"] == pytest.approx(15)
    assert first["shape"] == [1024, 10]
    assert second["samples"]["products"] == [7e-4, 8e-4]
    assert data["left_out"] == TABLE.left_out


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_a_plot_is_drawn(tmp_path: Path) -> None:
    speed_views.draw(TABLE, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_measures_and_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    done = subprocess.run(
        [sys.executable, "-m", "onepass", "bench", "--quick", "--seconds", "0", "--json", str(path)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(path.read_text(encoding="utf-8"))
    names = [workload.name for workload in WORKLOADS if workload.quick]
    assert [row["name"] for row in data["workloads"]] == names
    assert all(row["error"] < 1e-4 and row["onepass"] > 0 for row in data["workloads"])
    for row in data["workloads"]:
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(row["name"])]
        assert speed_views.duration(row["onepass"]) in line
        assert row["name"] in done.stderr  # the progress


def test_a_wrong_result_is_an_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "measure_speed", lambda **_: TABLE)
    assert command_line.main(["bench"]) == 1
    assert "WRONG by 5e-01" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "no-such-folder/speed.json"], "expected a path in a folder that exists"),
        (["--plot", "speed.png"], "--plot needs matplotlib"),
        (["--seconds", "many"], "invalid float value"),
    ],
)
def test_what_would_fail_later_is_refused_before(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(speed, "measure_speed", lambda **_: pytest.fail("it was measured"))
    with pytest.raises(SystemExit) as caught:
        command_line.main(["bench", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_backend_without_numpy_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "chosen_backend", lambda: "cupy")
    with pytest.raises(SystemExit):
        command_line.main(["bench"])
    assert "got the backend 'cupy'" in capsys.readouterr().err


def test_without_tqdm_progress_is_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    bar = progress.Lines(["a", "b"], unit="workload")
    for item in bar:
        bar.set_description(item)
    assert capsys.readouterr().err == "a\nb\n"
