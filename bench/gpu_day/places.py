"""Where the steps find things: this checkout as an installed package, wheels of .whl/, folders for files."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What decides the results, said at the start.
PACKAGES = (
    "numpy",
    "cupy-cuda13x",
    "cupy-cuda12x",
    "torch",
    "triton",
    "liger-kernel",
    "jax",
    "numba",
    "nvidia-cuda-nvrtc",
    "nvidia-cublas",
    "pytest",
    "pytest-xdist",
    "pytest-timeout",
    "ml_dtypes",
    "array-api-compat",
    "platformdirs",
)


@dataclass(frozen=True)
class Places:
    """output: files that are the result; scratch: everything else"""

    output: Path
    scratch: Path

    @property
    def site(self) -> Path:
        """A folder for sys.path, with onepass and the wheels."""
        return self.scratch / "site"


def chosen() -> Places:
    """As $OUT and $GPU_DAY_SCRATCH say. Caches in the scratch folder are found again by a second run."""
    output = Path(os.environ.get("OUT") or ROOT / "bench-results" / "gpu-day")
    scratch = os.environ.get("GPU_DAY_SCRATCH") or Path(
        tempfile.gettempdir(), f"onepass-gpu-day-{os.getuid()}"
    )
    return Places(output.resolve(), Path(scratch).resolve())


def prepare(places: Places) -> dict[str, str]:
    """Make the folders and return the environment of the steps."""
    for folder in (places.output, places.scratch):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(places.site, ignore_errors=True)
    places.site.mkdir()
    _install_wheels(places)
    link_package(places.site)
    return environment(places)


def _install_wheels(places: Places) -> None:
    wheels = sorted(str(path) for path in ROOT.glob(".whl/*.whl"))
    if wheels:
        options = [
            "-q",
            "--no-index",
            "--no-deps",
            "--no-compile",
            "--no-cache-dir",
            "--target",
            str(places.site),
        ]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, *wheels], check=False)


def link_package(site: Path) -> None:
    """onepass as `pip install` would put it, by links: in the checkout its sub-packages lie beside it."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    package = site / "onepass"
    package.mkdir()
    for path in (ROOT / "onepass").iterdir():
        if path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    for name, folder in folders.items():
        (package / name.removeprefix("onepass.")).symlink_to(ROOT / folder)


def environment(places: Places) -> dict[str, str]:
    """No current folder on sys.path, which has ./onepass without its sub-packages."""
    scratch = places.scratch
    return {
        **os.environ,
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (places.site, ROOT))),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUPY_CACHE_DIR": str(scratch / "cupy"),
        "ONEPASS_CACHE_DIR": str(scratch / "onepass"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
        "OUT": str(places.output),
        "GPU_DAY_SCRATCH": str(scratch),
    }


def versions(site: Path) -> str:
    """One line of all packages that decide results, with those that are missing."""
    path = [str(site), *sys.path]
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions(path=path):
        name = _plain(distribution.metadata["Name"] or "")
        found.setdefault(name, distribution.version)
    said = [f"{name} {found.get(_plain(name), 'MISSING')}" for name in PACKAGES]
    return ", ".join([f"Python {sys.version.split()[0]}", *said])


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
