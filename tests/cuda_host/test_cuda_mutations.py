"""Classic bugs of CUDA kernels, planted in the emitted text: the tests of kernels must catch each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace
from cuda_programs import Call, Form, WatchingDevice, assert_same_numbers, expected_of, program_of, run
from host_cuda import SCHEDULES, HostCudaError

import onepass as op

pytestmark = pytest.mark.needs(name="g++")

random = np.random.default_rng(20261122)


def normal(*shape: int) -> np.ndarray:
    return random.standard_normal(shape).astype("float32")


def logits(rows: int, columns: int) -> np.ndarray:
    """Rows far below 0 show a maximum that starts there; rows far above it, one that is not subtracted."""
    x = 3 * normal(rows, columns)
    x[::3] -= 500
    x[1::3] += 1000
    x[4, 1] = -np.inf
    return x


def labels(rows: int, columns: int) -> np.ndarray:
    found = random.integers(0, columns, rows)
    found[:2] = 0, columns - 1
    return found


def cross_entropy(rows: int, columns: int) -> Call:
    return Call(op.softmax_cross_entropy_with_grad, (logits(rows, columns), labels(rows, columns)))


def sum_of_largest(x: Any) -> Any:
    xp = array_namespace(x)
    return xp.sum(xp.max(x, axis=1))


STEP = (
    [(0.5 * normal(6, 10), normal(10)), (0.5 * normal(10, 48), normal(48))],
    normal(45, 6),
    labels(45, 48),
)
PROGRAMS: dict[str, tuple[Call, Form]] = {
    "lanes": (cross_entropy(75, 44), Form(64, 32, vector=1)),
    "block": (cross_entropy(13, 270), Form(256, 256, vector=1)),
    "cluster": (cross_entropy(13, 270), Form(128, 128, 2, vector=1)),
    "step": (Call(op.mlp_loss_and_grads, STEP, {"l2": 0.1}), Form(64, 4, blocks=True)),
    "step at once": (Call(op.mlp_loss_and_grads, STEP, {"l2": 0.1}), Form(64, 4)),
    "streaming": (Call(op.mlp_loss_and_grads, STEP, {"l2": 0.1}), Form(64, 64, streaming=True, blocks=True)),
    "odd": (Call(sum_of_largest, (logits(9, 130),)), Form(128, 128)),
    "relu": (Call(op.relu, (np.array([[1, np.nan, -1, -np.inf]], "float32"),)), Form(64, 4)),
}

KERNEL = r"(?s)(rows\d_\d\(.*?)"  # from the first kernel of a row loop on
GUARD = r"if \(column0 < (n\d)\)"

# Where, what is wrong, what is right in the source (a pattern), what stands there instead.
BUGS = [
    ("lanes", "half of the lanes are left out", r"offset = LANES / 2", "offset = LANES / 4"),
    ("lanes", "every shuffle by one lane", r"shuffled\(value, offset\)\)", "shuffled(value, 1))"),
    ("lanes", "shuffles name half of the warp", r"__shfl_xor_sync\(0xffffffffu", "__shfl_xor_sync(0xffffu"),
    (
        "block",
        "no barrier before other warps' values are read",
        r"__syncthreads\(\);(\s+value = across)",
        r"\1",
    ),
    ("block", "one half of the shared memory instead of two", r"half = calls % 2", "half = 0"),
    ("block", "half of the warps are forgotten", r"across<WARPS>", "across<WARPS / 2>"),
    (
        "block",
        "only the first warp leaves its value",
        r"if \(threadIdx.x % 32 == 0\) of_w",
        "if (threadIdx.x == 0) of_w",
    ),
    ("cluster", "the blocks' slots are the other half's first", r"SLOTS = WARPS \+ [^;]*;", "SLOTS = WARPS;"),
    ("cluster", "no wait for other blocks' values", r"mailbox_wait\(mailbox\(half\), parity\);", ""),
    ("cluster", "a wait for what has come before", r"parity = calls / 2 % 2", "parity = 0"),
    ("cluster", "one mailbox instead of two", r"2 \* SLOTS \+ half", "2 * SLOTS"),
    ("cluster", "half of the blocks are forgotten", r"across<CLUSTER>", "across<CLUSTER / 2>"),
    ("cluster", "fewer bytes are waited for than come", r"CLUSTER \* 8\);", "CLUSTER * 8 - 8);"),
    ("cluster", "all blocks send to one slot", r"of_blocks \+ cluster_rank\(\) \* 8", "of_blocks"),
    (
        "cluster",
        "every block sends to itself alone",
        r"mailbox\(half\),(\s+)threadIdx.x\)",
        r"mailbox(half),\1cluster_rank())",
    ),
    ("cluster", "numbers are sent before all blocks have begun", r"cluster_sync\(\);  // every block.*", ""),
    (
        "cluster",
        "both blocks of a cluster take the same columns",
        r"cluster_rank\(\) \* GROUP \+ threadIdx",
        "threadIdx",
    ),
    ("cluster", "the stride of an item is that of one block", r"item \* LANES", "item * GROUP"),
    ("cluster", "the grid's stride counts blocks", r"gridDim.x / CLUSTER", "gridDim.x"),
    ("cluster", "every block has a row of its own", r"blockIdx.x / CLUSTER", "blockIdx.x"),
    ("cluster", "both blocks add the row's number", r"if \(lane == 0\)", "if (threadIdx.x == 0)"),
    *(
        (name, text, right, wrong)
        for name in ("lanes", "block", "cluster")
        for text, right, wrong in [
            ("a maximum that starts at 0", r"= -infinity<float>\(\);", "= 0.0f;"),
            ("a sum that is not started", KERNEL + r"(float v\d+) = 0\.0f;", r"\1\2;"),
            ("no end of the columns", GUARD, r"if (true)"),
            ("columns to their end and beyond", GUARD, r"if (column0 <= \1)"),
            ("the next column is the label's", r"v == (v\d+_place);", r"v == \1 + 1;"),
            ("the maximum is not subtracted", r"(v\d+_kept\[item\]\[v\]) - v\d+;", r"\1;"),
            ("always the first item's value", r"(v\d+_kept)\[item\]\[v\] \*", r"\1[0][v] *"),
            ("the last row's number alone", r"(s\d+) = s\d+ \+ \(double\)\(v", r"\1 = (double)(v"),
            ("all blocks leave their numbers in one place", r"q(\d+)\[blockIdx.x\] =", r"q\1[0] ="),
            ("the first block's number is forgotten", r"piece = threadIdx.x;", "piece = threadIdx.x + 1;"),
        ]
    ),
    ("block", "every thread adds the row's number", r"if \(lane == 0\)", "if (true)"),
    ("block", "the next block takes the same rows again", r"i \+= gridDim.x", "i += 1"),
    (
        "lanes",
        "the next block takes the same rows again",
        r"i0 \+= \(long long\)gridDim.x \* ROWS",
        "i0 += ROWS",
    ),
    ("lanes", "rows that are repeated are added", r"if \(active && lane == 0\)", "if (lane == 0)"),
    ("lanes", "every lane adds the row's number", r"if \(active && lane == 0\)", "if (active)"),
    ("lanes", "groups without a row read beyond the last", r"active \? (i0 [^:]*) : rows - 1", r"\1"),
    ("step", "groups without a row store", r"if \(active\) \{", "{"),
    ("step", "rows that are repeated are added to columns", r"if \(active\) s", "s"),
    ("step", "all groups of a block leave their part in one place", r" \* ROWS \+ threadIdx.x / GROUP;", ";"),
    ("step", "blocks of rows before are forgotten", r"first \? (s\d+) : q", r"true ? \1 : q"),
    (
        "step",
        "columns of blocks of rows before are forgotten",
        r"is_new \? (s\d+\[item\]\[v\]) :",
        r"true ? \1 :",
    ),
    ("step", "the first block of rows adds to what was there", r"first \?", "false ?"),
    ("step", "a block of rows has the first block's labels", r"= x5\[row\]", "= x5[i]"),
    ("step at once", "parts of some groups are forgotten", r"piece \+= 8", "piece += 16"),
    (
        "step",
        "what some threads added up is forgotten",
        r"other = threadIdx.x \+ 32",
        "other = threadIdx.x + 64",
    ),
    (
        "step",
        "no barrier before others' totals are read",
        r"(totals\[threadIdx.x\] = total;)\s+__syncthreads\(\);",
        r"\1",
    ),
    ("step", "every sum's block works on the first", r"block -= [^;]*;", ""),
    ("streaming", "each block of rows starts anew", r"if \(first\)", "if (true)"),
    ("streaming", "no block of rows starts anew", r"if \(first\)", "if (false)"),
    ("streaming", "a column is zero only after something is added", r"group\.meet\(\);", ""),
    ("odd", "shared memory that others still read", r"__syncthreads\(\);  // the shared.*", ""),
    (
        "relu",
        "the larger of a number and a NaN is the number",
        r"a > b \|\| a != a \? a : b",
        "a > b ? a : b",
    ),
]


class EditedDevice(WatchingDevice):
    """A device that compiles another source than it is given."""

    def __init__(self, edit: Callable[[str], str], schedule: str) -> None:
        super().__init__(processors=1, schedule=schedule)
        self.edit = edit

    def load(self, source: str, names: Sequence[str]) -> Mapping[str, Any]:
        return super().load(self.edit(source), names)


def result(program: str, schedule: str, edit: Callable[[str], str]) -> tuple[list[Any], list[Any]]:
    """What a program makes, and what is right."""
    call, form = PROGRAMS[program]
    return run(program_of(call, EditedDevice(edit, schedule), form), call), expected_of(call)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_emitted_is_right(program: str) -> None:
    for schedule in SCHEDULES:
        assert_same_numbers(*result(program, schedule, lambda source: source))


@pytest.mark.parametrize(
    ("program", "right", "wrong"),
    [pytest.param(program, *texts, id=f"{program}: {what}") for program, what, *texts in BUGS],
)
def test_a_bug_is_caught(program: str, right: str, wrong: str) -> None:
    def edit(source: str) -> str:
        changed, count = re.subn(right, wrong, source)
        if not count or changed == source:
            pytest.fail(f"{right!r} is not in the source")
        return changed

    for schedule in SCHEDULES:
        try:
            assert_same_numbers(*result(program, schedule, edit))
        except (AssertionError, HostCudaError) as error:
            if "g++ refuses" not in str(error):
                return
            raise
    pytest.fail("the planted bug shows under none of the schedules")
