"""Hard arrays, for every kernel of the table of cases: layouts, dtypes, libraries, shapes, no arrays."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from array_trees import copied, map_arrays, of_dtype, read_only
from cases import CASES, COMPILED_CASES, Case
from onepass.backends.common.trees import leaves, map_leaves
from selection import MOSTLY_NUMPY, exhaustively, needing

import onepass as op
from onepass import kernels

Tree = Any


def run(case: Case, arguments: tuple[Any, dict[str, Any]] | None = None) -> Tree:
    """The kernel's result for the case's arguments, or for others in their place."""
    args, kwargs = arguments or (case.args, case.kwargs)
    return getattr(op, case.kernel)(*args, **kwargs)


def change_arrays(case: Case, change: Callable[[np.ndarray], Any]) -> tuple[Any, dict[str, Any]]:
    return map_arrays(change, case[1:])


def arrays_of(case: Case) -> list[np.ndarray]:
    return [leaf for leaf in leaves(case[1:]) if isinstance(leaf, np.ndarray)]


def change_one(case: Case, change: Callable[[np.ndarray], Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The arguments with one array changed, for each array that `change` makes something else of."""
    for index, array in enumerate(arrays_of(case)):
        changed = change(array)
        if changed is not array:
            counter = iter(range(index + 1))
            yield change_arrays(
                case, lambda leaf, c=counter, new=changed, i=index: new if next(c, -1) == i else leaf
            )


def assert_same(got: Tree, expected: Tree, *, bits: bool = False) -> None:
    for g, e in zip(leaves(got), leaves(expected), strict=True):
        assert (g is None) == (e is None)
        if e is None:
            continue
        if bits:
            np.testing.assert_array_equal(g, e, strict=isinstance(e, np.ndarray))
        else:
            np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-14)


def of_kernel(name: str) -> list[Case]:
    return [case for case in CASES if case.kernel == name]


ALL_KERNELS = pytest.mark.parametrize("name", kernels.__all__)
# Compiled, these stand for all; --exhaustive compiles every kernel.
COMPILED = ("softmax_cross_entropy_with_grad", "linear_backward", "adam_step", "mlp_loss_and_grads")
ON_BACKENDS = pytest.mark.parametrize(
    ("name", "backend"),
    [
        exhaustively(name, backend, when=backend == "numba" and name not in COMPILED, id=f"{backend}-{name}")
        for backend in ("numpy", "numba")
        for name in kernels.__all__
    ],
    indirect=["backend"],
)


def cases_on(backend: str, name: str, config: pytest.Config) -> list[Case]:
    """The kernel's cases that are run on a backend: compiled, few of them without --exhaustive."""
    if backend == "numpy" or config.getoption("exhaustive"):
        return of_kernel(name)
    return [case for case in COMPILED_CASES if case.kernel == name][-1:]


SEVERAL_ARRAYS = pytest.mark.parametrize(
    "name", [n for n in kernels.__all__ if len(arrays_of(of_kernel(n)[-1])) > 1 and not n.endswith("_init")]
)


@ALL_KERNELS
def test_every_kernel_is_in_the_table(name: str) -> None:
    assert of_kernel(name), f"no case of {name} in the table of cases"
    assert any(arrays_of(case) for case in of_kernel(name))


def sliced(array: np.ndarray) -> np.ndarray:
    wide = np.full([2 * size + 1 for size in array.shape], 7, array.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def reversed_memory(array: np.ndarray) -> np.ndarray:
    return np.flip(np.flip(array).copy())


def misaligned(array: np.ndarray) -> np.ndarray:
    memory = bytearray(b"\1" + array.tobytes())
    return np.frombuffer(memory, array.dtype, offset=1).reshape(array.shape)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "fortran": np.asfortranarray,
    "permuted": lambda array: np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0),
    "sliced": sliced,
    "reversed": reversed_memory,
    "zero stride": lambda array: np.broadcast_to(array[:1], array.shape),
    "zero strides": lambda array: np.broadcast_to(array.reshape(-1)[:1], array.shape),
    "read-only": read_only,
    "misaligned": misaligned,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "subclass": lambda array: array.copy().view(np.memmap),
}


