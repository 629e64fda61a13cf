"""Training over processes: real ones where there is an MPI, and what is said where there is none."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mpi_jobs import findings, needs_mpi, run, run_ranks
from onepass.backends.distributed.collectives import Communicator
from selection import exhaustively

from onepass import distributed

EXAMPLE = Path(__file__).parents[2] / "examples" / "data_parallel.py"


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_averages_are_the_gradients_of_the_whole_batch(ranks: int, tmp_path: Path) -> None:
    for report in findings(ranks, "gradients.py", tmp_path):
        errors = report["errors"]
        assert len(errors) == 9
        for name, error in errors.items():
            assert error <= (2e-6 if name.startswith("float32") else 1e-12), f"{name}: {error}"
        # Whatever the rows are: one message for each dtype.
        mixed = report["counts"].pop("mixed")
        assert sorted(mixed) == ["float32", "float64"]
        assert len(report["counts"]) == 8
        assert all(messages == [name.split()[0]] for name, messages in report["counts"].items())
        assert report["only_rows"] == [[3.0, 3.0], [3.0, 3.0]]
        assert str(report["nobody"]) == "[[nan, nan], [nan, nan]]"
        assert report["unchanged"]


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_parameters_are_sent_and_stay_the_same_bits(ranks: int, tmp_path: Path) -> None:
    reports = findings(ranks, "parameters.py", tmp_path)
    assert len({report["digest"] for report in reports}) == 1
    for report in reports:
        assert report["wrong"] == []
        assert re.match(
            r"check_equal: params\[0\]\[0\] is float32 of shape \(6, 9\) with the digest \w+ on rank 0 and "
            r"float32 of shape \(6, 9\) with the digest \w+ on rank 1; expected the same bits on all ranks",
            report["differ"],
        )
        assert re.match(
            r"check_equal: params\['weights'\]\[1\]\[1\] is float32 of shape \(4,\) with the digest \w+ on "
            rf"rank 0 and float32 of shape \(4,\) with the digest \w+ on rank {ranks - 1}; expected the ",
            report["one_bit"],
        )


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_that_differ_are_named_on_all_ranks(ranks: int, tmp_path: Path) -> None:
    reports = findings(ranks, "mismatches.py", tmp_path)
    last = f"rank {ranks - 1}"
    f8, same = "float64 of shape", "expected the same structure, shapes and dtypes on all ranks. "
    expected = {
        "dtype": f"all_reduce_mean: grads[0][1] is {f8} (3,) on rank 0 and float32 of shape (3,) on {last}; ",
        "shape": f"all_reduce_mean: grads['w'] is {f8} (2, 3) on rank 0 and {f8} (3, 2) on {last}; ",
        "bytes are as many": "broadcast: params[0] is int64 of shape (2,) on rank 0 and int32 of shape (4,) "
        f"on {last}; ",
        "a leaf more": f"all_reduce_mean: rank 0 has nothing more where {last} has grads[2], {f8} (3,); ",
        "another key": f"broadcast: rank 0 has params['a'], {f8} (3,), where {last} has params['b'], "
        f"{f8} (3,); ",
        "None": f"all_reduce_mean: grads[1] is {f8} (3,) on rank 0 and None on {last}; ",
        "a list": f"broadcast: params[1] is an int on rank 0 and {f8} () on {last}; ",
        "another call": f"all_reduce_mean: rank 0 called all_reduce_mean and {last} called broadcast; ",
    }
    for report in reports:
        assert report["errors"].pop("agreement") == f"returned {[(ranks - 1) / 2] * 3}"
        assert report["errors"].keys() == expected.keys()
        for name, text in expected.items():
            calls = "expected the same calls in the same order on all ranks. "
            advice = calls if name == "another call" else same
            assert report["errors"][name].startswith(f"ValueError: {text}{advice}")


@needs_mpi
@pytest.mark.parametrize(
    ("how", "says"),
    [
        (
            "raise",
            ["rank 2 of 3 failed and ends the job:", "Traceback", "failures.py", "no rows on this mach"],
        ),
        ("exit", ["rank 2 of 3 called sys.exit: no data on this machine"]),
        (
            "mismatch",
            [" of 3 failed and ends the job:", "float64 of shape (4,) on rank 0 and float32 of shape"],
        ),
        ("late", ["rank 2 of 3 failed", "TimeoutError: all_reduce_mean: rank 2 waited 1 s for the same"]),
        ("raise after", ["rank 2 of 3 failed and ends the job:", "ZeroDivisionError: late"]),
    ],
)
def test_a_rank_that_fails_ends_the_job_and_is_named(how: str, says: list[str], tmp_path: Path) -> None:
    done = run_ranks(3, "failures.py", tmp_path, how)
    assert done.code != 0
    for text in says:
        assert text in done.errors


@needs_mpi
def test_after_closing_an_exception_is_python_s_own_affair(tmp_path: Path) -> None:
    done = run_ranks(2, "failures.py", tmp_path, "closed")
    assert done.code != 0
    assert "ZeroDivisionError: late" in done.errors
    assert "ends the job" not in done.errors


@needs_mpi
@pytest.mark.parametrize("backend", ["numpy", exhaustively("auto")])
def test_the_example_draws_the_curve_of_one_process(backend: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    options = ("--epochs", "6", "--check", "--json")
    alone = run(sys.executable, EXAMPLE, *options, tmp_path / "1.json", ONEPASS_BACKEND=backend)
    assert alone.code == 0, alone.errors
    together = run_ranks(3, EXAMPLE, *options, tmp_path / "3.json", ONEPASS_BACKEND=backend)
    assert together.code == 0, together.errors
    one, three = (json.loads((tmp_path / f"{ranks}.json").read_text()) for ranks in (1, 3))
    assert (one["processes"], three["processes"]) == (1, 3)
    assert len(one["curve"]) == 6
    for mine, theirs in zip(three["curve"], one["curve"], strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-12)
        assert mine["test_error"] == pytest.approx(theirs["test_error"], abs=1e-12)
    assert one["curve"][-1]["loss"] < 0.2
    assert one["curve"][-1]["test_error"] < 0.1
    # Rank 0 alone prints, and what it prints is the curve.
    lines = [line for line in together.printed.splitlines() if line.startswith("epoch")]
    assert lines == [line for line in alone.printed.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    assert together.printed.count("3 processes") == 1


@needs_mpi
def test_arrays_of_a_device_go_where_the_engine_says(tmp_path: Path) -> None:
    def tree(weight: list[float], bias: list[float], wide: float) -> dict[str, Any]:
        return {"weight": [weight], "bias": bias, "nothing": None, "wide": wide}

    for report in findings(2, "device_arrays.py", tmp_path):
        sums = ["all_reduce float32", "all_reduce float64"]
        nccl, host = [sums, ["broadcast uint8"] * 3], [["get", "set"] * 2, ["get", "set"] * 3]
        for engine, (reduced, sent) in {"auto": nccl, "nccl": nccl, "mpi": host}.items():
            found = report[engine]
            first = reduced if engine == "mpi" else ["init_process_group", *reduced]
            assert found["calls"] == [first, reduced, sent]
            third = 1 / 3
            assert found["values"][0] == tree([2, 2, 3], [60000, 1], 4)  # of rank 1, which has all rows
            assert found["values"][1]["bias"] == pytest.approx([60000, 2 * third], rel=1e-3)
            assert found["values"][1]["weight"][0] == pytest.approx([5 * third, 2, 2], rel=1e-6)
            assert found["values"][1]["wide"] == pytest.approx(8 * third, rel=1e-15)
            assert found["values"][2] == tree([2, 2, 3], [60000, 1], 4)
            assert found["dtypes"] == ["float32", "float16", "float64"]
            assert found["check"] == ["get"] * 3
        assert report["auto"]["numpy"] == report["mpi"]["numpy"] == "taken"
        assert report["nccl"]["numpy"].startswith(
            "all_reduce_mean: grads[0] is a numpy array; expected one of cupy."
        )
        assert report["aware"] == ["synchronize"]
        assert "initialize: ranks 0 and 1 both use the GPU GPU 0 of " in report["one GPU"]
        assert "local_rank" in report["one GPU"]
        assert report["no NCCL"].startswith(
            "initialize: CuPy finds no NCCL. pip install 'onepass[nccl12]' or"
        )


NOT_HERE = """
import sys, types
class NotInstalled:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] == "mpi4py": raise {error}
sys.meta_path.insert(0, NotInstalled)
import onepass.distributed
try:
    onepass.distributed.initialize()
