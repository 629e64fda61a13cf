"""`python -m bench.torch_loop`: training loops of PyTorch's layers with the losses of `onepass.torch`.

A network and an optimizer of PyTorch, and a loss that is computed by PyTorch or by a compiled kernel. Two
libraries in one loop may keep each other from the processors, so the loop is compared with its parts:
the network with its optimizer alone, and the loss alone, each in a process of its own. See bench/README.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from . import awake


class Loop(NamedTuple):
    """A network 256 -> 512 -> 512 -> classes, and a mini-batch. The last layer may belong to the loss."""

    rows: int
    classes: int
    head_in_loss: bool

    @property
    def title(self) -> str:
        name = "linear_cross_entropy" if self.head_in_loss else "cross_entropy"
        return f"{name}, {self.rows} rows, {self.classes} classes"


LOOPS = [
    Loop(512, 1000, False),
    Loop(4096, 1000, False),
    Loop(2048, 8192, False),
    Loop(512, 1000, True),
    Loop(2048, 8192, True),
    Loop(512, 32768, True),
]
SMALL = [Loop(64, 100, False), Loop(64, 100, True)]

# What a process measures: the loop with the loss of PyTorch, or with that of onepass; the network with its
# optimizer; the loss of onepass.
PARTS = ("torch", "onepass", "network", "loss")


class Step:
    """One step of a loop, or of a part of it: a function without arguments that returns the loss."""

    def __init__(self, loop: Loop, part: str) -> None:
        import torch

        torch.manual_seed(0)
        self.loop = loop
        layers = [torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512), torch.nn.ReLU()]
        self.body = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(512, loop.classes)
        parameters = [*self.body.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
        self.x = torch.randn(loop.rows, 256)
        self.labels = torch.randint(loop.classes, (loop.rows,))
        self.loss = _loss(loop, ours=part in ("onepass", "loss"))
        # What the part that is not measured would have computed.
        with torch.no_grad():
            self.hidden = self.body(self.x)
            self.logits = self.head(self.hidden)
        self.gradient = torch.randn(self.hidden.shape if loop.head_in_loss else self.logits.shape) * 1e-6
        self.head_gradients = [torch.randn(p.shape) * 1e-6 for p in self.head.parameters()]
        self.run: Callable[[], float] = {"network": self._network_alone, "loss": self._loss_alone}.get(
            part, self._whole
        )

    def _whole(self) -> float:
        self.optimizer.zero_grad()
        hidden = self.body(self.x)
        loss = self.loss(hidden if self.loop.head_in_loss else self.head(hidden), self.head, self.labels)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def _network_alone(self) -> float:
        self.optimizer.zero_grad()
        hidden = self.body(self.x)
        if self.loop.head_in_loss:
            hidden.backward(self.gradient)
            for parameter, gradient in zip(self.head.parameters(), self.head_gradients, strict=True):
                parameter.grad = gradient
        else:
            self.head(hidden).backward(self.gradient)
        self.optimizer.step()
        return 0.0

    def _loss_alone(self) -> float:
        self.optimizer.zero_grad()
        leaf = (self.hidden if self.loop.head_in_loss else self.logits).detach().requires_grad_()
        loss = self.loss(leaf, self.head, self.labels)
        loss.backward()
        return float(loss.detach())


def _loss(loop: Loop, *, ours: bool) -> Callable[[Any, Any, Any], Any]:
    """The loss of (scores or hidden values, head, labels)."""
    import torch.nn.functional as functional

    if ours:
        from onepass.torch import cross_entropy, linear_cross_entropy

        if loop.head_in_loss:
            return lambda hidden, head, labels: linear_cross_entropy(hidden, head.weight, labels, head.bias)
        return lambda scores, head, labels: cross_entropy(scores, labels)
    if loop.head_in_loss:
        return lambda hidden, head, labels: functional.cross_entropy(head(hidden), labels)
    return lambda scores, head, labels: functional.cross_entropy(scores, labels)


def work(pipe: Any, loop: Loop, part: str) -> None:
    """A process: prepare a step, then answer each number of seconds with (time of a step, losses so far)."""
    step = Step(loop, part).run
    losses = [step() for _ in range(3)]
    while (seconds := pipe.recv()) is not None:
        begin = time.perf_counter()
        count = 0
        while (now := time.perf_counter()) - begin < seconds or count < 3:
            step()
            count += 1
        pipe.send(((now - begin) / count, losses))


def measure(loop: Loop, sweeps: int, seconds: float) -> dict[str, float]:
    """The median time of a step for each part, in seconds.

    raises: AssertionError if the first losses of the two loops differ
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for part in PARTS:
        pipes[part], theirs = context.Pipe()
        processes.append(context.Process(target=work, args=(theirs, loop, part), daemon=True))
        processes[-1].start()
    times: dict[str, list[float]] = {part: [] for part in PARTS}
    losses = {}
    for _ in range(sweeps + 1):
        for part, pipe in pipes.items():
            pipe.send(seconds)
            found, losses[part] = pipe.recv()
            times[part].append(found)
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(None)
        process.join()
    for theirs, ours in zip(losses["torch"], losses["onepass"], strict=True):
        assert abs(theirs - ours) <= 1e-4 * abs(theirs), (loop.title, losses)
    return {part: statistics.median(found[1:]) for part, found in times.items()}


def table(measured: dict[Loop, dict[str, float]]) -> str:
    """Markdown: a row for each loop, and the ratio of the loop with our loss to the others."""
    lines = [
        "| loss | loop, PyTorch's loss | loop, our loss | ratio | its parts alone | loop / parts |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for loop, times in measured.items():
        parts = times["network"] + times["loss"]
        cells = [
            loop.title,
            f"{1e3 * times['torch']:.2f} ms",
            f"{1e3 * times['onepass']:.2f} ms",
            f"{times['onepass'] / times['torch']:.2f}",
            f"{1e3 * times['network']:.2f} + {1e3 * times['loss']:.2f} ms",
            f"{times['onepass'] / parts:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.torch_loop", description=__doc__.split("\n")[0])
    parser.add_argument("--sweeps", type=int, default=5, help="samples of each part")
    parser.add_argument("--seconds", type=float, default=0.7, help="time of a sample")
    parser.add_argument("--only", default="", help="a part of a loss's name, rows or classes")
    parser.add_argument("--smoke", action="store_true", help="small sizes, one short sample")
    arguments = parser.parse_args()
    loops = [loop for loop in (SMALL if arguments.smoke else LOOPS) if arguments.only in loop.title]
    sweeps, seconds = (1, 0.01) if arguments.smoke else (arguments.sweeps, arguments.seconds)
    with awake.processors():
        print(table({loop: measure(loop, sweeps, seconds) for loop in loops}))


if __name__ == "__main__":
    main()
