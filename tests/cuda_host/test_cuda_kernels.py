"""CUDA programs, executed on the host, against eager NumPy: every case, and every form of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from array_trees import of_dtype
from cases import CASES, Case
from cuda_programs import Call, Form, assert_same_numbers, check, expected_of, program_of, run
from golden_calls import focal_loss_with_grad, gelu_step, huber_regression, linear_head, train_step
from half_dtypes import HALVES, half_of
from host_cuda import SCHEDULES
from host_device import HostDevice
from selection import exhaustively

import onepass as op
from onepass import kernels

pytestmark = pytest.mark.needs(name="g++")

Random = np.random.Generator


# Half of the cases in each dtype, so that every kernel is there.
@pytest.mark.parametrize(
    ("number", "dtype"),
    [
        exhaustively(number, dtype, when=(number % 2 == 0) != (dtype == "float64"), id=f"{case}-{dtype}")
        for dtype in ("float32", "float64")
        for number, case in enumerate(CASES)
    ],
)
def test_every_case(number: int, dtype: str) -> None:
    case: Case = CASES[number]
    args, kwargs = of_dtype((case.args, case.kwargs), dtype)
    call = Call(getattr(kernels, case.kernel), args, kwargs)
    check(call, aligned=number // 4 % 2 == 0, schedules=(SCHEDULES[number % 4],))


def hard(random: Random, rows: int, columns: int) -> np.ndarray:
    """Rows of which some are far off, and some have what has no number, between ordinary ones."""
    x = 2 * random.standard_normal((rows, columns))
    changes: list[Callable[[np.ndarray], Any]] = [
        lambda row: row.__isub__(500),
        lambda row: row.__iadd__(1e4),
        lambda row: row.__setitem__(0, -np.inf),
        lambda row: row.__setitem__(-1, np.inf),
        lambda row: row.__setitem__(columns // 2, np.nan),
        lambda row: row.fill(-np.inf),
    ]
    for row in range(rows if columns else 0):
        if row % 10 < len(changes):
            changes[row % 10](x[row])
    return x


def labels(random: Random, rows: int, columns: int) -> np.ndarray:
    """Among them some that mean no column, and so must neither be read nor written there."""
    found = random.integers(0, max(1, columns), rows)
    for row, wrong in zip(range(1, rows, 3), (-1, columns, columns + 5, -columns - 3, 1 << 62), strict=False):
        found[row] = wrong
    found[4:5] = -(1 << 63)
    return found


def network(random: Random, *widths: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(0.3 * random.standard_normal((a, b)), random.standard_normal(b)) for a, b in pairwise(widths)]


def of_labels(**options: Any) -> Callable[[Random, int, int], Call]:
    def make(random: Random, rows: int, columns: int) -> Call:
        given = {**options}
        if given.get("class_weight"):
            given["class_weight"] = random.uniform(0.5, 2, columns)
        wanted: Any = labels(random, rows, columns)
        if given.pop("soft", False):
            wanted = random.dirichlet(np.ones(columns), rows)
        return Call(op.softmax_cross_entropy_with_grad, (hard(random, rows, columns), wanted), given)

    return make


def adam_step(random: Random, rows: int, columns: int) -> Call:
    params = [random.standard_normal((rows, columns)), random.standard_normal(columns)]
    grads = [random.standard_normal((rows, columns)), random.standard_normal(columns)]
    return Call(op.adam_step, (params, grads, op.kernels.adam_init(params)), {"lr": 0.1}, ("params",))


def network_step(random: Random, rows: int, columns: int) -> Call:
    params = network(random, 6, 10, columns)
    x = random.standard_normal((rows, 6))
    return Call(train_step, (params, x, random.integers(0, columns, rows), 0.1), donate=("params",))


def gelu_network(random: Random, rows: int, columns: int) -> Call:
    targets = random.standard_normal((rows, 3))
    args = (network(random, 4, columns, 3), random.standard_normal((rows, 4)), targets, 0.1)
    return Call(gelu_step, args, donate=("params",))


CALLS: dict[str, Callable[[Random, int, int], Call]] = {
    "cross_entropy": of_labels(),
    "cross_entropy_none": of_labels(reduction="none"),
    "cross_entropy_soft": of_labels(soft=True),
    "cross_entropy_weight": of_labels(class_weight=True, ignore_index=2),
    "cross_entropy_smoothing": of_labels(label_smoothing=0.1, class_weight=True, reduction="none"),
    "softmax": lambda r, n, k: Call(op.softmax, (hard(r, n, k),)),
    "log_softmax_backward": lambda r, n, k: Call(
        op.log_softmax_backward, (r.standard_normal((n, k)), hard(r, n, k))
    ),
    "hinge": lambda r, n, k: Call(
        op.multiclass_hinge_with_grad, (hard(r, n, k), labels(r, n, k)), {"reduction": "none"}
    ),
    "binary_cross_entropy": lambda r, n, k: Call(
        op.binary_cross_entropy_with_logits_with_grad,
        (hard(r, n, k), r.uniform(0, 1, (n, k))),
        {"pos_weight": r.uniform(0.5, 2, k), "reduction": "none"},
    ),
    "relu": lambda r, n, k: Call(op.relu, (hard(r, n, k),)),
    "adam_step": adam_step,
    "linear_backward": lambda r, n, k: Call(
        op.linear_backward,
        (r.standard_normal((n, k)), r.standard_normal((n, 6)), r.standard_normal((6, k))),
    ),
    "mlp": lambda r, n, k: Call(
        op.mlp_loss_and_grads,
        (network(r, 6, 10, k), r.standard_normal((n, 6)), r.integers(0, k, n)),
        {"l2": 0.1},
    ),
    "donated_training_step": network_step,
    "linear_head": lambda r, n, k: Call(
        linear_head, (r.standard_normal((n, 6)), r.standard_normal((6, k)), r.integers(0, k, n))
    ),
    "focal_loss": lambda r, n, k: Call(
        focal_loss_with_grad, (r.standard_normal((n, k)), r.integers(0, k, n), 2.0)
    ),
    "gelu_network": gelu_network,
    "huber": lambda r, n, k: Call(
        huber_regression, (r.standard_normal(k), r.standard_normal((n, k)), r.standard_normal(n), 1.0)
    ),
}

FORMS: dict[str, Form | None] = {
    "usual": None,
    "lane": Form(64, 1),
    "lanes4": Form(128, 4),
    "lanes4_vector1": Form(32, 4, vector=1),
    "warp": Form(128, 32),
    "warp_streaming": Form(64, 32, streaming=True),
    "lanes8_streaming": Form(64, 8, streaming=True, vector=2),
    "block64": Form(64, 64),
    "block64_vector1": Form(64, 64, vector=1),
    "block256": Form(256, 256, vector=2),
    "block_streaming": Form(64, 64, streaming=True),
    "cluster2": Form(64, 64, 2, vector=1),
    "cluster4": Form(64, 64, 4, vector=2),
    "cluster_streaming": Form(64, 64, 2, streaming=True),
    "block_in_blocks": Form(64, 64, blocks=True),
    "lanes_in_blocks": Form(128, 8, blocks=True),
    "streaming_in_blocks": Form(64, 64, streaming=True, blocks=True),
    "cluster_in_blocks": Form(64, 64, 2, vector=1, blocks=True),
}

# Rows that no block of several divides; columns that every vector, or none, divides; the least of both.
# The last has more rows than there are threads for, on one processor.
SIZES = [(21, 48), (13, 37), (10, 270), (1, 40), (0, 12), (9, 1), (275, 10)]
PAIRS = [(call, form) for call in CALLS for form in FORMS]


def check_form(call: str, form: str, size: int, dtype: str, *, aligned: bool, **options: Any) -> None:
    rows, columns = SIZES[size]
    made = CALLS[call](np.random.default_rng(7), rows, columns)
    args, kwargs = of_dtype((made.args, dict(made.kwargs)), dtype)
    check(
        made._replace(args=args, kwargs=kwargs),
        FORMS[form],
        processors=1 if rows > 100 or len(form) % 2 else 3,
        aligned=aligned,
        **options,
    )


# Every kernel meets a third of the forms here, and all of them in the next test.
@pytest.mark.parametrize(
    ("call", "form"), [pair for i, pair in enumerate(PAIRS) if (i + i // len(FORMS)) % 4 == 0]
)
def test_a_form(call: str, form: str) -> None:
    place = PAIRS.index((call, form))
    size = (5 * [*CALLS].index(call) + [*FORMS].index(form)) % len(SIZES)
    check_form(call, form, size, ("float32", "float64")[place // 2 % 2], aligned=place % 3 > 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("call", "form"), PAIRS)
def test_every_form_of_every_size(call: str, form: str) -> None:
    for place in range(2 * len(SIZES)):
        dtype, aligned = ("float32", "float64")[place % 2], place // 2 % 2 == 0
        schedules = (SCHEDULES[place % 4],)
        check_form(call, form, place // 2, dtype, aligned=aligned, schedules=schedules)


@pytest.mark.parametrize(
    "name", ["cross_entropy_none", "softmax", "relu", "linear_backward", "mlp", "donated_training_step"]
)
@pytest.mark.parametrize("form", ["usual", "lanes4", "cluster2"])
@pytest.mark.parametrize("half", HALVES)
def test_halves(half: str, form: str, name: str) -> None:
    columns = 48 if (len(form) + len(name)) % 2 else 37
    made = CALLS[name](np.random.default_rng(8), 13, columns)
    args = of_dtype(made.args, half_of(half))
    check(made._replace(args=args), FORMS[form], schedules=("unfair",))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint64"])
@pytest.mark.parametrize("form", ["usual", "lanes4", "block64", "cluster2"])
def test_labels_of_every_width(form: str, dtype: str) -> None:
    random = np.random.default_rng(9)
    given = random.integers(0, 100, 9).astype(dtype)
    call = Call(op.softmax_cross_entropy_with_grad, (hard(random, 9, 40), given), {"reduction": "none"})
    check(call, FORMS[form], schedules=("random",))


@pytest.mark.parametrize("wrong", [-1, 40, 1 << 40, -(1 << 63)])
@pytest.mark.parametrize("form", ["usual", "lanes4", "block64", "cluster2"])
def test_a_label_out_of_range_is_a_loss_of_nan_and_nothing_else(form: str, wrong: int) -> None:
    random = np.random.default_rng(10)
    given = random.integers(0, 40, 9)
    given[4] = wrong
    call = Call(
        op.softmax_cross_entropy_with_grad, (random.standard_normal((9, 40)), given), {"reduction": "none"}
    )
    loss, grad = run(program_of(call, HostDevice(schedule="unfair"), FORMS[form]), call)
    assert np.isnan(loss).tolist() == [row == 4 for row in range(9)]
    assert np.isnan(grad).any(axis=1).tolist() == [row == 4 for row in range(9)]
    assert_same_numbers([loss, grad], expected_of(call))


@pytest.mark.parametrize("form", ["usual", "lanes4", "warp", "block64", "cluster2", "block_in_blocks"])
def test_rows_far_off_leave_their_neighbours_the_same_bits(form: str) -> None:
    random = np.random.default_rng(11)
    plain = random.standard_normal((23, 40)).astype("float32")
    changed = plain.copy()
    changed[1], changed[2], changed[3, 5], changed[4, 0], changed[5] = -500, 1e4, np.nan, np.inf, -np.inf
    given = random.integers(0, 40, 23)
    grads = []
    for x in (plain, changed):
        call = Call(op.softmax_cross_entropy_with_grad, (x, given), {"reduction": "none"})
        grads.append(run(program_of(call, HostDevice(schedule="random"), FORMS[form]), call))
    for before, after in zip(*grads, strict=True):
        same = [mine.tobytes() == theirs.tobytes() for mine, theirs in zip(before, after, strict=True)]
        assert same == [row not in (1, 2, 3, 4, 5) for row in range(23)]


def test_no_rows_have_the_sums_of_nothing() -> None:
    random = np.random.default_rng(12)
    for name in ("linear_backward", "mlp"):
        call = CALLS[name](random, 0, 12)
        got = run(program_of(call, HostDevice()), call)
        assert_same_numbers(got, expected_of(call))


def picked_from_sums(x: Any, columns: Any) -> Any:
    xp = array_namespace(x)
    return xp.sum(xp.take(xp.sum(x, axis=0), columns)), xp.sum(x)


def picked_and_doubled(x: Any, position: Any) -> Any:
    return array_namespace(x).take(x, position), x * 2


def test_a_number_that_is_picked_from_sums_waits_until_all_blocks_have_made_them() -> None:
    random = np.random.default_rng(13)
    device = check(Call(picked_from_sums, (random.standard_normal((20, 40)), np.array([3]))))
    assert device.launches[-1][0] == "outputs"  # not the kernel that makes the sums


def test_a_number_that_is_picked_from_a_donated_argument() -> None:
    check(Call(picked_and_doubled, (np.arange(8.0), np.array([3])), {}, ("x",)))
