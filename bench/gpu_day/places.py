"""The environment of the steps: this checkout as an installed package, wheels from .whl/, folders."""

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

# The versions of these packages are printed at the start.
PACKAGES = (
    "numpy",
    "cupy-cuda13x",
    "cupy-cuda12x",
    "torch",
    "triton",
    "liger-kernel",
    "jax",
    "llvmlite",
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
    """output: folder for the results; scratch: folder for everything else"""

    output: Path
    scratch: Path

    @property
    def site(self) -> Path:
        """A folder for sys.path that contains onepass and the wheels."""
        return self.scratch / "site"


def chosen() -> Places:
    """The folders given by $OUT and $GPU_DAY_SCRATCH. A second run reuses caches in the scratch folder."""
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
    """Lay out onepass with links as `pip install` does. In the checkout its sub-packages are elsewhere."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    package = site / "onepass"
    package.mkdir()
    for path in (ROOT / "onepass").iterdir():
        if path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    for name, folder in folders.items():
        (package / name.removeprefix("onepass.")).symlink_to(ROOT / folder)


def environment(places: Places) -> dict[str, str]:
    """The environment of the steps. The current folder is not on sys.path: its onepass lacks sub-packages."""
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
    """One line with the versions of all relevant packages, including those that are missing."""
    path = [str(site), *sys.path]
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions(path=path):
        name = _plain(distribution.metadata["Name"] or "")
        found.setdefault(name, distribution.version)
    said = [f"{name} {found.get(_plain(name), 'MISSING')}" for name in PACKAGES]
    return ", ".join([f"Python {sys.version.split()[0]}", *said])


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
