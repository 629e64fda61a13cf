"""50,000 classes in PyTorch
=========================

Train a PyTorch model of 50,000 classes on the CPU before and after one changed line: time and memory.

Usage::

    python examples/torch_head.py [--classes N] [--rows N] [--steps N]

The changed line is the loss::

    before    F.cross_entropy(head(hidden), labels)
    after     linear_cross_entropy(hidden, head.weight, labels, head.bias)

Both are trained from the same weights on the same batch, each in a process of its own, because memory is
the high-water mark of a process. It needs torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import print_table, save_picture
from matplotlib.figure import Figure
from tqdm import tqdm

INPUTS, WIDTH, RATE = 256, 512, 0.1
NAMES = {"before": "F.cross_entropy", "after": "onepass.torch"}


def loss_of(name: str, head: Any, hidden: Any, labels: Any) -> Any:
    """The line that changes."""
    if name == "before":
        from torch.nn import functional

        return functional.cross_entropy(head(hidden), labels)
    from onepass.torch import linear_cross_entropy

    return linear_cross_entropy(hidden, head.weight, labels, head.bias)


def peak_bytes() -> int:
    """The high-water mark of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def train(name: str, classes: int, rows: int, steps: int) -> dict[str, Any]:
    """Seconds and loss of every step, and the bytes that they needed beside the model and the batch."""
    import torch

    torch.manual_seed(0)
    body = torch.nn.Sequential(torch.nn.Linear(INPUTS, WIDTH), torch.nn.GELU())
    head = torch.nn.Linear(WIDTH, classes)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=RATE)
    x, labels = torch.randn(rows, INPUTS), torch.randint(0, classes, (rows,))
    before = peak_bytes()
    losses, seconds = [], []
    for _ in tqdm(range(steps), leave=False, disable=None, desc=name):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = loss_of(name, head, body(x), labels)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    return {"seconds": seconds, "losses": losses, "bytes": peak_bytes() - before}


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The same in a process of its own."""
    sizes = ["--classes", options.classes, "--rows", options.rows, "--steps", options.steps]
    command = [sys.executable, inspect.getfile(train), "--only", name, *map(str, sizes)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def share(part: float, whole: float) -> str:
    """A part in brackets; a small model may not raise the high-water mark at all."""
    return f" ({part / whole:.2f})" if whole else ""


def draw(results: dict[str, dict[str, Any]]) -> Figure:
    """Plot the time of every step, and the memory."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, result in results.items():
        left.plot(range(1, len(result["seconds"]) + 1), result["seconds"], "o-", label=NAMES[name])
        right.bar(NAMES[name], result["bytes"] / 1e6)
    left.set(xlabel="step (the first one compiles)", ylabel="seconds", ylim=(0, None))
    left.legend()
    right.set_ylabel("MB beside the model and the batch")
    return figure


def main(arguments: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Measure both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--classes", type=int, default=50_000)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--output", type=Path, metavar="FILE", default=Path("torch_head.png"))
    parser.add_argument("--no-plot", action="store_true", help="do not draw the plot")
    parser.add_argument("--only", choices=list(NAMES), help="train one of them here, and print JSON")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("torch") is None:
        raise SystemExit("torch_head: torch is not installed; expected PyTorch, as by `pip install torch`.")
    if options.only:
        print(json.dumps(train(options.only, options.classes, options.rows, options.steps)))
        return {}
    results = {name: measure(name, options) for name in NAMES}
    times = {name: statistics.median(result["seconds"][1:]) for name, result in results.items()}
    rows = [
        [
            NAMES[name],
            f"{times[name]:.3f} s ({times[name] / times['before']:.2f})",
            f"{result['seconds'][0]:.2f} s",
            f"{result['bytes'] / 1e6:.0f} MB{share(result['bytes'], results['before']['bytes'])}",
            f"{result['losses'][-1]:.6f}",
        ]
        for name, result in results.items()
    ]
    print_table(["loss", "time of a step", "first step", "memory", "last loss"], rows)
    apart = np.abs(np.subtract(results["before"]["losses"], results["after"]["losses"])).max()
    print(f"The losses differ by at most {apart:.1e}.")
    if not options.no_plot:
        save_picture(draw(results), options)
    return results


if __name__ == "__main__":
    main()
