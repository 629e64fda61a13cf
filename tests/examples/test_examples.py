"""The main job, run as its users run it, and what must come out of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from example_runs import EXAMPLES
from selection import exhaustively

pytest.importorskip("matplotlib", reason="the extra `examples` is not installed")
pytest.importorskip("tqdm", reason="the extra `examples` is not installed")

SPIRAL = EXAMPLES / "spiral.py"

# What the course prints for its softmax classifier, whose data these are. The loss is convex, so other
# first weights than its own lead to the same numbers in the end.
COURSE = {"100": 0.787938, "150": 0.786514, "190": 0.786302}


def run_spiral(*options: str, folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The runs in the JSON that the example writes, and its standard output."""
    command = [sys.executable, str(SPIRAL), "--json", "figures.json", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "figures.json").read_text(encoding="utf-8"))["runs"], done.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--dtype", "float64", "--backend", "numpy"],
        *(exhaustively(["--dtype", dtype]) for dtype in ("float32", "float64")),
    ],
    ids=" ".join,
)
def test_spiral_ends_where_the_course_ends(options: list[str], tmp_path: Path) -> None:
    dtype = options[1]
    runs, printed = run_spiral(*options, folder=tmp_path)
    assert len(runs) % 2 == 0
    for classifier, network in zip(runs[::2], runs[1::2], strict=True):
        assert classifier["dtype"] == network["dtype"] == dtype
        for iteration, loss in COURSE.items():
            assert classifier["losses"][iteration] == pytest.approx(loss, abs=3e-6)
        assert classifier["accuracy"] == pytest.approx(0.49, abs=0.01)
        assert len(classifier["losses"]) == 20
        assert network["losses"]["0"] == pytest.approx(1.0987, abs=1e-4)
        assert network["losses"]["9000"] == pytest.approx(0.2453, abs=2e-3)
        assert network["accuracy"] >= 0.97
        # The same first steps on every backend, to rounding; later ones amplify it.
        close = {"float64": 1e-2, "float32": 5e-2}[dtype]
        assert network["losses"]["1000"] == pytest.approx(runs[1]["losses"]["1000"], rel=close)
    assert "iteration 190: loss 0.7863" in printed
    assert "training accuracy: 0.49" in printed
    assert (tmp_path / "spiral.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.exhaustive
def test_spiral_runs_one_backend_and_repeats(tmp_path: Path) -> None:
    options = ("--backend", "numpy", "--seed", "3", "--no-plot")
    first, _ = run_spiral(*options, folder=tmp_path)
    second, _ = run_spiral(*options, folder=tmp_path)
    assert [run["losses"] for run in first] == [run["losses"] for run in second]
    assert [run["backend"] for run in first] == ["numpy", "numpy"]
    assert not (tmp_path / "spiral.png").exists()
    assert first[1]["losses"]["9000"] < 0.27
    assert first[1]["accuracy"] >= 0.96
