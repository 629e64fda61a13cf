"""A GPU program for people: what is launched in which order, and the text of the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..codegen.lower import lower
from ..ir.attributes import Transposes
from ..ir.graph import base
from ..ir.nest import MatMul
from .launch_shapes import FLAT_THREADS
from .launches import BlockLoopLaunches, DeviceProperties, Launches, NestKernel
from .prelude import PRELUDE
from .render import FINISH_THREADS
from .target import CUDA

# What the text is made for where no device is named: an H100.
H100 = DeviceProperties(capability=90, processors=132, clusters=15, aligned=True, memory=80 << 30)


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
    plan = lower(function, kernel, args, kwargs, donated_leaves, target=CUDA).plan
    launches = Launches(plan, H100)
    lines = [f"// {kernel}", *(f"//   {line}" for line in in_order(launches))]
    texts = [text.text for text in launches.kernels()]
    return "\n\n".join(["\n".join(lines), *([PRELUDE] if prelude else []), *texts])


def in_order(launches: Launches) -> Iterator[str]:
    """What runs, in its order: kernels with grid and threads, and products."""
    if launches.begin:
        yield f"{launches.begin.name}<<<1, 1>>>"
    for number, stage in enumerate(launches.stages):
        yield f"stage {number}"
        yield from (f"  {_product(product)}" for product in stage.products)
        for loop in stage.loops:
            yield from (f"  {line}" for line in _block_loop(loop))
        if stage.flat:
            yield f"  {stage.flat[0].name}<<<{stage.flat[1]}, {FLAT_THREADS}>>>"
        if stage.finish:
            yield f"  {stage.finish[0].name}<<<{stage.finish[1]}, {FINISH_THREADS}>>>"
    if launches.outputs:
        yield f"{launches.outputs.name}<<<1, 1>>>"


def _block_loop(loop: BlockLoopLaunches) -> Iterator[str]:
    if loop.block < loop.rows:
        yield f"for every {loop.block} of {loop.rows} rows"
    for step in loop.steps:
        if isinstance(step, NestKernel):
            shape = step.shape
            clusters = f" in clusters of {shape.cluster}" if shape.cluster > 1 else ""
            yield f"{step.kernel.name}<<<{step.grid}, {shape.threads}>>>{clusters}"
        else:
            yield _product(step)


def _product(product: MatMul) -> str:
    transposed = zip(product.node.inputs, product.node.attribute_as(Transposes).transposed, strict=True)
    a, b = (f"v{base(source).number}{'.T' * bool(turned)}" for source, turned in transposed)
    held = product.a.held
    return f"cuBLAS: v{product.node.number} = {a} @ {b}" + f" in {held}" * held.is_half
