"""A model of the efficiency of data-parallel training on other machines, and the text of SCALING.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

RANKS = (8, 64, 512)
# The fraction of the data-sheet rate of a link or a processor that programs reach.
REACHED = 0.8
CORES = 40  # of a machine
GPU_OPERATIONS, GPU_BYTES = 67e12, 3.35e12  # a second: float32 without tensor cores, and memory, of an H100


@dataclass(frozen=True)
class Link:
    """The network between the ranks."""

    name: str
    bytes_per_second: float  # in one direction, from the data sheet
    latency: float  # seconds per message


TEN = Link("10 Gbit/s, TCP", 1.25e9, 30e-6)
HUNDRED = Link("100 Gbit/s, RDMA", 12.5e9, 3e-6)
NVLINK = Link("NVLink, 450 GB/s", 450e9, 3e-6)


@dataclass(frozen=True)
class Computer:
    """The machine of one rank."""

    name: str
    step: float  # seconds for the rows of one step
    copies: float  # seconds to pack the gradients and to divide the sum
    links: tuple[Link, ...]


def message_seconds(size: float, link: Link, ranks: int) -> float:
    """An all-reduce of `size` bytes: each rank sends 2 (p - 1) / p of them, in 2 log2 p messages."""
    if ranks == 1:
        return 0.0
    moved = 2 * (ranks - 1) / ranks * size
    return moved / (REACHED * link.bytes_per_second) + 2 * math.ceil(math.log2(ranks)) * link.latency


def efficiency(computer: Computer, link: Link, size: float, ranks: int, rows_each: float) -> float:
    """Rows per second and rank, relative to a single process, with `rows_each` times the measured rows."""
    step = rows_each * computer.step
    return step / (step + computer.copies + message_seconds(size, link, ranks))


def computers(run: Any) -> list[Computer]:
    """One core as measured, and two assumed machines: several such cores, and a GPU."""
    alone = run["results"][0]
    step, copies, size = alone["plain"], alone["alone"], run["gradient_bytes"]
    return [
        Computer("one core, as measured", step, copies, (TEN, HUNDRED)),
        # Copies are limited by memory bandwidth. A socket has about that of eight cores.
        Computer(f"{CORES} such cores", step / (REACHED * CORES), copies / 8, (TEN, HUNDRED)),
        # Packing reads and writes the gradients; so does the division.
        Computer(
            "GPU, 67 TFLOP/s float32, 3.35 TB/s",
            run["operations"] / (REACHED * GPU_OPERATIONS),
            4 * size / (REACHED * GPU_BYTES),
            (TEN, HUNDRED, NVLINK),
        ),
    ]


def page(run: Any) -> str:
    """The measured table, the model, its predictions and its assumptions, as Markdown."""
    size, rows = run["gradient_bytes"], run["rows"]
    core = computers(run)[0]
    shared = [f"{efficiency(core, HUNDRED, size, ranks, 1 / ranks):.0%} at {ranks}" for ranks in RANKS]
    latencies = [f"{1e6 * link.latency:.0f} µs ({link.name})" for link in (TEN, HUNDRED, NVLINK)]
    facts = "\n".join(f"- {name}: {text}" for name, text in run["machine"].items())
    first_layer = run["first_layer_bytes"] / size
    return f"""# Scaling over processes

    python -m bench.scaling                  # this page and its numbers, in bench-results/
    python -m bench.scaling --redraw bench-results/scaling.json

The training step of {run["workload"]} in {run["dtype"]}, data-parallel: every rank computes the
gradients of its rows, `all_reduce_mean` averages them, and every rank takes the same step. One thread per
rank. Run it on a machine that is otherwise idle.

{facts}

## Measured

{_measured(run)}

Medians. The time in `all_reduce_mean` includes waiting for the slowest rank. "Alone" is the same call, made
by all ranks at the same time: packing, message, division. Efficiency is rows per second and rank, relative to
the process without a communicator, whose step is one kernel. The gradients are {size / 1e6:.2f}
MB and are sent in one message. Here the message goes through memory, and the ranks share caches and memory
bandwidth. The table therefore shows the cost of the code, not of a network.
{_crowded(run)}
## Expected on other machines

    step(p)    = compute + copies + message(p)
    message(p) = 2 (p - 1) / p * bytes / ({REACHED} * bandwidth) + 2 ceil(log2 p) * latency
    efficiency = compute / step(p), with {rows} rows a rank

