"""`python -m bench.gpu_day` as far as it goes without a GPU: its steps, limits, places, and the summary."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_stand_ins import ROOT
from requirements import missing

from bench import gpu_day, peers
from bench.__main__ import _parser as bench_parser
from bench.gpu_day import __main__ as driver
from bench.gpu_day import bench_run, places, pytest_run, runner, steps, summary
from bench.workloads import WORKLOADS


def test_every_step_is_a_module_that_can_be_run() -> None:
    assert steps.NAMES == ("smoke", "tests", "use", "times", "torch", "bench", "sanitizer", "ncu", "sweep")
    for step in steps.STEPS:
        assert step.command()[1:3] == ["-m", f"bench.gpu_day.{step.module}"]
        spec = importlib.util.find_spec(step.command()[2])
        assert spec is not None
        assert spec.origin is not None
        text = Path(spec.origin).read_text()
        assert "def main() -> None:" in text, step
        assert 'if __name__ == "__main__":\n    main()' in text, step
    for name in (
        "log.txt",
        "failed.txt",
        "junit-use.xml",
        "times.json",
        "bench.json",
        "sanitizer.txt",
        "ncu.txt",
    ):
        assert name in (gpu_day.__doc__ or "")


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, list[Any], str]]:
    """Run the driver with steps that end at once: its status, what was started for how long, and the log."""
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    monkeypatch.setenv("GPU_DAY_SCRATCH", str(tmp_path / "scratch"))

    def run(*names: str, status: int = 0, limit: str = "480") -> tuple[int, list[Any], str]:
        started: list[Any] = []

        def started_with(command: list[str], seconds: float, environment: Any, folder: Path, say: Any) -> int:
            assert environment["GPU_DAY_STEP_SECONDS"] == str(seconds)
            assert folder == ROOT
            say(f"this is {command[2]}")
            started.append((*command[2:], round(seconds)))
            return status

        monkeypatch.setenv("GPU_DAY_SECONDS", limit)
        monkeypatch.setattr(driver, "run", started_with)
        code = driver.main(names)
        return code, started, (tmp_path / "out" / "log.txt").read_text()

    return run


def test_steps_are_chosen_by_name_and_run_in_their_order(outcomes: Any) -> None:
    code, started, log = outcomes("use", "smoke")
    assert code == 0
    assert started == [("bench.gpu_day.smoke", 60), ("bench.gpu_day.pytest_run", "alone", 60)]
    at = [log.index(text) for text in ("===== smoke (at ", "s, limit 60 s)", "this is bench.gpu_day.smoke")]
    assert at == sorted(at)
    assert "smoke: exit status 0, 0 s" in log.partition("===== summary")[2]
    assert "numpy 2" in log


def test_a_step_that_fails_ends_no_other(outcomes: Any) -> None:
    code, started, log = outcomes(status=1)
    assert code == 1
    assert len(started) == len(steps.STEPS)
    assert log.count("exit status 1") == len(steps.STEPS)


def test_all_together_have_a_limit(outcomes: Any) -> None:
    code, started, log = outcomes("smoke", "tests", limit="40")
    assert code == 0
    assert [seconds for *_, seconds in started] == pytest.approx([32, 32], abs=3)
    code, started, log = outcomes("smoke", limit="15")
    assert (code, started) == (1, [])
    assert "smoke: skipped, no time left" in log


def test_an_unknown_step_is_an_error(outcomes: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        outcomes("smok")
    assert exit_.value.code == 2
    assert "got smok; expected one of smoke, tests, use" in capsys.readouterr().err


def ran(text: str, seconds: float = 20.0) -> tuple[int, list[str], float]:
    """The exit status of a Python program, what it printed, and how long it took."""
    said: list[str] = []
    start = time.monotonic()
    status = runner.run([sys.executable, "-c", text], seconds, os.environ, ROOT, said.append)
    return status, said, time.monotonic() - start


def test_a_step_is_copied_to_the_log() -> None:
    status, said, _ = ran("import sys; print('a'); print('b', file=sys.stderr, flush=True); sys.exit(3)")
    assert status == 3
    assert sorted(said) == ["a", "b"]


def test_a_step_that_takes_too_long_is_interrupted_and_then_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n"
    text += "    print('summed up'); raise SystemExit(5)"
    status, said, _ = ran(text, 1.5)
    assert (status, said) == (5, ["--- interrupted after 2 s", "summed up"])
    monkeypatch.setattr(runner, "GRACE_SECONDS", 0.5)
    stubborn = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    status, _, seconds = ran(stubborn, 1.5)
    assert status == -9
    assert seconds < 20


def test_nothing_that_a_step_has_started_is_left_running(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(alive)!r}).write_text('yes')"
    status, _, seconds = ran(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])")
    assert status == 0
    assert seconds < 2
    time.sleep(2.5)
    assert not alive.exists()


@pytest.fixture
def where(tmp_path: Path) -> places.Places:
    return places.Places(tmp_path / "out", tmp_path / "scratch")


def test_the_steps_import_this_checkout(where: places.Places) -> None:
    environment = places.prepare(where)
    code = (
        "import onepass as op, onepass.kernels as k, bench.gpu_day.places as p\n"
        "from onepass.backends import choice as g\n"
        "print(op.__file__, k.__file__, p.__file__, g.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    site = where.site / "onepass"
    wanted = [site, site / "kernels", ROOT / "bench" / "gpu_day", site / "backends"]
    files = [Path(text) for text in done.stdout.split()]
    assert [path.parent for path in files] == wanted
    assert (site / "kernels").resolve() == ROOT / "kernels"
    assert environment["OUT"] == str(where.output)
    # A second run, with the same scratch folder.
    assert places.prepare(where) == environment


def test_wheels_of_a_machine_without_a_network_are_installed(
    where: places.Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "checkout"
    (root / ".whl").mkdir(parents=True)
    with zipfile.ZipFile(root / ".whl" / "carried-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "answer = 42\n")
        wheel.writestr(
            "carried-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1.2\n"
        )
        wheel.writestr(
            "carried-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("carried-1.2.dist-info/RECORD", "")
    where.site.mkdir(parents=True)
    monkeypatch.setattr(places, "ROOT", root)
    places._install_wheels(where)
    assert (where.site / "carried.py").read_text() == "answer = 42\n"
    monkeypatch.setattr(places, "PACKAGES", ("carried", "ml_dtypes_of_nobody"))
    assert places.versions(where.site).endswith(", carried 1.2, ml_dtypes_of_nobody MISSING")


def test_all_tests_of_a_gpu_are_run() -> None:
    together, alone = pytest_run.files("together"), pytest_run.files("alone")
    assert [Path(name).name for name in alone] == sorted(pytest_run.ALONE)
    marked = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if "pytestmark = pytest.mark.gpu" in path.read_text().splitlines()
    }
    assert {*together, *alone} >= marked
    assert marked >= {"tests/gpu/test_gpu.py", "tests/gpu/test_gpu_edges.py", *alone}


def test_pytest_takes_the_options(where: places.Places) -> None:
    environment = {**places.prepare(where), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = pytest_run.command("alone", where.output, name_plugins=True)
    assert f"--junitxml={where.output / 'junit-use.xml'}" in command
    done = subprocess.run(
        [*command, "--collect-only", "-n", "0"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if missing("GPU"):  # the files are skipped before a test is collected
        assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr
        assert "SKIPPED [2]" in done.stdout
    else:
        assert done.returncode == 0, done.stdout + done.stderr
        assert "test_gpu_use.py" in done.stdout


TESTS = """
import sys, types
import pytest
def synchronize():
    if sys.modules["cupy"].lost:
        raise RuntimeError("an illegal memory access")
