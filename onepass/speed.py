"""How fast is this here: onepass compared with NumPy by hand and with a lower bound of the time.

`measure_speed()` takes about 25 seconds. It gives a SpeedTable, which `print` and notebooks show:

    workload                              NumPy by hand  onepass  speedup    lower bound
    cross-entropy and gradient 4096x1000        33.9 ms  2.86 ms      12x   1.59 ms copy

All run in one process, in turns. In the repository, `python -m bench` compares more libraries on more
workloads, each in a process of its own.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy

from . import __version__, by_hand, functions
from .backends import chosen_backend, cpu_why_not, describe_cpu_backend, leaves, map_leaves
from .floors import copy_of, processors
from .user_kernels import kernel

TIMES = "\N{MULTIPLICATION SIGN}"

# The minimum duration of a sample, which is a batch of calls. It makes the cost of the clock negligible.
LEAST_SECONDS = 0.02
# The threads of NumPy's BLAS spin for a while before they sleep. The next sample starts after that.
PAUSE_SECONDS = 0.05
LEAST_SAMPLES, MOST_SAMPLES = 3, 15
# The largest difference from NumPy by hand, relative to the largest value of each result.
TOLERANCE = 1e-3
# From this part of the processors on, what other programs use is said.
BUSY = 0.1
# So small that parameters stay where they are, however often a step is called.
LEARNING_RATE = 1e-6
# The fraction of the available memory that a workload may use.
USABLE_MEMORY = 0.7

Kind = Literal["cross-entropy and gradient", "training step", "linear head"]


@dataclass(frozen=True)
class Workload:
    """One row of the table, in float32.

    shape: the number of rows, then the width of every layer: (N, K) or (N, D, ..., K)
    quick: whether it is measured by `measure_speed(quick=True)`
    """

    kind: Kind
    shape: tuple[int, ...]
    quick: bool = False

    @property
    def name(self) -> str:
        rows, *widths = self.shape
        return f"{self.kind} {rows}{TIMES}{'→'.join(map(str, widths))}"

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(D, K) of every weight."""
        return list(pairwise(self.shape[1:]))

    @property
    def bytes_needed(self) -> int:
        """An estimate: arguments, results, NumPy's temporaries and the floor."""
        rows, *widths = self.shape
        return 4 * (6 * rows * max(widths) + 5 * sum(d * k for d, k in self.layers))


WORKLOADS = (
    Workload("cross-entropy and gradient", (1024, 10), quick=True),
    Workload("cross-entropy and gradient", (4096, 1000)),
    Workload("cross-entropy and gradient", (4096, 8192)),
    Workload("training step", (128, 784, 100, 10), quick=True),
    Workload("training step", (1024, 784, 1024, 10)),
    Workload("linear head", (1024, 512, 8192)),
)


class Floor(NamedTuple):
    """The longer of a copy of the same bytes and the same matrix products in NumPy.

    seconds: of the shortest sample
    kind:    "copy" or "products"
    """

    seconds: float
    kind: str


@dataclass(frozen=True)
class Measured:
    """The times of one workload.

    samples:    seconds of a call, by "onepass", "NumPy by hand", "copy" and "products"
    first_call: seconds of the first call of onepass: tracing, and compiling or loading machine code
    error:      the largest difference between the results of onepass and NumPy by hand, relative to the
                largest value of each
    """

    workload: Workload
    samples: dict[str, list[float]]
    first_call: float
    error: float

    @property
    def onepass(self) -> float:
        return statistics.median(self.samples["onepass"])

    @property
    def numpy(self) -> float:
        return statistics.median(self.samples["NumPy by hand"])

    @property
    def floor(self) -> Floor:
        kinds = [kind for kind in ("copy", "products") if kind in self.samples]
        return max(Floor(min(self.samples[kind]), kind) for kind in kinds)

    @property
    def agrees(self) -> bool:
        return self.error <= TOLERANCE


