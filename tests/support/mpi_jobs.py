"""Jobs of real processes, for tests: started with the mpiexec that is here, and ended where they hang."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PROGRAMS = Path(__file__).parent / "distributed_programs"
SECONDS = 60.0

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "ONEPASS_THREADS": "1",
    # What is sent does not depend on what computed it, and nothing has to be compiled.
    "ONEPASS_BACKEND": "numpy",
    # More processes than processors, in a container whose user is root: what Open MPI wants to hear.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def launcher() -> str | None:
    """The mpiexec of the wheel beside this Python, or one of the system's."""
    beside = Path(sys.executable).parent / "mpiexec"
    return str(beside) if beside.exists() else shutil.which("mpiexec")


MPIEXEC = launcher()
missing = "mpi4py" if importlib.util.find_spec("mpi4py") is None else "mpiexec" if MPIEXEC is None else ""
needs_mpi = pytest.mark.skipif(bool(missing), reason=f"{missing} is not installed")


class Done(NamedTuple):
    code: int
    printed: str
    errors: str


def run(*command: str | Path, **environment: str) -> Done:
    """The command's end, which has to come soon: a job that hangs takes its processes along."""
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT, **environment},
        start_new_session=True,
    )
    try:
        printed, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, errors = process.communicate()
        pytest.fail(f"hangs after {SECONDS} s: {printed}\n{errors}")
    return Done(process.returncode, printed, errors)


def run_ranks(ranks: int, program: str | Path, *arguments: str | Path, **environment: str) -> Done:
    command = (str(MPIEXEC), "-n", str(ranks), sys.executable, PROGRAMS / program)
    return run(*command, *arguments, **environment)


def findings(ranks: int, program: str, folder: Path) -> list[dict[str, Any]]:
    """What every rank reported, in the order of the ranks."""
    done = run_ranks(ranks, program, folder)
    assert done.code == 0, done.errors
    reports = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(ranks)]
    assert [report["size"] for report in reports] == [ranks] * ranks
    return reports
