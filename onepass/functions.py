"""The public kernels of the library: each formula of `kernels` with the checks of its arguments."""

from __future__ import annotations

import functools

from . import checks, kernels, optimizer_checks
from .dispatch import dispatched
from .halves import run_leaf_by_leaf
from .optimizer_checks import stateful_step, stateless_step
from .own_backward import OwnBackward

__all__ = kernels.__all__

# Updates each parameter on its own, so that it keeps its dtype.
_optimiser = functools.partial(dispatched, run_halves=run_leaf_by_leaf)

relu = dispatched(kernels.relu, checks.activation, backward=OwnBackward(kernels.relu_backward, ("x",)))
relu_backward = dispatched(kernels.relu_backward, checks.activation_backward)
sigmoid = dispatched(
    kernels.sigmoid, checks.activation, backward=OwnBackward(kernels.sigmoid_backward, ("x",))
)
sigmoid_backward = dispatched(kernels.sigmoid_backward, checks.activation_backward)
tanh = dispatched(kernels.tanh, checks.activation, backward=OwnBackward(kernels.tanh_backward, ("x",)))
tanh_backward = dispatched(kernels.tanh_backward, checks.activation_backward)
softmax = dispatched(
    kernels.softmax, checks.activation_over_axis, backward=OwnBackward(kernels.softmax_backward, ("x",))
)
softmax_backward = dispatched(kernels.softmax_backward, checks.activation_over_axis_backward)
log_softmax = dispatched(
    kernels.log_softmax,
    checks.activation_over_axis,
    backward=OwnBackward(kernels.log_softmax_backward, ("x",)),
)
log_softmax_backward = dispatched(kernels.log_softmax_backward, checks.activation_over_axis_backward)
binary_cross_entropy_with_logits = dispatched(
    kernels.binary_cross_entropy_with_logits,
    checks.elementwise_loss("logits"),
    backward=OwnBackward(kernels.binary_cross_entropy_with_logits_backward, ("logits",)),
)
binary_cross_entropy_with_logits_with_grad = dispatched(
    kernels.binary_cross_entropy_with_logits_with_grad, checks.elementwise_loss("logits")
)
binary_cross_entropy_with_logits_backward = dispatched(
    kernels.binary_cross_entropy_with_logits_backward, checks.elementwise_loss_backward("logits")
)
binary_cross_entropy = dispatched(
    kernels.binary_cross_entropy,
    checks.elementwise_loss("probs"),
    backward=OwnBackward(kernels.binary_cross_entropy_backward, ("probs",)),
)
binary_cross_entropy_with_grad = dispatched(
    kernels.binary_cross_entropy_with_grad, checks.elementwise_loss("probs")
)
binary_cross_entropy_backward = dispatched(
    kernels.binary_cross_entropy_backward, checks.elementwise_loss_backward("probs")
)
mean_squared_error = dispatched(
    kernels.mean_squared_error,
    checks.elementwise_loss("predictions"),
    backward=OwnBackward(kernels.mean_squared_error_backward, ("predictions",)),
)
mean_squared_error_with_grad = dispatched(
    kernels.mean_squared_error_with_grad, checks.elementwise_loss("predictions")
)
mean_squared_error_backward = dispatched(
    kernels.mean_squared_error_backward, checks.elementwise_loss_backward("predictions")
)
half_squared_error = dispatched(
    kernels.half_squared_error,
    checks.elementwise_loss("predictions"),
    backward=OwnBackward(kernels.half_squared_error_backward, ("predictions",)),
)
half_squared_error_with_grad = dispatched(
    kernels.half_squared_error_with_grad, checks.elementwise_loss("predictions")
)
half_squared_error_backward = dispatched(
    kernels.half_squared_error_backward, checks.elementwise_loss_backward("predictions")
)
nll_loss = dispatched(
    kernels.nll_loss,
    *checks.label_loss("log_probs"),
    backward=OwnBackward(kernels.nll_loss_backward, ("log_probs",)),
)
nll_loss_with_grad = dispatched(kernels.nll_loss_with_grad, *checks.label_loss("log_probs"))
nll_loss_backward = dispatched(kernels.nll_loss_backward, *checks.label_loss_backward("log_probs"))
softmax_cross_entropy = dispatched(
    kernels.softmax_cross_entropy,
    *checks.label_loss("logits"),
    backward=OwnBackward(kernels.softmax_cross_entropy_backward, ("logits",)),
)
softmax_cross_entropy_with_grad = dispatched(
    kernels.softmax_cross_entropy_with_grad, *checks.label_loss("logits")
)
softmax_cross_entropy_backward = dispatched(
    kernels.softmax_cross_entropy_backward, *checks.label_loss_backward("logits")
)
multiclass_hinge = dispatched(
    kernels.multiclass_hinge,
    *checks.hinge,
    backward=OwnBackward(kernels.multiclass_hinge_backward, ("scores",)),
)
multiclass_hinge_with_grad = dispatched(kernels.multiclass_hinge_with_grad, *checks.hinge)
multiclass_hinge_backward = dispatched(kernels.multiclass_hinge_backward, *checks.hinge_backward)
linear = dispatched(
    kernels.linear, checks.linear, backward=OwnBackward(kernels.linear_backward, ("x", "weight", "bias"))
)
linear_backward = dispatched(kernels.linear_backward, checks.linear_backward)
softmax_classifier_loss_and_grads = dispatched(
    kernels.softmax_classifier_loss_and_grads, *checks.classifier_loss
)
mlp_forward = dispatched(
    kernels.mlp_forward, checks.network, backward=OwnBackward(kernels.mlp_forward_backward, ("params", "x"))
)
mlp_forward_backward = dispatched(kernels.mlp_forward_backward, checks.network_backward)
mlp_loss_and_grads = dispatched(kernels.mlp_loss_and_grads, *checks.network_loss)
sgd_step = _optimiser(kernels.sgd_step, *stateless_step)
momentum_init = _optimiser(kernels.momentum_init, *optimizer_checks.init)
momentum_step = _optimiser(kernels.momentum_step, *stateful_step("momentum_init", "momentum_buffer"))
adam_init = _optimiser(kernels.adam_init, *optimizer_checks.init)
adam_step = _optimiser(kernels.adam_step, *stateful_step("adam_init", "exp_avg", "exp_avg_sq", counts=True))
adamw_step = _optimiser(kernels.adamw_step, *stateful_step("adam_init", "exp_avg", "exp_avg_sq", counts=True))
rmsprop_init = _optimiser(kernels.rmsprop_init, *optimizer_checks.init)
rmsprop_step = _optimiser(kernels.rmsprop_step, *stateful_step("rmsprop_init", "square_avg"))
adagrad_init = _optimiser(kernels.adagrad_init, *optimizer_checks.init)
adagrad_step = _optimiser(kernels.adagrad_step, *stateful_step("adagrad_init", "sum"))
adadelta_init = _optimiser(kernels.adadelta_init, *optimizer_checks.init)
adadelta_step = _optimiser(kernels.adadelta_step, *stateful_step("adadelta_init", "square_avg", "acc_delta"))
rprop_init = _optimiser(kernels.rprop_init, *optimizer_checks.init)
rprop_step = _optimiser(kernels.rprop_step, *stateful_step("rprop_init", "prev", "step_size"))
l2_penalty = dispatched(
    kernels.l2_penalty, *checks.penalty, backward=OwnBackward(kernels.l2_penalty_backward, ("weight",))
)
l2_penalty_backward = dispatched(kernels.l2_penalty_backward, *checks.penalty_backward)
l1_penalty = dispatched(
    kernels.l1_penalty, *checks.penalty, backward=OwnBackward(kernels.l1_penalty_backward, ("weight",))
)
l1_penalty_backward = dispatched(kernels.l1_penalty_backward, *checks.penalty_backward)