except RuntimeError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            "ModuleNotFoundError('No module named mpi4py')",
            "initialize: mpi4py is not installed (No module nam",
        ),
        ("RuntimeError('cannot load MPI library')", "initialize: mpi4py finds no MPI here (cannot load MPI"),
        (
            "ImportError('libmpi.so.40: no such file')",
            "initialize: mpi4py finds no MPI here (libmpi.so.40: no",
        ),
    ],
)
def test_without_mpi_the_error_says_what_to_install(error: str, says: str) -> None:
    done = run(sys.executable, "-c", NOT_HERE.format(error=error))
    assert done.printed.startswith(says), done.errors
    assert "pip install 'onepass[mpi]'" in done.printed
    assert "pip install mpich" in done.printed


@needs_mpi
def test_the_launcher_of_another_mpi_is_an_error() -> None:
    code = "from onepass.distributed import initialize; print(initialize())"
    done = run(sys.executable, "-c", code, OMPI_COMM_WORLD_SIZE="4")
    assert done.code == 1
    assert (
        "initialize: the launcher started 4 processes, and this process is connected to none of them"
        in done.errors
    )
    alone = run(sys.executable, "-c", code)
    assert alone.printed == "<Communicator: rank 0 of 1, engine 'auto'>\n", alone.errors


