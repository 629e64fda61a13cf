"""Machine code for a GPU on the disk: compiled once, and right whatever becomes of the files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from onepass.backends.common import cache_folder
from onepass.backends.cuda import nvrtc as cupy_modules

CUPY = SimpleNamespace(__version__="14", cuda=SimpleNamespace(nvrtc=SimpleNamespace(getVersion=tuple)))


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, empty, with nobody warned yet."""
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setattr(cache_folder, "_warned", False)
    return tmp_path / "kept"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that were compiled, by something in place of NVRTC whose machine code is the source."""
    sources: list[str] = []

    def compile_source(_: Any, source: str, capability: int) -> bytes:
        sources.append(source)
        return f"{source} for {capability}".encode()

    monkeypatch.setattr(cupy_modules, "_compile", compile_source)
    return sources


def load(source: str, capability: int = 90) -> None:
    assert cupy_modules.machine_code(CUPY, source, capability) == f"{source} for {capability}".encode()


def test_the_second_load_compiles_nothing(kept: Path, compiled: list[str]) -> None:
    for source, capability in [("one", 90), ("two", 90), ("one", 80)] * 2:
        load(source, capability)
    assert compiled == ["one", "two", "one"]
    assert kept.stat().st_mode & 0o777 == 0o700
    assert not list(kept.glob("*.tmp"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:10],
        lambda content: b"",
        lambda content: bytes(len(content)),
        lambda content: content + b"more",
    ],
    ids=["cut at the end", "cut in half", "empty", "zeros", "longer"],
)
def test_a_damaged_file_is_made_anew(
    kept: Path, compiled: list[str], damage: Callable[[bytes], bytes]
) -> None:
    load("one")
    (path,) = kept.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    load("one")
    load("one")
    assert compiled == ["one", "one"]


def test_a_deleted_folder_is_made_anew(kept: Path, compiled: list[str]) -> None:
    load("one")
    shutil.rmtree(kept)
    load("one")
    load("one")
    assert compiled == ["one", "one"]


def test_a_folder_that_cannot_be_made(
    kept: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept.parent / "file").touch()
    monkeypatch.setenv("ONEPASS_CACHE_DIR", str(kept.parent / "file" / "below"))
    load("one")
    load("one")
    assert compiled == ["one", "one"]


def test_a_folder_that_others_can_write_is_not_used(kept: Path, compiled: list[str]) -> None:
    load("one")
    kept.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="is writable by other users, mode 777.*chmod 700"):
        load("one")
    load("two")
    assert compiled == ["one", "one", "two"]
    assert len(list(kept.iterdir())) == 1
