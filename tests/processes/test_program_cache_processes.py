"""Machine code on the disk, as several processes share it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cached_program import SOURCE

# A process that loads each source named on its command line and says what that was like.
CHILD = """
import json, sys, warnings
from pathlib import Path
from cached_program import load
from onepass.backends.cpu.llvm import cache
compiled, compile_text = [], cache._compiled
cache._compiled = lambda *given: (compiled.append(1), compile_text(*given))[1]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for path in sys.argv[1:]:
        load(Path(path).read_text())
translator = "onepass.backends.cpu.llvm.translate" in sys.modules
warned = [f"{item.category.__name__}: {item.message}" for item in caught]
print(json.dumps([len(compiled), translator, warned]))
"""


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, empty."""
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return tmp_path / "kept"


def start(*sources: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, sources)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str], compiled: int | None = None) -> list[str]:
    """What a process warns of; its values are checked, and how many programs it compiled if given."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    count, has_translator, warned = json.loads(output)
    assert has_translator == (count > 0), "what is on disk needs no translator"
    assert compiled in (None, count)
    return list(warned)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "source.py"
    path.write_text(SOURCE)
    return path


def test_the_second_process_compiles_nothing(kept: Path, written: Path) -> None:
    assert not result(start(written), compiled=1)
    before = files(kept)
    assert len(before) == 1
    assert not result(start(written), compiled=0)
    assert files(kept) == before


def test_processes_at_once(kept: Path, written: Path) -> None:
    for process in [start(written) for _ in range(4)]:
        assert not result(process)
    result(start(written), compiled=0)
    assert len(files(kept)) == 1


def test_a_folder_that_cannot_be_made(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(SOURCE + "\n\ndef unused(x):\n    pass\n")
    (message,) = result(start(written, other, ONEPASS_CACHE_DIR=str(written / "below")), compiled=2)
    assert message.startswith("RuntimeWarning: onepass cannot cache compiled programs in ")
    assert str(written / "below") in message
    assert "Set ONEPASS_CACHE_DIR" in message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(kept: Path, written: Path) -> None:
    kept.mkdir()
    kept.chmod(0o500)
    try:
        warned = result(start(written), compiled=1)
    finally:
        kept.chmod(0o700)
    assert len(warned) == 1
    assert "PermissionError" in warned[0]


def test_damaged_machine_code_in_another_process(kept: Path, written: Path) -> None:
    result(start(written), compiled=1)
    whole = files(kept)
    for name, content in whole.items():
        (kept / name).write_bytes(content[:-7])
    assert not result(start(written), compiled=1)
    assert files(kept) == whole
    result(start(written), compiled=0)