runtime = types.SimpleNamespace(deviceSynchronize=synchronize)
cuda = types.SimpleNamespace(is_available=lambda: True, runtime=runtime)
cupy = sys.modules.setdefault("cupy", types.ModuleType("cupy"))
cupy.cuda, cupy.lost = cuda, False
@pytest.mark.parametrize("number", range(4))
def test_something(number):
    assert not cupy.lost, "the context of the process is lost"
    cupy.lost = number == 1
    assert number != 2
"""


def test_a_lost_context_costs_one_worker_and_failures_are_listed(tmp_path: Path) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    (tmp_path / "test_it.py").write_text(TESTS)
    failed = tmp_path / "failed.txt"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(ROOT), "GPU_DAY_FAILED": str(failed)}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = ["-p", "bench.gpu_day.guard", "-p", "xdist"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-n", "1", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "CONTEXT LOST after test_it.py::test_something[1]: an illegal memory access" in done.stderr
    found = failed.read_text().splitlines()
    assert "call test_it.py::test_something[2] :: assert 2 != 2" in found
    # The third test, and the one after which the worker ended; those after them ran in another worker.
    assert len(found) == 2
    assert "2 failed" in done.stdout


def test_the_bench_runs_name_workloads_and_peers(tmp_path: Path) -> None:
    names = peers.found(gpu=True)
    for only, wanted in bench_run.RUNS:
        assert [workload for workload in WORKLOADS if only in workload.name], only
        assert {*wanted.split(",")} <= {*names}
        arguments = bench_parser().parse_args(bench_run.command(only, wanted, tmp_path)[3:])
        assert (arguments.gpu, arguments.only, arguments.output) == (True, only, tmp_path)


def test_the_results_of_all_bench_runs_are_one_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        folder = tmp_path / "bench" / str(number)
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps({"number": number}))
        (folder / "onepass_cupy.log").write_text(f"one\ntwo\nthree\nfrom {number}\n")
    bench_run.collect(tmp_path / "bench", tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text()) == [{"number": 0}, {"number": 1}]
    assert capsys.readouterr().out.splitlines() == [
        f"onepass_cupy.log: {end}" for end in ("two", "three", "from 1")
    ]


def test_the_summary_counts_what_failed(tmp_path: Path) -> None:
    suite = '<testsuite name="pytest" errors="0" failures="2" skipped="1" tests="9" time="3.1" />'
    (tmp_path / "junit.xml").write_text(f"<testsuites>{suite}</testsuites>")
    (tmp_path / "junit-use.xml").write_text("<testsuites><cut")
    (tmp_path / "failed.txt").write_text(
        "call tests/gpu/test_gpu.py::test_a[float32-1] :: AssertionError: \n"
        "setup tests/gpu/test_gpu.py::test_a[float64] :: x\ncall tests/gpu/test_gpu.py::test_b :: y\n"
    )
    said = list(summary.lines(tmp_path))
    assert said[0] == "junit.xml: tests 9, failures 2, errors 0, skipped 1, time 3.1"
    assert said[1].startswith("junit-use.xml: ")
    assert said[2:5] == [
        "failed: 3",
        "      2 tests/gpu/test_gpu.py::test_a",
        "      1 tests/gpu/test_gpu.py::test_b",
    ]
    assert [line.split()[1] for line in said[5:]] == ["failed.txt", "junit-use.xml", "junit.xml"]
