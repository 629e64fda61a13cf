"""The checks of optimisers: gradients and states have the structure and shapes of the parameters."""

from __future__ import annotations

from typing import Any

from .backends import named_leaves
from .checks import Check
from .option_ranges import PAIRS, ValueCheck, check_options
from .requirements import describe, require_real, require_scalar, require_shape


def _init(name: str, params: Any, lr: Any = 0.0) -> None:
    """`params` has real arrays, at least one; the options are numbers."""
    arrays = [(path, leaf) for path, leaf in named_leaves(params, "params") if leaf is not None]
    if not arrays:
        raise TypeError(f"{name}: params is {_described(params)}; expected at least one array.")
    for path, leaf in arrays:
        require_real(name, path, leaf)
    _require_settings(name, {"lr": lr})


def _stateless_step(name: str, params: Any, grads: Any, lr: Any, weight_decay: Any = 0.0) -> None:
    """`grads` has the structure of `params`; the options are numbers."""
    _init(name, params)
    _require_like_params(name, "grads", grads, params)
    _require_settings(name, {"lr": lr, "weight_decay": weight_decay})


def stateful_step(init_name: str, *trees: str, counts: bool = False) -> tuple[Check, ValueCheck]:
    """(check, check_values) for an optimiser whose state is made by `init_name`.

    trees:  the keys of the state whose values have the structure of the parameters
    counts: whether the state has the number of steps
    """
    keys = {"step", *trees} if counts else {*trees}

    def check(
        name: str, params: Any, grads: Any, state: Any, *settings: Any, nesterov: bool = False, **named: Any
    ) -> None:
        _init(name, params)
        _require_like_params(name, "grads", grads, params)
        if not isinstance(state, dict) or state.keys() != keys:
            got = f"a dict of {sorted(state)}" if isinstance(state, dict) else describe(state)
            raise ValueError(
                f"{name}: state is {got}; expected a dict of {sorted(keys)}. Start with {init_name}(params), "
                f"then pass the state that {name} returned."
            )
        if counts:
            require_scalar(name, "state['step']", state["step"])
        for tree in trees:
            _require_like_params(name, f"state[{tree!r}]", state[tree], params)
        # lr, and the momentum of `momentum_step`, may be positional.
        _require_settings(name, {**dict(zip(("lr", "momentum"), settings, strict=False)), **named})

    return check, _options_beside_state


def _require_like_params(name: str, argument: str, tree: Any, params: Any) -> None:
    """`tree` has real arrays in the structure and shapes of `params`; a list equals a tuple."""
    if params is None or isinstance(params, dict | list | tuple):
        if _outline(tree) != _outline(params):
            raise ValueError(
                f"{name}: {argument} is {_described(tree)}; expected the structure of params, "
                f"{_described(params)}."
            )
        parts = params or ()
        for key in parts if isinstance(parts, dict) else range(len(parts)):
            _require_like_params(name, f"{argument}[{key!r}]", tree[key], parts[key])
        return
    require_real(name, argument, tree)
    require_shape(name, argument, tree, params.shape, "the shape of its parameter")


def _outline(tree: Any) -> Any:
    """The structure of a tree at its root, to be compared."""
    if isinstance(tree, dict):
        return tree.keys()
    return len(tree) if isinstance(tree, list | tuple) else tree is None


def _described(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"a dict of {sorted(map(str, tree))}"
    return f"a {type(tree).__name__} of {len(tree)}" if isinstance(tree, list | tuple) else describe(tree)


def _require_settings(name: str, settings: dict[str, Any]) -> None:
    """Each setting is a number, or a pair of numbers if the option is a pair."""
    for argument, setting in settings.items():
        values = [setting]
        if argument in PAIRS:
            if not isinstance(setting, tuple | list) or len(setting) != 2:
                raise TypeError(f"{name}: {argument} is {_described(setting)}; expected two numbers.")
            values = list(setting)
        for value in values:
            require_scalar(name, argument, value)


_options_beside_state = check_options(state=2, lr=3, momentum=4)
init = (_init, check_options(lr=1))
stateless_step = (_stateless_step, check_options(lr=2, weight_decay=3))
