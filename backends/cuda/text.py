"""A GPU program for people: what is launched in which order, and the text of the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..codegen.lower import lower
from ..ir.attributes import MatMul
from ..ir.graph import Node, base
from .launch_shapes import FLAT_THREADS
from .prelude import PRELUDE
from .render import FINISH_THREADS
from .stages import PhaseStages, RowKernel, Stages

# What the text is made for where no device is named: an H100.
CAPABILITY, PROCESSORS, CLUSTERS = 90, 132, 15


def cuda_text(
    function: Callable[..., Any],
    kernel: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    donated_leaves: Sequence[int] = (),
    *,
    prelude: bool = True,
) -> str:
    """The CUDA program of a call, for aligned arrays, with its launches in the comment at the top.

    prelude: whether to begin with the functions that all programs have
    """
    plan = lower(function, kernel, args, kwargs, donated_leaves).plan
    stages = Stages(plan, capability=CAPABILITY, processors=PROCESSORS, clusters=CLUSTERS, aligned=True)
    lines = [f"// {kernel}", *(f"//   {line}" for line in launches(stages))]
    texts = [text.text for text in stages.kernels()]
    return "\n\n".join(["\n".join(lines), *([PRELUDE] if prelude else []), *texts])


def launches(stages: Stages) -> Iterator[str]:
    """What runs, in its order: kernels with grid and threads, and products."""
    if stages.begin:
        yield f"{stages.begin.name}<<<1, 1>>>"
    for number, section in enumerate(stages.sections):
        yield f"section {number}"
        yield from (f"  {_product(node)}" for node in section.whole)
        for phase in section.phases:
            yield from (f"  {line}" for line in _phase(phase))
        if section.flat:
            yield f"  {section.flat[0].name}<<<{section.flat[1]}, {FLAT_THREADS}>>>"
        if section.finish:
            yield f"  {section.finish[0].name}<<<{section.finish[1]}, {FINISH_THREADS}>>>"
    if stages.outputs:
        yield f"{stages.outputs.name}<<<1, 1>>>"


def _phase(phase: PhaseStages) -> Iterator[str]:
    if phase.block < phase.rows:
        yield f"for every {phase.block} of {phase.rows} rows"
    for step in phase.steps:
        if isinstance(step, RowKernel):
            shape = step.geometry
            clusters = f" in clusters of {shape.cluster}" if shape.cluster > 1 else ""
            yield f"{step.kernel.name}<<<{step.grid}, {shape.threads}>>>{clusters}"
        else:
            yield _product(step.node)


def _product(node: Node) -> str:
    a, b = (
        f"v{base(source).number}{'.T' * turned}"
        for source, turned in zip(node.inputs, node.attribute_as(MatMul).transposed, strict=True)
    )
    return f"cuBLAS: v{node.number} = {a} @ {b}"