@dataclass(frozen=True)
class SpeedTable:
    """The result of `measure_speed`; `print` and notebooks show it.

    machine:  lines about versions and processors, by title
    left_out: reasons, by workload
    others:   the number of processors that other programs used meanwhile, on average; 0 where not known
    """

    machine: dict[str, str]
    rows: list[Measured] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    others: float = 0.0

    def __str__(self) -> str:
        from .speed_views import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from .speed_views import as_html

        return as_html(self)


def measure_speed(*, quick: bool = False, seconds: float = 2.0, progress: bool = False) -> SpeedTable:
    """Measure how fast onepass is here, for NumPy arrays.

    quick:    only small workloads
    seconds:  time for the samples of each workload; three samples of each may take longer
    progress: whether to show a progress bar on stderr
    returns:  SpeedTable
    """
    rows, left_out = [], {}
    began, busy = time.perf_counter(), _busy_others()
    chosen = [workload for workload in WORKLOADS if workload.quick or not quick]
    bar = _bar(chosen) if progress else None
    for workload in bar or chosen:
        if bar:
            bar.set_description(workload.name)
        needed, available = workload.bytes_needed, USABLE_MEMORY * available_memory()
        if needed > available:
            reason = f"needs {needed / 1e9:.1f} GB of memory; {max(available, 0) / 1e9:.1f} GB may be used"
            left_out[workload.name] = reason
        else:
            rows.append(_measure(workload, seconds))
    others = (_busy_others() - busy) / (time.perf_counter() - began)
    return SpeedTable(_machine(), rows, left_out, max(others, 0.0))


def _bar(items: Any) -> Any:
    from .progress import bar  # imports tqdm

    return bar(items, unit="workload")


def _machine() -> dict[str, str]:
    is_compiled = not cpu_why_not() and chosen_backend() != "numpy"
    title, _, value = describe_cpu_backend()[0].partition(": ") if is_compiled else ("backend", "", "numpy")
    return {
        "versions": f"onepass {__version__}, NumPy {numpy.__version__}, Python {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}{processors()} processors",
        title: value,
    }


