"""A folder that others can write into is not used: what lies in it would be run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

import numba
from cached_program import SOURCE
from onepass.backends.cpu.runtime.machine_code import compiled
from test_program_cache import from_disk, kept, load_anew

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders of Windows are the user's own")
__all__ = ["kept"]  # the fixture, which every test here uses


@pytest.fixture
def somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process runs as another user than the one that its files belong to."""
    monkeypatch.setattr(os, "getuid", lambda: 12345)


def planted(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def load_in_memory(reason: str) -> None:
    """Load once, with one warning that gives the reason and says what to do."""
    with pytest.warns(RuntimeWarning, match=reason) as caught:
        module = load_anew()
    assert len(caught) == 1
    assert "chmod 700" in str(caught[0].message)
    assert "ONEPASS_CACHE_DIR" in str(caught[0].message)
    assert from_disk(module) == 0
    assert module.entry._cache.cache_path is None
    assert str(module.__file__).startswith("<onepass ")
    load_anew(SOURCE + "\n")  # warnings are errors here: the second says nothing


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o1777, 0o720, 0o702])
def test_a_folder_that_others_can_write_is_not_used(kept: Path, mode: int) -> None:
    load_anew()
    before = {path: path.read_bytes() for path in planted(kept)}
    kept.chmod(mode)
    load_in_memory(rf"NotPrivateError: .*kept is writable by other users, mode {mode:o}")
    assert {path: path.read_bytes() for path in planted(kept)} == before
    kept.chmod(0o700)
    assert from_disk(load_anew()) == 2


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o711])
def test_a_folder_that_others_can_only_read_is_used(kept: Path, mode: int) -> None:
    kept.mkdir()
    kept.chmod(mode)
    load_anew()
    assert from_disk(load_anew()) == 2


def test_a_private_folder_below_one_for_everybody_is_used(tmp_path: Path, kept: Path) -> None:
    tmp_path.chmod(0o1777)
    load_anew()
    assert from_disk(load_anew()) == 2
    assert kept.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_is_not_used(kept: Path, somebody_else: None) -> None:
    kept.mkdir()
    load_in_memory(rf"NotPrivateError: .*kept belongs to user {os.geteuid()}, not to user 12345")
    assert not planted(kept)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_file_of_somebody_else_is_not_run(kept: Path) -> None:
    load_anew()
    next(kept.rglob("*.nbi")).chmod(0o666)
    assert from_disk(load_anew()) == 2
    os.chown(next(kept.rglob("*.nbi")), 12345, -1)
    load_in_memory(r"NotPrivateError: .*nbi belongs to user 12345, not to user 0")


def test_numba_s_folder_below_is_looked_at_where_others_get_to_it(kept: Path) -> None:
    load_anew()
    (kept / "__pycache__").chmod(0o777)
    assert from_disk(load_anew()) == 2
    kept.chmod(0o755)
    load_in_memory("__pycache__ is writable by other users, mode 777")


def test_numba_s_own_folder_is_looked_at(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(elsewhere))
    load_anew()
    assert from_disk(load_anew()) == 2
    (folder,) = elsewhere.iterdir()
    folder.chmod(0o777)
    load_in_memory("elsewhere.*is writable by other users")


def triple(x: Any) -> Any:
    return 3 * x


def test_functions_of_this_library_are_not_read_from_such_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(elsewhere))
    signature = numba.types.int64(numba.types.int64)
    assert compiled(triple, numba.njit, signature)(2) == 6
    assert sum(compiled(triple, numba.njit, signature).stats.cache_hits.values()) == 1
    (folder,) = elsewhere.iterdir()
    folder.chmod(0o770)
    with pytest.warns(RuntimeWarning, match="elsewhere.*is writable by other users.*NUMBA_CACHE_DIR"):
        function = compiled(triple, numba.njit, signature)
    assert function(2) == 6
    assert sum(function.stats.cache_hits.values()) == 0
