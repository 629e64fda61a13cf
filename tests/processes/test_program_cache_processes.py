"""Emitted source and its machine code on the disk, as several processes share it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cached_program import SOURCE

# A process that loads each source named on its command line and says what that was like.
CHILD = """
import json, sys, warnings
from pathlib import Path
from onepass.backends.cpu.runtime import program_cache
loaded = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for path in sys.argv[1:]:
        module = program_cache.load(Path(path).read_text(), "a program")
        assert sys.modules[module.__name__] is module
        square = module.square.stats
        loaded.append({
            "value": module.entry.ctypes(3.0), "square": module.square(3.0), "file": module.__file__,
            "from disk": module.entry.cache_hits + sum(square.cache_hits.values()),
            "compiled": 1 - module.entry.cache_hits + sum(square.cache_misses.values()),
        })
print(json.dumps([loaded, [f"{item.category.__name__}: {item.message}" for item in caught]]))
"""


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, empty."""
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    return tmp_path / "kept"


def start(*sources: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, sources)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str], compiled: int | None = None) -> tuple[list[Any], list[str]]:
    """What a process says; its values are checked, and how many of two functions it compiled if given."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    loaded, warned = json.loads(output)
    for each in loaded:
        assert (each["value"], each["square"]) == (10.0, 9.0)
        if compiled is not None:
            assert (each["compiled"], each["from disk"]) == (compiled, 2 - compiled)
    return loaded, warned


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "source.py"
    path.write_text(SOURCE)
    return path


def test_the_second_process_compiles_nothing(kept: Path, written: Path) -> None:
    first, _ = result(start(written), compiled=2)
    files = sorted(path.name for path in kept.rglob("*") if path.is_file())
    assert len(files) == 5
    second, warned = result(start(written), compiled=0)
    assert not warned
    assert first[0]["file"] == second[0]["file"]
    assert Path(first[0]["file"]).read_text() == SOURCE
    assert sorted(path.name for path in kept.rglob("*") if path.is_file()) == files


def test_processes_at_once(kept: Path, written: Path) -> None:
    processes = [start(written) for _ in range(4)]
    for process in processes:
        _, warned = result(process)
        assert not warned
    result(start(written), compiled=0)
    assert not list(kept.rglob("*.tmp*"))


def test_the_machine_code_goes_where_numba_is_told(kept: Path, written: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    result(start(written, NUMBA_CACHE_DIR=str(elsewhere)), compiled=2)
    assert len(list(elsewhere.rglob("*.nbc"))) == 2
    assert not list(kept.rglob("*.nbc"))
    for path in elsewhere.rglob("*.nbi"):
        path.write_bytes(path.read_bytes()[:-9])
    _, warned = result(start(written, NUMBA_CACHE_DIR=str(elsewhere)), compiled=2)
    assert not warned
    result(start(written, NUMBA_CACHE_DIR=str(elsewhere)), compiled=0)


def test_a_folder_that_cannot_be_made(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(SOURCE + "\n\nOTHER = 1\n")
    loaded, warned = result(start(written, other, ONEPASS_CACHE_DIR=str(written / "below")), compiled=2)
    assert len(loaded) == 2
    (message,) = warned
    assert message.startswith("RuntimeWarning: onepass cannot cache compiled programs in ")
    assert str(written / "below") in message
    assert "Set ONEPASS_CACHE_DIR" in message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(kept: Path, written: Path) -> None:
    kept.mkdir()
    kept.chmod(0o500)
    try:
        _, warned = result(start(written), compiled=2)
    finally:
        kept.chmod(0o700)
    assert len(warned) == 1
    assert "PermissionError" in warned[0]


def test_damaged_machine_code_in_another_process(kept: Path, written: Path) -> None:
    result(start(written), compiled=2)
    for path in kept.rglob("*.nb?"):
        if ("square" in path.name) == (path.suffix == ".nbi"):
            path.write_bytes(path.read_bytes()[:-7])
    _, warned = result(start(written), compiled=2)
    assert not warned
    result(start(written), compiled=0)
