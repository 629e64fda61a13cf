"""The checks of arguments, one for each family of kernels.

A check takes the name of the kernel, then the arguments of the kernel. It raises before anything is computed.
`check` looks at types, shapes, dtypes and options. `check_values` looks at values, but only if reading them
does not wait for a device; it returns whether all later calls of the same signature pass it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy

from .kernels.networks import ACTIVATIONS, LOSSES
from .option_ranges import ValueCheck, check_options
from .requirements import (
    describe,
    require_grad_out,
    require_labels,
    require_labels_in_range,
    require_option,
    require_real,
    require_rows,
    require_scalar,
    require_shape,
)

Check: TypeAlias = Callable[..., None]

REDUCTIONS = ("mean", "sum", "none")
LABEL_LOSSES = ("softmax_cross_entropy", "multiclass_hinge")

check_options_by_name = check_options()


def linear(name: str, x: Any, weight: Any, bias: Any = None) -> None:
    require_rows(name, "x", x, "(N, D)")
    _linear_parameters(name, "weight", weight, "bias", bias, x.shape[1], f"the columns of x {tuple(x.shape)}")


def linear_backward(name: str, grad_out: Any, x: Any, weight: Any) -> None:
    linear(name, x, weight)
    shape = (x.shape[0], weight.shape[1])
    require_grad_out(name, grad_out, shape, f"the shape of x {tuple(x.shape)} @ weight {tuple(weight.shape)}")


def _linear_parameters(
    name: str, weight_name: str, weight: Any, bias_name: str, bias: Any, rows: int, why: str
) -> None:
    require_rows(name, weight_name, weight, "(D, K)")
    columns = weight.shape[1]
    require_shape(name, weight_name, weight, (rows, columns), f"as many rows as {why}")
    if bias is None:
        return
    require_real(name, bias_name, bias)
    if tuple(bias.shape) not in ((columns,), (1, columns)):
        raise ValueError(
            f"{name}: {bias_name} has shape {tuple(bias.shape)}; expected ({columns},) or (1, {columns}), "
            f"the columns of {weight_name} {tuple(weight.shape)}."
        )


def activation(name: str, x: Any) -> None:
    require_real(name, "x", x)


def activation_backward(name: str, grad_out: Any, out: Any) -> None:
    require_real(name, "out", out)
    require_real(name, "grad_out", grad_out)
    require_shape(name, "grad_out", grad_out, out.shape, "the shape of out")


def activation_over_axis(name: str, x: Any, *, axis: int = -1) -> None:
    require_real(name, "x", x)
    _require_axis(name, "x", x, axis)


def activation_over_axis_backward(name: str, grad_out: Any, out: Any, *, axis: int = -1) -> None:
    activation_backward(name, grad_out, out)
    _require_axis(name, "out", out, axis)


def _require_axis(name: str, argument: str, value: Any, axis: int) -> None:
    if not isinstance(axis, int) or not -value.ndim <= axis < value.ndim:
        raise ValueError(
            f"{name}: axis is {describe(axis)}; expected an integer in [{-value.ndim}, {value.ndim}), "
            f"a dimension of {argument} {tuple(value.shape)}."
        )
    if value.shape[axis] == 0:
        raise ValueError(f"{name}: {argument} has shape {tuple(value.shape)}; expected at least one class.")


def label_loss(argument: str, *, soft: bool = True) -> tuple[Check, ValueCheck]:
    """(check, check_values) for a loss of `labels` whose first argument is called `argument`."""

    def check(
        name: str,
        scores: Any,
        labels: Any,
        *,
        class_weight: Any = None,
        ignore_index: Any = None,
        label_smoothing: Any = 0.0,
        reduction: Any = "mean",
    ) -> None:
        require_rows(name, argument, scores, "(N, K)")
        shape = tuple(scores.shape)
        if shape[1] == 0:
            raise ValueError(f"{name}: {argument} has shape {shape}; expected at least one class.")
        require_labels(name, labels, argument, shape, ignore_index=ignore_index, soft=soft)
        if class_weight is not None:
            require_real(name, "class_weight", class_weight)
            require_shape(name, "class_weight", class_weight, shape[1:], f"the classes of {argument} {shape}")
        require_scalar(name, "label_smoothing", label_smoothing)
        require_option(name, "reduction", reduction, REDUCTIONS)

    def check_values(
        name: str, scores: Any, labels: Any, *_: Any, ignore_index: Any = None, **options: Any
    ) -> bool:
        decided = not options or check_options_by_name(name, **options)
        if labels.ndim == 1:
            require_labels_in_range(name, labels, argument, tuple(scores.shape), ignore_index)
            return False
        return decided

    return check, check_values


def label_loss_backward(argument: str, *, soft: bool = True) -> tuple[Check, ValueCheck]:
    """(check, check_values) for the backward of such a loss."""
    check_forward, check_forward_values = label_loss(argument, soft=soft)

    def check(name: str, grad_out: Any, scores: Any, labels: Any, **options: Any) -> None:
        check_forward(name, scores, labels, **options)
        rows = scores.shape[:1] if options.get("reduction") == "none" else ()
        require_grad_out(name, grad_out, rows, f"the rows of {argument} {tuple(scores.shape)}")

    def check_values(name: str, grad_out: Any, *args: Any, **options: Any) -> bool:
        return check_forward_values(name, *args, **options)

    return check, check_values


def _with_margin(checks: tuple[Check, ValueCheck], position: int) -> tuple[Check, ValueCheck]:
    """The checks of a loss of labels, extended by a margin at `position`."""
    check_others, check_other_values = checks

    def check(name: str, *args: Any, margin: Any = 1.0, **options: Any) -> None:
        check_others(name, *args[:position], **options)
        require_scalar(name, "margin", args[position] if len(args) > position else margin)

    in_range = check_options(margin=position)

    def check_values(name: str, *args: Any, **options: Any) -> bool:
        decided = in_range(name, *args, **options)
        return check_other_values(name, *args, **options) and decided

    return check, check_values


hinge = _with_margin(label_loss("scores", soft=False), 2)
hinge_backward = _with_margin(label_loss_backward("scores", soft=False), 3)


def elementwise_loss(argument: str) -> Check:
    """The check of an elementwise loss whose first argument is called `argument`."""

    def check(
        name: str,
        predictions: Any,
        targets: Any,
        *,
        weight: Any = None,
        pos_weight: Any = None,
        reduction: Any = "mean",
    ) -> None:
        require_real(name, argument, predictions)
        require_real(name, "targets", targets)
        require_shape(name, "targets", targets, predictions.shape, f"the shape of {argument}")
        for option, value in (("weight", weight), ("pos_weight", pos_weight)):
            if value is not None:
                require_real(name, option, value)
                _require_broadcast(name, option, value, argument, predictions)
        require_option(name, "reduction", reduction, REDUCTIONS)

    return check


def elementwise_loss_backward(argument: str) -> Check:
    """The check of the backward of such a loss."""
    forward = elementwise_loss(argument)

    def check(name: str, grad_out: Any, predictions: Any, targets: Any, **options: Any) -> None:
        forward(name, predictions, targets, **options)
        shape = predictions.shape if options.get("reduction") == "none" else ()
        require_grad_out(name, grad_out, shape, f"the shape of {argument}")

    return check


def _require_broadcast(name: str, option: str, value: Any, argument: str, target: Any) -> None:
    shape = tuple(target.shape)
    try:
        fits = numpy.broadcast_shapes(tuple(value.shape), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: {option} has shape {tuple(value.shape)}; expected a shape that broadcasts to {shape}, "
            f"the shape of {argument}."
        )


def _penalty(name: str, weight: Any, strength: Any) -> None:
    require_real(name, "weight", weight)
    require_scalar(name, "strength", strength)


def _penalty_backward(name: str, grad_out: Any, weight: Any, strength: Any) -> None:
    _penalty(name, weight, strength)
    require_scalar(name, "grad_out", grad_out)


penalty = (_penalty, check_options(strength=1))
penalty_backward = (_penalty_backward, check_options(strength=2))


def network_backward(name: str, grad_out: Any, params: Any, x: Any, *, activation: Any = "relu") -> None:
    network(name, params, x, activation=activation)
    shape = (x.shape[0], params[-1][0].shape[1])
    require_grad_out(name, grad_out, shape, "the shape of the result of mlp_forward")


def network(name: str, params: Any, x: Any, *, activation: Any = "relu") -> None:
    require_rows(name, "x", x, "(N, D)")
    require_option(name, "activation", activation, tuple(ACTIVATIONS))
    if not isinstance(params, list | tuple) or len(params) == 0:
        raise TypeError(f"{name}: params is {describe(params)}; expected a list of layers (weight, bias).")
    columns, why = x.shape[1], f"the columns of x {tuple(x.shape)}"
    for index, layer in enumerate(params):
        if not isinstance(layer, list | tuple) or len(layer) != 2:
            raise TypeError(
                f"{name}: params[{index}] is {describe(layer)}; expected a layer (weight, bias). "
                "A single layer is [(weight, bias)]."
            )
        weight_name = f"params[{index}][0]"
        _linear_parameters(name, weight_name, layer[0], f"params[{index}][1]", layer[1], columns, why)
        columns, why = layer[0].shape[1], f"the columns of {weight_name} {tuple(layer[0].shape)}"


def _classifier_loss(name: str, params: Any, x: Any, labels: Any, *, l2: Any = 0.0) -> None:
    _network_loss(name, params, x, labels, l2=l2)
    if len(params) != 1:
        raise ValueError(f"{name}: params has {len(params)} layers; expected one layer, [(weight, bias)].")


def _network_loss(
    name: str,
    params: Any,
    x: Any,
    labels: Any,
    *,
    activation: Any = "relu",
    loss: Any = "softmax_cross_entropy",
    l2: Any = 0.0,
) -> None:
    network(name, params, x, activation=activation)
    shape = (x.shape[0], params[-1][0].shape[1])
    require_option(name, "loss", loss, tuple(LOSSES))
    require_scalar(name, "l2", l2)
    if shape[1] == 0:
        raise ValueError(
            f"{name}: the scores of the network have shape {shape}; expected at least one class."
        )
    if loss in LABEL_LOSSES:
        soft = loss == "softmax_cross_entropy"
        require_labels(name, labels, "the network's scores", shape, ignore_index=None, soft=soft)
        return
    require_real(name, "labels", labels)
    require_shape(name, "labels", labels, shape, f"the shape of the network's scores, for {loss!r}")


def _network_values(name: str, params: Any, x: Any, labels: Any, **options: Any) -> bool:
    decided = check_options_by_name(name, **options)
    if options.get("loss", "softmax_cross_entropy") in LABEL_LOSSES and labels.ndim == 1:
        shape = (x.shape[0], params[-1][0].shape[1])
        require_labels_in_range(name, labels, "the network's scores", shape, None)
        return False
    return decided


classifier_loss = (_classifier_loss, _network_values)
network_loss = (_network_loss, _network_values)
