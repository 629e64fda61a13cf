"""The example of a PyTorch model of many classes, small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from example_runs import is_picture, require_extra, run

require_extra()


@pytest.mark.needs(name="torch")
def test_the_changed_line_changes_no_loss(tmp_path: Path) -> None:
    picture = tmp_path / "head.png"
    results = run(
        *("torch_head", "--classes", "300", "--rows", "40", "--steps", "3", "--output", str(picture))
    )
    before, after = (results[name]["losses"] for name in ("before", "after"))
    np.testing.assert_allclose(after, before, rtol=1e-5)
    assert before[-1] < before[0]
    assert is_picture(picture)


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    with pytest.raises(SystemExit, match="torch is not installed; expected PyTorch"):
        run("torch_head")
