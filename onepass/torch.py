"""Kernels as differentiable functions of PyTorch's tensors, and PyTorch's cross-entropies computed by them.

    from onepass.torch import linear_cross_entropy

    loss = linear_cross_entropy(hidden, head.weight, labels, head.bias)
    loss.backward()  # as of F.cross_entropy(head(hidden), labels)

Tensors on the CPU are read where they are, as NumPy arrays, by compiled kernels; tensors on an NVIDIA GPU as
CuPy arrays. From the first call with tensors on the CPU, compiled kernels of this process run on PyTorch's
OpenMP threads, where it has them (on Linux), so at most `torch.get_num_threads()` of them work at once. This
module needs PyTorch and is imported only when asked for.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch

from .backends import is_transformed_tensor, leaves, map_leaves, signature_of_call, use_openmp_of
from .derivatives import value_and_grad, vjp
from .dispatch import KernelFunction
from .functions import softmax_cross_entropy
from .requirements import require_function
from .user_kernels import kernel as make_kernel

__all__ = ["cross_entropy", "function", "linear_cross_entropy"]

HALVES = (torch.float16, torch.bfloat16)
# A limit on memory for programs that call with ever new shapes.
MAX_FORMS = 512


def function(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A differentiable function of tensors that is computed by a kernel.

    kernel:  a function of the library, an `@op.kernel`, or any function that `op.kernel` takes. Its `donate`
             has no effect: no tensor is overwritten
    returns: a function of the same arguments, with tensors in place of arrays, in any tree. All tensors are
             on one device, the CPU or an NVIDIA GPU. Its results are tensors where the kernel's are arrays
    raises:  a call raises TypeError if it has no tensors, or tensors that are sparse, on several devices, or
             on a device of another kind; and the errors of the kernel

    Gradients are those of the kernel's own backward, or derived. If the result is one number, they are
    computed together with it, in one pass, when a tensor requires them. For other results `backward` computes
    the kernel again. A gradient has the dtype of its tensor.

    No tensor is copied, except those of half precision on the CPU, which are computed with as float32.

    It works in an `nn.Module`, under `torch.no_grad` and in `torch.autograd.gradcheck`. Its gradients cannot
    be differentiated again. `torch.compile` leaves it as it is. Inside the transforms of `torch.func` the
    kernel runs operation by operation, in PyTorch.
    """
    require_function("function", kernel)
    own: Any = kernel
    if not isinstance(kernel, KernelFunction) or kernel.donate:
        own = make_kernel(getattr(kernel, "__wrapped__", kernel))
    forms: dict[Any, _Form] = {}

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @functools.wraps(kernel)
    def of_tensors(*args: Any, **kwargs: Any) -> Any:
        values: list[Any] = []
        signature = signature_of_call(args, kwargs, values)
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        if any(map(is_transformed_tensor, tensors)):
            return own(*args, **kwargs)
        wanted = tuple(torch.is_grad_enabled() and tensor.requires_grad for tensor in tensors)
        form = forms.get((signature, wanted))
        if form is None:
            if len(forms) >= MAX_FORMS:
                forms.clear()
            _require_one_device(own.__name__, tensors)
            form = forms[signature, wanted] = _Form(own, (args, kwargs), values, wanted)
        call = _Call(form, values, tensors)
        return call.result(_Function.apply(call, *tensors) if any(wanted) else call.forward(tensors))

    return of_tensors  # type: ignore[no-any-return]