ALONE = """
import numpy as np
from onepass.distributed import initialize
grads = [np.random.default_rng(0).standard_normal(1000), np.float32(0.1), None, 0.1]
mean = initialize().all_reduce_mean(grads, 3)
print(mean[0].tobytes() == grads[0].tobytes(), mean[0] is not grads[0], mean[1:])
"""


@needs_mpi
def test_the_mean_of_one_process_has_the_bits_of_its_gradients() -> None:
    done = run(sys.executable, "-c", ALONE)
    assert done.printed == "True True [np.float32(0.1), None, 0.1]\n", done.errors


def test_importing_starts_no_mpi() -> None:
    code = "import onepass.distributed, sys; print('mpi4py' in sys.modules, 'cupy' in sys.modules)"
    assert run(sys.executable, "-c", code).printed == "False False\n"


def strict_array() -> Any:
    return pytest.importorskip("array_api_strict", reason="array-api-strict is not installed").ones(2)


def of_rank(rank: int, size: int) -> Communicator:
    """A communicator that can do what needs no other rank."""
    job: Any = SimpleNamespace(rank=rank, size=size, local_rank=rank)
    return Communicator(job, "auto")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("rows", [0, 1, 5, 63, 64, 1000])
def test_shares_are_all_rows_once_and_even(size: int, rows: int) -> None:
    shares = [range(rows)[of_rank(rank, size).share(rows)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(rows))
    assert {len(share) for share in shares} <= {rows // size, rows // size + 1}


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda c: c.share(2.5), ValueError, "share: rows is 2.5; expected the number of rows"),
        (lambda c: c.share(-1), ValueError, "share: rows is -1; expected"),
        (
            lambda c: c.all_reduce_mean(1.0, -1),
            ValueError,
            "all_reduce_mean: rows is -1; expected a number >=",
        ),
        (
            lambda c: c.all_reduce_mean(1.0, float("nan")),
            ValueError,
            "all_reduce_mean: rows is nan; expected",
        ),
        (lambda c: c.all_reduce_mean(1.0, True), ValueError, "all_reduce_mean: rows is True; expected"),
        (
            lambda c: c.all_reduce_mean([1.0, 2]),
            TypeError,
            r"all_reduce_mean: grads\[1\] is an int; expected an",
        ),
        (
            lambda c: c.all_reduce_mean({"a": {1}}),
            TypeError,
            r"all_reduce_mean: grads\['a'\] is a set; expec",
        ),
        (
            lambda c: c.all_reduce_mean([1.0, np.ones(2, np.int32)]),
            TypeError,
            r"all_reduce_mean: grads\[1\] is int32 of shape \(2,\); expected a real floating-point dtype",
        ),
        (
            lambda c: c.broadcast(np.array([None, {}])),
            TypeError,
            r"broadcast: params is object of shape \(2,\); expected a dtype of numbers",
        ),
        (
            lambda c: c.broadcast([strict_array()]),
            TypeError,
            r"broadcast: params\[0\] is an? array_api_strict array; expected one of numpy or cupy\. Convert",
        ),
        (lambda c: c.broadcast(1.0, 1), ValueError, "broadcast: root is 1; expected a rank, 0 <= root < 1"),
        (
            lambda c: c.broadcast([b""]),
            TypeError,
            r"broadcast: params\[0\] is a bytes; expected an array, a num",
        ),
        (
            lambda c: distributed.initialize("gloo"),
            ValueError,
            "initialize: engine is 'gloo'; expected one of",
        ),
    ],
)
def test_a_wrong_argument_is_named(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"^{text}"):
        call(of_rank(0, 1))
