"""Back-propagation, gate by gate
==============================

Back-propagation through f = 2 (x y + max(z, w)), gate by gate, and a plot of the graph with both passes.

Usage::

    python examples/backpropagation.py [--at X Y Z W] [--output FILE]

Source: E6930, Lecture 1, "Backpropagation": -20 at (3, -4, 2, -1), and the gradient (-8, 6, 2, 0).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace
from common import command_line, move, print_table, save_picture
from matplotlib.figure import Figure

import onepass as op

INPUTS = ("x", "y", "z", "w")
# name: position in the plot, and the gate that computes the node
NODES = {
    "x": ((0.0, 3.0), ""),
    "y": ((0.0, 2.0), ""),
    "z": ((0.0, 1.0), ""),
    "w": ((0.0, 0.0), ""),
    "p": ((1.0, 2.5), "*"),
    "q": ((1.0, 0.5), "max"),
    "v": ((2.0, 1.5), "+"),
    "f": ((3.0, 1.5), "2 *"),
}
EDGES = [("x", "p"), ("y", "p"), ("z", "q"), ("w", "q"), ("p", "v"), ("q", "v"), ("v", "f")]


class Result(NamedTuple):
    """Values and gradients of all nodes."""

    values: dict[str, float]
    grads: dict[str, float]  # of f with respect to each node
    check: op.GradientCheck


@op.kernel
def forward(x: Any, y: Any, z: Any, w: Any) -> dict[str, Any]:
    """The value of every node, from the inputs to f."""
    p = x * y
    q = array_namespace(z).maximum(z, w)
    v = p + q
    return {"x": x, "y": y, "z": z, "w": w, "p": p, "q": q, "v": v, "f": 2 * v}


@op.kernel
def backward(grad_out: Any, nodes: dict[str, Any]) -> dict[str, Any]:
    """The gradient of f with respect to every node, from f to the inputs: the chain rule at each gate."""
    xp = array_namespace(nodes["f"])
    df = grad_out
    dv = 2 * df
    # An addition passes its gradient to both inputs.
    dp = dq = dv
    # A product multiplies its gradient by the other input.
    dx, dy = nodes["y"] * dp, nodes["x"] * dp
    # A maximum passes its gradient to the larger input.
    z_is_larger = xp.astype(nodes["z"] > nodes["w"], nodes["z"].dtype)
    return {"x": dx, "y": dy, "z": z_is_larger * dq, "w": (1 - z_is_larger) * dq,
            "p": dp, "q": dq, "v": dv, "f": df}  # fmt: skip


def draw(result: Result) -> Figure:
    """Draw the graph, with values above each edge and gradients below."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    reach = {name: position for name, (position, _) in NODES.items()} | {"end": (3.8, 1.5)}
    for start, end in [*EDGES, ("f", "end")]:
        arrow = {"arrowstyle": "-|>", "shrinkA": 16 if start in INPUTS else 24, "shrinkB": 24}
        axes.annotate("", reach[end], reach[start], arrowprops=arrow)
        x, y = 0.55 * np.asarray(reach[start]) + 0.45 * np.asarray(reach[end])
        axes.text(x, y + 0.1, f"{result.values[start]:g}", color="green", ha="center", va="bottom")
        axes.text(x, y - 0.1, f"{result.grads[start]:g}", color="firebrick", ha="center", va="top")
    for name, (position, gate) in NODES.items():
        label = f"${name}$" if not gate else f"{gate}\n${name}$"
        box = {"boxstyle": "circle,pad=0.35", "facecolor": "white" if gate else "#e8eef7"}
        axes.text(*position, label, ha="center", va="center", bbox=box, fontsize=12)
    axes.set_xlim(-0.3, 4.0)
    axes.set_ylim(-0.5, 3.5)
    axes.set_axis_off()
    axes.set_title(r"$f = 2\,(x y + \max(z, w))$: values in green, gradients of $f$ in red")
    return figure


def main(arguments: list[str] | None = None) -> Result:
    """Compute both passes at one point, and check them against finite differences."""
    parser = command_line(__doc__, "backpropagation.png")
    parser.add_argument("--at", type=float, nargs=4, metavar=tuple("XYZW"), default=[3.0, -4.0, 2.0, -1.0])
    options = parser.parse_args(arguments)
    # A batch of one point. The kernels accept any number of points.
    point = move([np.asarray([number]) for number in options.at], options)
    with op.use_backend(options.backend):
        nodes = forward(*point)
        grads = backward(array_namespace(nodes["f"]).ones_like(nodes["f"]), nodes)
        check = op.check_gradients(
            lambda x, y, z, w: forward(x, y, z, w)["f"],
            lambda grad_out, x, y, z, w: [backward(grad_out, forward(x, y, z, w))[name] for name in INPUTS],
            point,
        )
    values, slopes = ({name: float(array[0]) for name, array in tree.items()} for tree in (nodes, grads))
    result = Result(values, slopes, check)
    rows = [
        [name, gate or "input", result.values[name], result.grads[name]] for name, (_, gate) in NODES.items()
    ]
    print_table(["node", "gate", "value", "df / dnode"], rows)
    print(f"\nchecked against central differences:\n{check}")
    if not options.no_plot:
        save_picture(draw(result), options)
    return result


if __name__ == "__main__":
    main()