def cross_entropy(
    input: torch.Tensor,  # noqa: A002 - PyTorch's name
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """`torch.nn.functional.cross_entropy` by the kernel `op.softmax_cross_entropy`.

    input:           (C,), (N, C) or (N, C, d1, ...) logits
    target:          (), (N,) or (N, d1, ...) integer classes, or probabilities of the shape of `input`
    weight:          (C,) of the classes, or None for 1
    ignore_index:    the class of rows that do not count; without effect on probabilities
    reduction:       "mean", "sum" or "none"
    label_smoothing: 0 <= s <= 1, the fraction of the target that is spread evenly over the classes
    returns:         a number, or the losses in the shape of `target` without classes
    raises:          TypeError and ValueError as `op.softmax_cross_entropy`, also for classes outside [0, C)
    """
    _require_tensors("cross_entropy", input=input, target=target)
    is_soft = target.is_floating_point()
    rows = input.shape[:1] * (input.ndim > 1) + input.shape[2:]
    expected = input.shape if is_soft else rows
    if input.ndim == 0 or target.shape != expected:
        raise ValueError(
            f"cross_entropy: target has shape {tuple(target.shape)}; expected {tuple(expected)}, for input "
            f"of shape {tuple(input.shape)}."
        )
    losses = _cross_entropy(
        _with_classes_last(input),
        _with_classes_last(target) if is_soft else target.reshape(-1),
        class_weight=weight,
        ignore_index=None if is_soft else ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    return losses.reshape(rows) if reduction == "none" else losses


def linear_cross_entropy(
    input: torch.Tensor,  # noqa: A002 - PyTorch's name
    weight: torch.Tensor,
    target: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    class_weight: torch.Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """The cross-entropy of a linear layer's scores: `F.cross_entropy(F.linear(input, weight, bias), target)`.

    The scores and their gradient exist for one block of rows at a time. When a gradient is required, those of
    `input`, `weight` and `bias` are computed together with the loss.

    input:        (N, D), or (..., D)
    weight, bias: (C, D) and (C,), as in `nn.Linear`; `bias` may be None
    target:       (N,) or (...) integer classes, or (..., C) probabilities
    class_weight: (C,) of the classes, or None for 1
    ignore_index, reduction, label_smoothing, raises: as for `cross_entropy`
    returns:      a number, or the losses in the shape of the rows of `input`
    """
    _require_tensors("linear_cross_entropy", input=input, weight=weight, target=target)
    rows = input.shape[:-1]
    is_soft = target.is_floating_point()
    expected = (*rows, weight.shape[0] if weight.ndim else 0) if is_soft else rows
    if (
        input.ndim == 0
        or weight.ndim != 2
        or weight.shape[1:] != input.shape[-1:]
        or target.shape != expected
    ):
        raise ValueError(
            f"linear_cross_entropy: got input, weight and target of shapes {tuple(input.shape)}, "
            f"{tuple(weight.shape)} and {tuple(target.shape)}; expected (..., D), (C, D), and (...) classes "
            "or (..., C) probabilities."
        )
    losses = _linear_cross_entropy(
        input.reshape(-1, input.shape[-1]),
        weight,
        bias,
        target.reshape(-1, weight.shape[0]) if is_soft else target.reshape(-1),
        class_weight=class_weight,
        ignore_index=None if is_soft else ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    return losses.reshape(rows) if reduction == "none" else losses


def _with_classes_last(tensor: torch.Tensor) -> torch.Tensor:
    """(N, C, d1, ...) as (rows, C)."""
    if tensor.ndim <= 2:
        return tensor.reshape(-1, tensor.shape[-1])
    return tensor.movedim(1, -1).reshape(-1, tensor.shape[1])


def _scores_cross_entropy(x: Any, weight: Any, bias: Any, labels: Any, **options: Any) -> Any:
    scores = x @ weight.T
    return softmax_cross_entropy(scores if bias is None else scores + bias, labels, **options)


_scores_cross_entropy.__name__ = "linear_cross_entropy"
_cross_entropy = function(softmax_cross_entropy)
_linear_cross_entropy = function(_scores_cross_entropy)


def _require_tensors(name: str, **arguments: Any) -> None:
    for argument, value in arguments.items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name}: {argument} is a {type(value).__name__}; expected a torch.Tensor.")


def _require_one_device(name: str, tensors: Sequence[torch.Tensor]) -> None:
    devices = {str(tensor.device) for tensor in tensors}
    if len(devices) != 1:
        got = f"tensors on {' and '.join(sorted(devices))}" if devices else "no tensors"
        raise TypeError(f"{name}: got {got}; expected tensors on one device.")
    for tensor in tensors:
        if tensor.device.type not in ("cpu", "cuda") or tensor.layout is not torch.strided:
            raise TypeError(
                f"{name}: got a tensor on {tensor.device} of layout {tensor.layout}; expected dense tensors "
                "on the CPU or an NVIDIA GPU."
            )


class _Form:
    """What the calls of one signature share: the kernel as a function of flat lists, and its gradients.

    wanted: of every tensor, whether its gradient is asked for
    """

    def __init__(
        self, kernel: Any, tree: tuple[Any, Any], values: Sequence[Any], wanted: Sequence[bool]
    ) -> None:
        if any(isinstance(value, torch.Tensor) and value.device.type == "cpu" for value in values):
            _share_threads()
        self.name = kernel.__name__
        numbers = iter(range(len(values)))
        template = map_leaves(lambda _: next(numbers), tree)
        self.tensors = [i for i, value in enumerate(values) if isinstance(value, torch.Tensor)]
        self.wanted = [i for i, is_wanted in zip(self.tensors, wanted, strict=True) if is_wanted]
        self.others = [i for i in range(len(values)) if i not in set(self.wanted)]
        order = {i: place for place, i in enumerate([*self.wanted, *self.others])}
        self.is_one_number: bool | None = None  # not known yet

        def run(wanted: Any, others: Any) -> Any:
            flat = [*wanted, *others]
            args, kwargs = map_leaves(lambda number: flat[order[number]], template)
            return kernel(*args, **kwargs)

        def floats(wanted: Any, others: Any) -> Any:
            return [leaf for leaf in leaves(run(wanted, others)) if _is_floating(leaf)]

        def pull_back(wanted: Any, others: Any, cotangents: Any) -> Any:
            return vjp(lambda inner: floats(inner, others), wanted)[1](cotangents)[0]

        for made in (run, floats, pull_back):
            made.__name__ = self.name
        self.run, self.pull_back = run, make_kernel(pull_back)
        self.value_and_grad = value_and_grad(run)


@functools.cache
def _share_threads() -> None:
    """Two pools of threads would keep each other from the processors."""
    use_openmp_of(Path(torch._C.__file__))


def _is_floating(leaf: Any) -> bool:
    kind = getattr(getattr(leaf, "dtype", None), "kind", "f" if isinstance(leaf, float) else "")
    return kind == "f"


class _Call:
    """One call of a form: its arrays, and the gradients that are known already.

    values: the leaves of the call
    """

    def __init__(self, form: _Form, values: Sequence[Any], tensors: Sequence[torch.Tensor]) -> None:
        self.form, self.values, self.device = form, values, tensors[0].device
        floating = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
        # The dtype of floating-point results that are computed in another one.
        self.half = floating.pop() if len(floating) == 1 and floating <= set(HALVES) else None
        # The choices of backend and precision, which hold for this thread; backward may run in another one.
        self.context = contextvars.copy_context()
        self.gradients: Any = None
        self.tree: Any = None

    def forward(self, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The tensors among the leaves of the result."""
        form = self.form
        with self._device():
            wanted, others = self._arrays(tensors)
            if form.wanted and form.is_one_number is not False:
                self.tree, self.gradients = self._value_and_gradients(wanted, others)
            if self.gradients is None:
                self.tree = form.run(wanted, others)
            given = [*wanted, *others]
            found = [leaf for leaf in leaves(self.tree) if _is_array(leaf)]
            return tuple(self._tensor(leaf, given) for leaf in found)

    def _value_and_gradients(self, wanted: Any, others: Any) -> tuple[Any, Any]:
        """The result and its gradients, if the result is one number; else nothing."""
        form = self.form
        if form.is_one_number is None:
            try:
                found = form.value_and_grad(wanted, others)
            except (TypeError, ValueError):
                form.is_one_number = False  # or the call is wrong, which the kernel says itself
                return None, None
            form.is_one_number = True
            return found  # type: ignore[no-any-return]
        return form.value_and_grad(wanted, others)  # type: ignore[no-any-return]

    def result(self, tensors: Sequence[torch.Tensor]) -> Any:
        """The tree of the result with tensors for arrays."""
        remaining = iter(tensors)
        return map_leaves(lambda leaf: next(remaining) if _is_array(leaf) else leaf, self.tree)

    def backward(
        self, tensors: Sequence[torch.Tensor], cotangents: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """The gradients of the tensors that they are asked for."""
        return self.context.copy().run(self._backward, tensors, cotangents)

    def _backward(
        self, tensors: Sequence[torch.Tensor], cotangents: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        form = self.form
        wanted_tensors = [tensors[form.tensors.index(i)] for i in form.wanted]
        with self._device():
            if form.is_one_number:
                found, self.gradients = self.gradients, None
                if found is None:  # a second backward of a graph that was retained
                    found = form.value_and_grad(*self._arrays(tensors))[1]
                gradients = [self._tensor(gradient) for gradient in found]
                self._scale(gradients, cotangents[0])
            else:
                kept = [self._array(c) for c in cotangents if c.is_floating_point()]
                found = form.pull_back(*self._arrays(tensors), kept)
                gradients = [self._tensor(gradient) for gradient in found]
        return [g.to(t.dtype) for g, t in zip(gradients, wanted_tensors, strict=True)]

    def _scale(self, gradients: Sequence[torch.Tensor], cotangent: torch.Tensor) -> None:
        """Multiply gradients of a number by the derivative with respect to it, which mostly is 1."""
        if self.device.type == "cpu" and cotangent.item() == 1:
            return  # on a GPU, looking would wait for it
        for gradient in gradients:
            gradient.mul_(cotangent)

    def _arrays(self, tensors: Sequence[torch.Tensor]) -> tuple[list[Any], list[Any]]:
        """The leaves of the call, with arrays for tensors: those with gradients, and the others."""
        flat = list(self.values)
        for i, tensor in zip(self.form.tensors, tensors, strict=True):
            flat[i] = self._array(tensor)
        return [flat[i] for i in self.form.wanted], [flat[i] for i in self.form.others]

    def _array(self, tensor: torch.Tensor) -> Any:
        """A tensor as an array in the same memory; of half precision on the CPU a float32 copy."""
        tensor = tensor.detach().resolve_conj().resolve_neg()
        if self.device.type == "cuda":
            return _cupy().from_dlpack(tensor)
        return (tensor.float() if tensor.dtype in HALVES else tensor).numpy()

    def _tensor(self, array: Any, given: Sequence[Any] = ()) -> torch.Tensor:
        """An array of a result as a tensor in the same memory; a copy of an array that was given."""
        if any(array is other for other in given):
            array = array.copy()
        if self.device.type == "cuda":
            tensor = torch.from_dlpack(_cupy().asarray(array))
        else:
            tensor = torch.from_numpy(numpy.asarray(array))
        return tensor.to(self.half) if self.half and tensor.is_floating_point() else tensor

    @contextlib.contextmanager
    def _device(self) -> Iterator[None]:
        """CuPy works on PyTorch's current stream."""
        if self.device.type == "cpu":
            yield
            return
        cuda = _cupy().cuda
        stream = torch.cuda.current_stream(self.device).cuda_stream
        with cuda.Device(self.device.index), cuda.ExternalStream(stream, self.device.index):
            yield


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "__array_interface__") or hasattr(leaf, "__cuda_array_interface__")


def _cupy() -> Any:
    import cupy

    return cupy


class _Function(torch.autograd.Function):  # type: ignore[misc]
    """A call as a node of PyTorch's graph."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results = call.forward(tensors)
        ctx.call = call
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(*(result for result in results if not result.is_floating_point()))
        return results

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[Any, ...]:
        call, tensors = ctx.call, ctx.saved_tensors
        with torch.no_grad():
            gradients = call.backward(tensors, cotangents)
        if torch.is_grad_enabled():  # create_graph=True
            gradients = _NoSecond.apply(call.form.name, len(gradients), *gradients, *cotangents, *tensors)
        remaining = iter(gradients)
        wanted = set(call.form.wanted)
        return (None, *(next(remaining) if i in wanted else None for i in call.form.tensors))


class _NoSecond(torch.autograd.Function):  # type: ignore[misc]
    """Gradients whose own backward is an error, and not zero."""

    @staticmethod
    def forward(ctx: Any, name: str, count: int, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.name = name
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> Any:
        raise RuntimeError(
            f"{ctx.name}: its gradients cannot be differentiated again. Call the kernel itself with tensors: "
            "it runs operation by operation in PyTorch, which differentiates it as often as asked."
        )
