"""Notebooks in a Jupyter kernel: the published one, and cells that are changed and run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fresh_python import run_python
from html_text import read

pytestmark = [pytest.mark.needs(name="Jupyter"), pytest.mark.needs(name="sklearn")]

FIRST_STEPS = Path(__file__).parents[2] / "examples" / "first_steps.ipynb"

RUN = """
import sys, warnings
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
folder = {"metadata": {"path": sys.argv[2]}}
nbclient.NotebookClient(notebook, timeout=100, resources=folder, allow_errors=True).execute()
print(nbformat.writes(notebook))
"""


def executed(path: Path, folder: Path) -> list[dict[str, Any]]:
    """The code cells of a notebook after they ran: source, and `shown`: the data of the last expression."""
    done = run_python(RUN, str(path), str(folder))
    assert done.returncode == 0, done.stderr
    cells = [cell for cell in json.loads(done.stdout)["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        kinds = [output["output_type"] for output in cell["outputs"]]
        assert "error" not in kinds, cell
        results = [output["data"] for output in cell["outputs"] if output["output_type"] == "execute_result"]
        cell["shown"] = {kind: "".join(text) for kind, text in (results[-1] if results else {}).items()}
    return cells


def written(folder: Path, *sources: str) -> Path:
    """A notebook of these cells."""
    cells = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(sources)
    ]
    path = folder / "cells.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_first_steps(tmp_path: Path) -> None:
    cells = executed(FIRST_STEPS, tmp_path)
    shown = {cell["source"][-1].strip(): cell["shown"] for cell in cells}
    assert read(shown["op.backends()"]["text/html"]).rows[0][0] == "backend"
    clipped = [cell["shown"]["text/plain"] for cell in cells if cell["source"][-1] == "soft_clip(x)"]
    # 2 tanh(2.5), 3 tanh(5 / 3) and 5 / (1 + 5 / 3)
    assert [text.split(",")[0] for text in clipped] == [
        "array([-1.9732286 ",
        "array([-2.79332883",
        "array([-1.875     ",
    ]
    page = read(shown["op.explain(soft_clip, x)"]["text/html"])
    assert any("divide" in line for line in page.lines)
    check = read(
        next(data["text/html"] for last, data in shown.items() if last.startswith("op.check_gradients"))
    )
    assert [row[:2] for row in check.rows[1:]] == [
        [name, "passed"] for name in ("params[0][0]", "params[0][1]", "params[1][0]", "params[1][1]", "x")
    ]
    first, last = json.loads(shown["losses[0], losses[-1]"]["text/plain"].replace("(", "[").replace(")", "]"))
    assert last < 0.1 < first
    assert "<div" in shown["classifier"]["text/html"]
    assert float(shown["classifier.score(images, labels)"]["text/plain"]) > 0.9
    assert "[array([0.75]), array([1.5])]" in [data.get("text/plain") for data in shown.values()]
    table = read(next(data["text/html"] for last, data in shown.items() if last.startswith("measure_speed")))
    assert table.rows[0][:3] == ["workload", "NumPy by hand", "onepass"]
    assert len(table.rows) == 3
    errors = [output for cell in cells for output in cell["outputs"] if output.get("name") == "stderr"]
    assert all("it/s]" in "".join(output["text"]) or output["text"] == ["\n"] for output in errors), errors


def test_first_steps_is_published_without_outputs() -> None:
    cells = json.loads(FIRST_STEPS.read_text())["cells"]
    assert all(
        cell["outputs"] == [] and cell["execution_count"] is None
        for cell in cells
        if cell["cell_type"] == "code"
    )


def test_cells_that_are_run_again(tmp_path: Path) -> None:
    """A kernel uses the functions, classes and arrays that its names mean now."""
    kernel = "@op.kernel\ndef scaled(x):\n    return weights * shape(x) + Shift().by\n"
    call = "scaled(np.ones(2)).tolist()"
    cells = executed(
        written(
            tmp_path,
            "import numpy as np\nimport onepass as op",
            "def shape(x):\n    return 2 * x",
            "class Shift:\n    by = 1.0",
            "weights = np.array([1.0, 10.0])",
            kernel + call,
            "def shape(x):\n    return 3 * x\n" + call,
            "class Shift:\n    by = 2.0\n\n" + call,
            "weights[1] = 100.0\n" + call,
            "weights = np.array([5.0, 6.0])\n" + call,
            kernel.replace("weights *", "weights -") + call,
            "from joblib import Parallel, delayed\n"
            "Parallel(2)(delayed(scaled)(np.ones(2)) for _ in range(2))[1].tolist()",
            "op.grad(lambda x: op.mean_squared_error(scaled(x), np.zeros(2)))(np.ones(2)).tolist()",
        ),
        tmp_path,
    )
    assert [cell["shown"]["text/plain"] for cell in cells[4:]] == [
        "[3.0, 21.0]",
        "[4.0, 31.0]",
        "[5.0, 32.0]",
        "[5.0, 302.0]",
        "[17.0, 20.0]",
        "[4.0, 5.0]",
        "[4.0, 5.0]",
        "[-12.0, -15.0]",
    ]
