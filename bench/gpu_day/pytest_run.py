"""The tests that need a GPU: `together`, one process for each processor, or `alone`, one at a time.

Most of a test is NVRTC, tracing and NumPy's float64 reference, so processes share the device well. Tests of
streams, waiting, graphs and memory are alone on the device, because other work changes what they measure.
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

# The project's own settings make warnings errors. Those that libraries of other versions give are none.
OPTIONS = [
    *("-q", "-m", "gpu", "-p", "bench.gpu_day.guard", "-p", "no:cacheprovider", "--tb=short"),
    *("-o", "junit_logging=no"),
    *("-W", "default::DeprecationWarning", "-W", "default::PendingDeprecationWarning"),
    *("-W", "default::FutureWarning", "-W", "default::ImportWarning"),
]
# By module: how the plugin is named to pytest where plugins are not loaded by themselves, and its options.
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
    """name_plugins: for an environment in which pytest loads none by itself"""
    made = [sys.executable, "-m", "pytest", *OPTIONS]
    for module in installed():
        name, options = PLUGINS[module]
        made += ["-p", name] * name_plugins + options
    if "xdist" in installed():
        made += ["-n", "1" if which == "alone" else str(os.cpu_count() or 1)]
    return [*made, f"--junitxml={output / REPORTS[which]}", *files(which)]


def main() -> None:
    which, output = sys.argv[1], Path(os.environ["OUT"])
    # Every process with as many BLAS threads as there are processors would stall the others.
    environment = {**os.environ, "GPU_DAY_FAILED": str(output / "failed.txt")}
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # A plugin of the machine's may give a warning when it is loaded, which is an error here.
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
        print("collecting fails; trying with the plugins that are needed, and no others")
        print(*collected.stderr.splitlines()[-3:], sep="\n")
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.stdout.flush()
    os.chdir(ROOT)
    # In this process's place, so that an interrupt reaches pytest.
    arguments = command(which, output, name_plugins=fails)
    os.execve(sys.executable, arguments, environment)


if __name__ == "__main__":
    main()