def _processor() -> str:
    """The model, and a comma; empty where the system does not say."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith("model name")).partition(": ")[2] + ", "
    return ""


def available_memory() -> float:
    """Bytes that can be allocated without swapping; infinity where the system does not say."""
    found = [math.inf]
    with suppress(OSError, ValueError, IndexError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    with suppress(OSError, ValueError):  # the limit of a container; "max" is none
        group = Path("/sys/fs/cgroup")
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        found.append(int(limit) - int(used))
    return min(found)


def _busy_others() -> float:
    """Processor seconds of other programs since the system began; 0 where the system does not say."""
    with suppress(OSError, ValueError, AttributeError):
        user, nice, system, *_ = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
        return (user + nice + system) / os.sysconf("SC_CLK_TCK") - time.process_time()
    return 0.0


def _measure(workload: Workload, seconds: float) -> Measured:
    """Check the results of onepass and NumPy, then time all in turns."""
    calls = _CALLS[workload.kind](workload)
    began = time.perf_counter()
    mine = calls["onepass"]()
    first_call = time.perf_counter() - began
    error = _difference(mine, calls["NumPy by hand"]())
    del mine
    batches = {name: _calls_of_a_sample(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    for sweep in range(MOST_SAMPLES):
        if sweep >= LEAST_SAMPLES and time.perf_counter() > end:
            break
        for name, call in calls.items():
            time.sleep(PAUSE_SECONDS)
            samples[name].append(_time(call, batches[name]))
    return Measured(workload, samples, first_call, error)


def _difference(mine: Any, theirs: Any) -> float:
    pairs = zip(leaves(mine), leaves(theirs), strict=True)
    return max(float(numpy.max(abs(m - t)) / numpy.max(abs(t))) for m, t in pairs)


def _calls_of_a_sample(call: Callable[[], Any]) -> int:
    """How many calls make a sample long enough."""
    seconds = _time(call, 1)
    if seconds < LEAST_SECONDS:
        seconds = _time(call, 1)  # the first one may have touched memory for the first time
    return max(1, math.ceil(LEAST_SECONDS / seconds))


def _time(call: Callable[[], Any], count: int) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count


@kernel(donate="params")
def _train_step(params: Any, x: Any, labels: Any, lr: float) -> Any:
    loss, grads = functions.mlp_loss_and_grads(params, x, labels)
    return loss, functions.sgd_step(params, grads, lr)


@kernel
def _head(x: Any, weight: Any, labels: Any) -> Any:
    loss, grad = functions.softmax_cross_entropy_with_grad(x @ weight, labels)
    return loss, grad @ weight.T, x.T @ grad


Calls = dict[str, Callable[[], Any]]


def _cross_entropy_calls(workload: Workload) -> Calls:
    logits, labels = _normal(*workload.shape), _labels(workload)
    return {
        "onepass": lambda: functions.softmax_cross_entropy_with_grad(logits, labels),
        "NumPy by hand": lambda: by_hand.cross_entropy(logits, labels),
        "copy": copy_of(2 * logits.nbytes),
    }


def _head_calls(workload: Workload) -> Calls:
    rows, width, classes = workload.shape
    x, labels = _normal(rows, width), _labels(workload)
    weight = _normal(width, classes) / math.sqrt(width)
    scores, grads = _normal(rows, classes), (numpy.empty_like(x), numpy.empty_like(weight))
    products = [(x, weight, scores), (scores, weight.T, grads[0]), (x.T, scores, grads[1])]
    return {
        "onepass": lambda: _head(x, weight, labels),
        "NumPy by hand": lambda: by_hand.head(x, weight, labels),
        "copy": copy_of(2 * (x.nbytes + weight.nbytes)),
        "products": lambda: _multiply(products),
    }


def _training_calls(workload: Workload) -> Calls:
    rows = workload.shape[0]
    x, labels = _normal(rows, workload.shape[1]), _labels(workload)
    params = [
        (_normal(d, k) * numpy.float32(math.sqrt(2 / d)), numpy.zeros(k, "float32"))
        for d, k in workload.layers
    ]
    by_numpy, state = map_leaves(numpy.copy, params), [map_leaves(numpy.copy, params)]

    def step() -> Any:
        loss, state[0] = _train_step(state[0], x, labels, LEARNING_RATE)
        return loss, state[0]

    products = list(_products([x, *(_normal(rows, k) for _, k in workload.layers)], params))
    weights = sum(array.nbytes for array in leaves(params))
    return {
        "onepass": step,
        "NumPy by hand": lambda: by_hand.train_step(by_numpy, x, labels, LEARNING_RATE),
        "copy": copy_of(x.nbytes + 2 * weights),
        "products": lambda: _multiply(products),
    }


def _products(layers: list[Any], params: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(a, b, out) of all matrix products of a step. Factors do not depend on results."""
    for number, (weight, _) in enumerate(params):
        inputs, outputs = layers[number], layers[number + 1]
        yield inputs, weight, numpy.empty_like(outputs)
        yield inputs.T, outputs, numpy.empty_like(weight)
        if number:
            yield outputs, weight.T, numpy.empty_like(inputs)


def _multiply(products: list[tuple[Any, Any, Any]]) -> None:
    for a, b, out in products:
        numpy.matmul(a, b, out=out)


_CALLS: dict[Kind, Callable[[Workload], Calls]] = {
    "cross-entropy and gradient": _cross_entropy_calls,
    "training step": _training_calls,
    "linear head": _head_calls,
}


def _normal(*shape: int) -> Any:
    return numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)


def _labels(workload: Workload) -> Any:
    return numpy.random.default_rng(1).integers(0, workload.shape[-1], workload.shape[0])