@ON_BACKENDS
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_right_result_and_is_left_alone(
    name: str, backend: str, layout: str, pytestconfig: pytest.Config
) -> None:
    for case in cases_on(backend, name, pytestconfig):
        arguments = change_arrays(case, LAYOUTS[layout])
        arrays = [leaf for leaf in leaves(arguments) if isinstance(leaf, np.ndarray)]
        before = [array.tobytes() for array in arrays]
        plain = map_arrays(
            lambda array: array.astype(array.dtype.newbyteorder("="), order="C").view(np.ndarray), arguments
        )
        got = run(case, arguments)
        assert_same(got, run(case, plain))
        assert [array.tobytes() for array in arrays] == before
        for result in leaves(got):
            assert not any(np.may_share_memory(result, array) for array in arrays if result is not None)


@ON_BACKENDS
def test_an_array_given_twice_counts_as_two(name: str, backend: str, pytestconfig: pytest.Config) -> None:
    for case in cases_on(backend, name, pytestconfig):
        first: dict[Any, np.ndarray] = {}
        twice = change_arrays(
            case, lambda array, seen=first: seen.setdefault((array.shape, array.dtype), array.copy())
        )
        copies = copied(twice)
        assert_same(run(case, twice), run(case, copies), bits=True)
        assert_same(twice, copies, bits=True)


def test_overlapping_views_count_as_two_arrays() -> None:
    base = np.arange(12.0)
    np.testing.assert_array_equal(op.sgd_step(base[:-1], base[1:], 0.5), base[:-1] - 0.5 * base[1:])
    params, state = op.momentum_step(base[1:], base[:-1], {"momentum_buffer": base[1:]}, 0.5)
    np.testing.assert_array_equal(state["momentum_buffer"], 0.9 * base[1:] + base[:-1])
    np.testing.assert_array_equal(params, base[1:] - 0.5 * (0.9 * base[1:] + base[:-1]))
    np.testing.assert_array_equal(base, np.arange(12.0))


@ON_BACKENDS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scalar", [float, np.float32, np.float64])
def test_results_follow_the_arrays_and_not_the_scalars(
    name: str, backend: str, dtype: str, scalar: type, pytestconfig: pytest.Config
) -> None:
    for case in cases_on(backend, name, pytestconfig):
        args = map_leaves(lambda leaf: numpy_scalar(leaf, scalar), of_dtype(case[1:], dtype))
        got = run(case, args)
        expected = run(case, map_leaves(python_scalar, args))
        # The step of Adam is an exponent, and NumPy's power is not Python's to the last bit.
        assert_same(got, expected, bits=not name.startswith("adam"))
        assert [np.asarray(leaf).dtype for leaf in leaves(got)] == [
            np.asarray(leaf).dtype for leaf in leaves(expected)
        ]
        assert {
            leaf.dtype for leaf in leaves(got) if np.issubdtype(getattr(leaf, "dtype", int), np.floating)
        } == {np.dtype(dtype)}


def numpy_scalar(leaf: Any, kind: type) -> Any:
    if type(leaf) is float:
        return kind(leaf)
    return np.int64(leaf) if type(leaf) is int and kind is not float else leaf


def python_scalar(leaf: Any) -> Any:
    return leaf.item() if isinstance(leaf, np.generic) else leaf


def test_a_long_scalar_promotes_nothing() -> None:
    half = np.ones(3, np.float32)
    assert op.sgd_step(half, half, np.longdouble(0.5)).dtype == np.float32
    assert op.l2_penalty(half, np.longdouble(0.5)).dtype == np.float32