The first term of a message is the amount that every all-reduce over all links must move, rings included. The
second term is that of recursive halving and doubling, which MPICH and Open MPI choose for such sizes. A ring
sends 2 (p - 1) messages one after the other: at 512 ranks and 30 µs that is 30 ms more.

{_expected(run)}

These are figures for {rows} rows on every rank. The last column is the number of rows per rank that gives
90 % at 512 ranks. If {rows} rows are divided among all ranks, on single cores at 100 Gbit/s, the efficiency
is {", ".join(shared)}: the cost of a message does not depend on the number of rows.

Assumptions:

- Links, memories and processors reach {REACHED:.0%} of their data-sheet rates. Latency of a message:
  {", ".join(latencies)}.
- Each rank has its own link, and the network carries all of them at the same time. Ranks that share the link
  of a machine share its bandwidth, unless the library sums within the machine first.
- All ranks are equally fast. In reality the slowest rank determines the time.
- Only the compute and the copies of one core are measured. {CORES} cores are {REACHED:.0%} of {CORES}
  times one. The GPU figures are from the data sheet; it was not run. A step this small does not fill a GPU,
  so its compute takes longer than assumed here, and the efficiency is higher.
- NVLink connects the 8 GPUs of a machine or the 72 of a rack. 512 in one domain are hypothetical.

Not run: more than one machine, NCCL, any GPU.

## Overlap

The all-reduce of a layer's gradient could start while the gradients of earlier layers are computed. This is
not implemented: a step compiled as one kernel gives all gradients at once. In this network it would hide
almost nothing, because the gradient of the first layer is computed last and has {first_layer:.1%} of the
bytes. A network of L equal layers could hide at most (L - 1) / L of its message. This requires that MPI sends
in the background, for which it needs a thread and a processor.{_overlapped(run)}
"""


def _measured(run: Any) -> str:
    plain, rows = run["results"][0]["plain"], run["rows"]
    lines = [
        "| ranks | rows per rank | step | in `all_reduce_mean` | % of the step | alone | efficiency |",
        "|--:|--:|--:|--:|--:|--:|--:|",
        f"| 1, no communicator | {rows} | {_time(plain)} | | | | |",
    ]
    for result in run["results"]:
        ranks, each = result["ranks"], result["rows_each"]
        lines.append(
            f"| {ranks}{' (a)' if ranks > run['processors'] else ''} | {each:g} | {_time(result['step'])} "
            f"| {_time(result['collective'])} | {result['collective'] / result['step']:.1%} "
            f"| {_time(result['alone'])} | {plain * each / rows / result['step']:.0%} |"
        )
    return "\n".join(lines)


def _crowded(run: Any) -> str:
    if all(result["ranks"] <= run["processors"] for result in run["results"]):
        return ""
    return f"""
(a) More ranks than the {run["processors"]} processors. The ranks take turns, and spin while they wait. Such a
row shows that the code works, not how it scales.
"""


def _overlapped(run: Any) -> str:
    if "overlap" not in run:
        return ""
    message, in_turn, at_once = (_time(run["overlap"][name]) for name in ("message", "in turn", "at once"))
    return f"""

Measured here with two ranks: the message takes {message}. Computing the gradients and then sending a message
of this size takes {in_turn}. Computing during a non-blocking all-reduce of this size takes {at_once}."""


def _expected(run: Any) -> str:
    size, rows = run["gradient_bytes"], run["rows"]
    lines = [
        "| rank | link | compute | copies | message at 512 | efficiency at 8 | 64 | 512 | 90 % at 512 |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for computer in computers(run):
        for link in computer.links:
            shown = [f"{efficiency(computer, link, size, ranks, 1.0):.0%}" for ranks in RANKS]
            message = message_seconds(size, link, RANKS[-1])
            # 90 % where compute is nine times the rest.
            enough = math.ceil(9 * (computer.copies + message) / computer.step * rows)
            lines.append(
                f"| {computer.name} | {link.name} | {_time(computer.step)} | {_time(computer.copies)} "
                f"| {_time(message)} | {' | '.join(shown)} | {enough:,} |"
            )
    return "\n".join(lines)


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
