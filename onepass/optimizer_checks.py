"""What the optimisers require: parameters, and gradients and states that have their structure and shapes."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from .backends.libraries import is_real_array
from .backends.trees import leaves, named_leaves
from .checks import Check
from .requirements import describe, require_real, require_scalar, require_shape


def init(name: str, params: Any, **scalars: Any) -> None:
    """Real arrays, and numbers."""
    if not all(_fits(leaf, leaf) for leaf in leaves(params)):
        for path, leaf in named_leaves(params, "params"):
            if leaf is not None:
                require_real(name, path, leaf)
    for argument, value in scalars.items():
        require_scalar(name, argument, value)


def stateless_step(name: str, params: Any, grads: Any, lr: Any, weight_decay: Any = 0.0) -> None:
    """Parameters and gradients of one structure, and numbers that are not negative."""
    init(name, params)
    _require_like_params(name, "grads", grads, params)
    _require_settings(name, {"lr": lr, "weight_decay": weight_decay})


def stateful_step(init_name: str, *trees: str, counts: bool = False) -> Check:
    """The check of an optimiser whose state comes from `init_name` and holds `trees` like the parameters."""
    keys = {"step", *trees} if counts else {*trees}

    def check(
        name: str, params: Any, grads: Any, state: Any, *settings: Any, nesterov: bool = False, **named: Any
    ) -> None:
        init(name, params)
        _require_like_params(name, "grads", grads, params)
        if not isinstance(state, dict) or state.keys() != keys:
            got = f"a dict of {sorted(state)}" if isinstance(state, dict) else describe(state)
            raise ValueError(
                f"{name}: state is {got}; expected a dict of {sorted(keys)}. Begin with {init_name}(params), "
                f"then hand on the state that {name} returns."
            )
        for tree in trees:
            _require_like_params(name, f"state[{tree!r}]", state[tree], params)
        # lr, and the momentum of `momentum_step`, may come by position.
        _require_settings(name, {**dict(zip(("lr", "momentum"), settings, strict=False)), **named})

    return check


def _require_like_params(name: str, argument: str, tree: Any, params: Any) -> None:
    """A tree of real arrays with the structure and shapes of `params`."""
    if all(_fits(leaf, param) for leaf, param in zip_longest(leaves(tree), leaves(params))):
        return
    # Something differs, or a dict is in another order: find out by name.
    expected = dict(named_leaves(params, argument))
    got = dict(named_leaves(tree, argument))
    for path in [*expected, *got]:
        if path not in got or path not in expected:
            missing = "is missing" if path not in got else "is not among the parameters"
            raise ValueError(f"{name}: {path} {missing}; expected the structure of params.")
        if expected[path] is None and got[path] is None:
            continue
        require_real(name, path, got[path])
        require_shape(name, path, got[path], expected[path].shape, "the shape of its parameter")


def _fits(leaf: Any, param: Any) -> bool:
    if leaf is None or param is None:
        return leaf is param
    return is_real_array(leaf) and tuple(leaf.shape) == tuple(param.shape)


def _require_settings(name: str, settings: dict[str, Any]) -> None:
    """Numbers, and pairs of numbers, that are not negative."""
    for argument, setting in settings.items():
        values = setting if isinstance(setting, tuple | list) else (setting,)
        for value in values:
            require_scalar(name, argument, value)
            if isinstance(value, int | float) and value < 0:
                raise ValueError(f"{name}: {argument} is {setting}; expected no negative number.")