@MOSTLY_NUMPY
def test_float32_with_float64_is_float64(backend: str) -> None:
    f, d, labels = np.ones((3, 4), np.float32), np.ones((3, 4)), np.array([0, 1, 3])
    column = np.ones(4)
    results = {
        "soft labels": op.softmax_cross_entropy_with_grad(f, d / 4),
        "class weights": op.nll_loss_with_grad(f, labels, class_weight=column),
        "hinge": op.multiclass_hinge_with_grad(f, labels, class_weight=column),
        "targets": op.mean_squared_error_with_grad(f, d),
        "weights": op.binary_cross_entropy_with_logits_with_grad(f, f, weight=column),
        "linear": op.linear(f, d.T),
        "bias": op.linear(f, f.T, np.ones(3)),
        "relu": op.relu_backward(f, d),
        "softmax": op.softmax_backward(d, f),
        "grads": op.sgd_step(f, d, 0.1),
        "state": op.adam_step(f, f, {"step": 0, "exp_avg": d, "exp_avg_sq": d})[0],
        "network": op.mlp_forward([(d.T, None)], f),
    }
    for name, result in results.items():
        assert {leaf.dtype for leaf in leaves(result) if hasattr(leaf, "dtype")} == {np.dtype("float64")}, (
            name
        )


@ALL_KERNELS
@pytest.mark.parametrize("dtype", ["int64", "bool", "complex128", "object"])
def test_data_that_are_not_real_are_an_error(name: str, dtype: str) -> None:
    for case in of_kernel(name):
        for arguments in change_one(case, lambda a: a.astype(dtype) if a.dtype.kind == "f" else a):
            with pytest.raises(
                TypeError, match=rf"^{name}: \S+ is a numpy {dtype} array of shape .*; expected a"
            ):
                run(case, arguments)


class Frame:
    """Has a shape, a dtype and a length, like a data frame, but is no array."""

    def __init__(self, array: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values

    def __len__(self) -> int:
        return len(self.values)


NO_ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": np.ndarray.tolist,
    "data frame": Frame,
    "masked": np.ma.array,
    "matrix": lambda array: np.matrix(array) if array.ndim == 2 else array,
    "text": lambda array: "weights.npy",
    "number": lambda array: 0.5,
    "memory": lambda array: memoryview(array),
}


