"""The tests that need a GPU: `together`, with one process for each processor, or `alone`, one at a time.

A test spends most of its time in NVRTC, tracing and NumPy's float64 reference, so processes can share the
device. Tests of streams, synchronisation, graphs and memory run alone, because other work on the device
changes what they measure.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from .places import ROOT

ALONE = ("test_gpu_use.py", "test_gpu_memory.py")
REPORTS = {"together": "junit.xml", "alone": "junit-use.xml"}

# The settings of the project turn warnings into errors. Other versions of libraries may give these warnings.
OPTIONS = [
    *("-q", "-m", "gpu", "-p", "bench.gpu_day.guard", "-p", "no:cacheprovider", "--tb=short"),
    *("-o", "junit_logging=no"),
    *("-W", "default::DeprecationWarning", "-W", "default::PendingDeprecationWarning"),
    *("-W", "default::FutureWarning", "-W", "default::ImportWarning"),
]
# For each module: its plugin name for `-p` if pytest loads no plugins automatically, and its options.
PLUGINS = {
    "xdist": ("xdist", []),
    "pytest_timeout": ("pytest_timeout", ["--timeout=90", "--timeout-method=thread"]),
    "pytest_benchmark": ("pytest_benchmark.plugin", []),
}


def files(which: str) -> list[str]:
    found = sorted((ROOT / "tests" / "gpu").glob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in found if (path.name in ALONE) == (which == "alone")]


def installed() -> list[str]:
    return [module for module in PLUGINS if importlib.util.find_spec(module) is not None]


def command(which: str, output: Path, *, name_plugins: bool = False) -> list[str]:
    """name_plugins: whether pytest does not load plugins automatically"""
    made = [sys.executable, "-m", "pytest", *OPTIONS]
    for module in installed():
        name, options = PLUGINS[module]
        made += ["-p", name] * name_plugins + options
    if "xdist" in installed():
        # Tests of one file are spread over all processes: most of them are in one file.
        made += [
            "-n",
            "1" if which == "alone" else str(os.cpu_count() or 1),
            "--dist=load",
            "--maxschedchunk=1",
        ]
    return [*made, f"--junitxml={output / REPORTS[which]}", *files(which)]


def main() -> None:
    which, output = sys.argv[1], Path(os.environ["OUT"])
    # One BLAS thread per process. With more, the processes would stall each other.
    environment = {**os.environ, "GPU_DAY_FAILED": str(output / "failed.txt")}
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # A plugin installed on the machine may raise a warning when it is loaded, which is an error here.
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, "--collect-only", *files(which)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    print(*collected.stdout.splitlines()[-3:], sep="\n")
    fails = collected.returncode != 0
    if fails:
        print("collection failed; trying again with only the plugins that are needed")
        print(*collected.stderr.splitlines()[-3:], sep="\n")
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.stdout.flush()
    os.chdir(ROOT)
    # Replace this process, so that an interrupt reaches pytest.
    arguments = command(which, output, name_plugins=fails)
    os.execve(sys.executable, arguments, environment)


if __name__ == "__main__":
    main()