@ALL_KERNELS
@pytest.mark.parametrize("kind", NO_ARRAYS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_an_object_that_is_no_array_is_an_error(name: str, kind: str) -> None:
    for case in of_kernel(name):
        for arguments in change_one(case, NO_ARRAYS[kind]):
            with pytest.raises((TypeError, ValueError), match=rf"^{name}: .*; expected "):
                run(case, arguments)


@pytest.mark.parametrize("name", [name for name in kernels.__all__ if not name.endswith("_init")])
def test_none_in_the_place_of_the_first_argument_is_an_error(name: str) -> None:
    case = of_kernel(name)[0]
    found = iter([None])
    arguments = map_leaves(lambda leaf: next(found, leaf), case[1:])
    with pytest.raises((TypeError, ValueError), match=rf"^{name}: .*; expected "):
        run(case, arguments)


@SEVERAL_ARRAYS
@pytest.mark.parametrize("other", ["array_api_strict", needing("torch")])
def test_arrays_of_two_libraries_are_an_error_that_names_both(name: str, other: str) -> None:
    xp = importlib.import_module(other)
    case = of_kernel(name)[-1]
    for arguments in change_one(case, lambda array: xp.asarray(array)):
        with pytest.raises(
            TypeError, match=rf"^{name}: (?=.*\bnumpy\b)(?=.*\b{other}\b).* expected arrays of one library"
        ):
            run(case, arguments)


@SEVERAL_ARRAYS
def test_arrays_on_two_devices_are_an_error_that_names_both(name: str) -> None:
    xp = importlib.import_module("array_api_strict")
    case = of_kernel(name)[-1]
    there = xp.Device("device1")
    moved = change_arrays(case, xp.asarray)
    for index in range(len(arrays_of(case))):
        counter = iter(range(10_000))
        arguments = map_leaves(
            lambda leaf, c=counter, i=index: (
                leaf.to_device(there) if isinstance(leaf, xp.asarray(0).__class__) and next(c) == i else leaf
            ),
            moved,
        )
        with pytest.raises(ValueError, match=rf"^{name}: (?=.*CPU_DEVICE)(?=.*device1).*one device"):
            run(case, arguments)


@SEVERAL_ARRAYS
def test_shapes_that_do_not_fit_are_an_error_with_both_shapes(name: str) -> None:
    for case in of_kernel(name):
        for arguments in change_one(
            case, lambda array: np.ones([size + 1 for size in array.shape], array.dtype)
        ):
            with pytest.raises(ValueError, match=rf"^{name}: .*; expected ") as error:
                run(case, arguments)
            assert len(set(re.findall(r"\([\d, ]*\)", str(error.value)))) >= 2, error.value


A, B = np.ones((1, 3)), np.ones((1, 3))


@pytest.mark.parametrize(
    ("params", "grads"),
    [
        ([A, [B]], [[A], B]),
        ([A, B], {"a": A, "b": B}),
        ({"a": A, "b": B}, [A, B]),
        ({"a": A}, {"b": A}),
        ({"a": A}, {"a": A, "b": B}),
        ([A, B], [A]),
        ([A, []], [A]),
        ([A, None], [A, B]),
        ([A, B], [A, None]),
        (A, [A]),
        ([A], A),
    ],
    ids=lambda tree: re.sub(r"array\(.*?\]\]\)", "x", repr(tree)),
)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_trees_of_two_structures_are_an_error(params: Tree, grads: Tree, weight_decay: float) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^sgd_step: .*; expected "):
        op.sgd_step(params, grads, 0.1, weight_decay)
    with pytest.raises((TypeError, ValueError), match=r"^momentum_step: .*; expected "):
        op.momentum_step(params, params, {"momentum_buffer": grads}, 0.1, weight_decay=weight_decay)


X, LABELS = np.ones((2, 3)), np.array([0, 1])


@pytest.mark.parametrize(
    ("call", "good", "bad", "message"),
    [
        (lambda v: op.softmax(X, axis=v), 1, 2, "^softmax: axis is 2"),
        (lambda v: op.log_softmax(X, axis=v), -2, -3, "^log_softmax: axis is -3"),
        (lambda v: op.softmax(np.ones((2, 3, 0, 4)), axis=v), 3, 2, "^softmax: .*at least one class"),
        (lambda v: op.sgd_step(X, X, v), 0.1, -0.1, "^sgd_step: lr is -0.1"),
        (lambda v: op.sgd_step(X, X, v), np.float64(0.1), np.float64(-0.1), "^sgd_step: lr is -0.1"),
        (lambda v: op.sgd_step(X, X, 0.1, v), np.float32(0), np.float32(-1), "^sgd_step: weight_decay is -1"),
        (
            lambda v: op.adam_step(X, X, op.adam_init(X), betas=v),
            (0.9, 0.9),
            (-0.9, 0.9),
            "^adam_step: betas",
        ),
        (lambda v: op.nll_loss(X, LABELS, label_smoothing=v), 0.5, 1.5, "^nll_loss: label_smoothing is 1.5"),
        (
            lambda v: op.nll_loss(X, LABELS, label_smoothing=v),
            np.float64(0),
            np.float64(2),
            "^nll_loss: label_sm",
        ),
        (lambda v: op.multiclass_hinge(X, LABELS, v), 1.0, "1", "^multiclass_hinge: margin is '1'"),
        (lambda v: op.nll_loss(X, LABELS, reduction=v), "sum", "SUM", "^nll_loss: reduction is 'SUM'"),
        (lambda v: op.nll_loss(X, LABELS, reduction=v), "sum", None, "^nll_loss: reduction is None"),
    ],
)
def test_a_wrong_option_is_found_after_a_right_one_too(
    call: Callable[[Any], Any], good: Any, bad: Any, message: str
) -> None:
    call(good)
    with pytest.raises((TypeError, ValueError), match=message):
        call(bad)
