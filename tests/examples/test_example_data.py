"""What the examples share: IDX files, mini-batches, and runs that are continued to the same bits."""

from __future__ import annotations

import gzip
import importlib
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_runs import require_extra
from onepass.backends.common.trees import leaves

import onepass as op

require_extra()

common, datasets, checkpoints, fashion, linear_regression = map(
    importlib.import_module, ("common", "datasets", "checkpoints", "fashion", "linear_regression")
)

random = np.random.default_rng(5)
IMAGES = random.integers(0, 256, (7, 28, 28), dtype=np.uint8)
LABELS = random.integers(0, 10, 7, dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_images(folder: Path, dot: str = "-", end: str = "", labels: np.ndarray = LABELS) -> None:
    """The four files of a data set; the images of the test part are those of training, darker."""
    packed: Callable[[bytes], bytes] = gzip.compress if end else bytes
    for part, images in (("train", IMAGES), ("t10k", IMAGES // 2)):
        (folder / f"{part}-images{dot}idx3-ubyte{end}").write_bytes(packed(idx(images)))
        (folder / f"{part}-labels{dot}idx1-ubyte{end}").write_bytes(packed(idx(labels)))


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("dot", ["-", "."])
def test_idx_files_give_rows_between_0_and_1(dot: str, end: str, tmp_path: Path) -> None:
    write_images(tmp_path, dot, end)
    data = datasets.load_images("Fashion-MNIST", str(tmp_path))
    np.testing.assert_array_equal(data.train.x, IMAGES.reshape(7, 784) / 255)
    np.testing.assert_array_equal(data.test.x, (IMAGES // 2).reshape(7, 784) / 255)
    np.testing.assert_array_equal(data.train.labels, LABELS)
    np.testing.assert_array_equal(data.test.labels, LABELS)
    assert data.train.x.dtype == np.float64
    assert (data.name, data.shape, data.train.size) == ("Fashion-MNIST", (28, 28), 7)
    assert (data.classes[0], data.classes[9]) == ("T-shirt/top", "ankle boot")
    assert datasets.load_images("MNIST", str(tmp_path)).classes == tuple("0123456789")


WHOLE = idx(IMAGES)
PACKED = gzip.compress(WHOLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:-1], r"truncated: 5503 bytes; expected 5504 for shape \(7, 28, 28\)"),
        (WHOLE + b"0", r"too long: 5505 bytes; expected 5504"),
        (WHOLE[:9], r"truncated: 9 bytes"),
        (b"", r"begins with nothing; expected an IDX file"),
        (b"\x89PNG....", r"begins with 89 50 4e 47; expected an IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), r"numbers of type 0x0d; expected 0x08"),
        (PACKED[:-100], "broken gzip"),
        (PACKED[:100] + bytes(50) + PACKED[150:], "broken gzip"),
    ],
    ids=["short", "long", "head", "empty", "PNG", "floats", "short gzip", "wrong gzip"],
)
def test_a_wrong_idx_file_says_what_is_wrong(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        datasets.read_idx(path)
    assert str(path) in str(raised.value)


def test_wrong_folders_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no train-images-idx3-ubyte; expected one of"):
        datasets.load_images("MNIST", str(tmp_path))
    write_images(tmp_path, labels=LABELS[:-1])
    with pytest.raises(ValueError, match=r"train has images \(7, 28, 28\) and labels \(6,\)"):
        datasets.load_images("MNIST", str(tmp_path))
    write_images(tmp_path, labels=LABELS + np.uint8(10))
    with pytest.raises(ValueError, match=r"has label 1\d; expected 0 to 9"):
        datasets.load_images("MNIST", str(tmp_path))


def test_openml_keeps_the_test_part_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        assert (name, options["as_frame"]) == ("mnist_784", False)
        return np.arange(120_006).reshape(60_003, 2), np.repeat(["3", "4"], [60_000, 3])

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    data = datasets.load_images("MNIST", "openml")
    assert (data.train.size, data.test.size) == (60_000, 3)
    np.testing.assert_array_equal(data.test.labels, [4, 4, 4])
    assert data.test.x[0, 0] == 120_000 / 255

    def no_network(name: str, **options: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(datasets, "fetch_openml", no_network)
    with pytest.raises(SystemExit, match=r"no route to host\. Without a network, give the folder"):
        datasets.load_images("MNIST", "openml")


def test_digits_are_split_by_the_seed() -> None:
    first, again, other = (datasets.load_images("MNIST", None, seed) for seed in (1, 1, 2))
    assert (first.name, first.train.size, first.test.size) == ("digits", 1437, 360)
    assert (first.train.x.min(), first.train.x.max()) == (0, 1)
    np.testing.assert_array_equal(first.test.x, again.test.x)
    assert not np.array_equal(first.test.x, other.test.x)


def test_batches_hold_every_row_once_in_an_order_of_seed_and_epoch() -> None:
    x = np.arange(10.0)[:, None]

    def rows(seed: int, epoch: int) -> list[list[float]]:
        return [
            part[:, 0].tolist()
            for part, twice in common.batches(x, 2 * x, size=4, seed=seed, epoch=epoch)
            if np.array_equal(twice, 2 * part)
        ]

    assert [len(part) for part in rows(0, 0)] == [4, 4, 2]
    assert sorted(row for part in rows(0, 0) for row in part) == list(range(10))
    assert rows(0, 1) == rows(0, 1)
    assert rows(0, 0) != rows(0, 1) != rows(1, 1)


def test_what_is_moved_can_be_donated() -> None:
    given = np.ones(3)
    moved = common.move({"a": [given, np.arange(3), None]}, Namespace(dtype="float64", backend="auto"))
    assert not np.shares_memory(moved["a"][0], given)
    narrow = common.move((given, np.arange(3)), Namespace(dtype="float32", backend="auto"))
    assert [array.dtype for array in narrow] == [np.float32, np.int64]


def test_the_figures_of_an_epoch_are_means_over_its_batches() -> None:
    run = common.Run(params=None)
    run.log(loss=[np.float32(1), 2.0, 6.0], right=0.25)
    run.log(loss=[4.0], right=np.float64(0.5))
    assert run.history == {"loss": [3.0, 4.0], "right": [0.25, 0.5]}


def test_first_weights_have_the_spread_of_nn_linear() -> None:
    (weight, bias), (second, zeros) = (
        common.random_layers(np.random.default_rng(0), [400, 300])[0],
        common.random_layers(np.random.default_rng(0), [400, 300], scale=0.01)[0],
    )
    assert 0.0499 < np.abs(weight).max() <= 0.05
    assert np.abs(bias).max() <= 0.05
    assert second.std() == pytest.approx(0.01, rel=0.01)
    np.testing.assert_array_equal(zeros, np.zeros(300))


TREE = {
    "params": [(np.asarray([[1.1, -0.0], [np.nan, 1e-310]]), None), (np.float32([np.inf]), np.zeros((0, 3)))],
    "state": {"step": 7, "rate": 0.1, "t": np.asarray(2.5)},
    "history": {"loss": [0.1, 1e300], "none": []},
}


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_file_gives_the_tree_back_to_the_bit(ending: str, tmp_path: Path) -> None:
    if ending == ".safetensors":
        pytest.importorskip("safetensors", reason="the extra `safetensors` is not installed")
    path = tmp_path / f"run{ending}"
    for _ in range(2):  # writing over a file is fine
        checkpoints.save(path, TREE)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    found = checkpoints.load(path)
    (weight, none), (narrow, empty) = found["params"]
    assert isinstance(found["params"][0], tuple)
    assert none is None
    assert weight.tobytes() == TREE["params"][0][0].tobytes()  # type: ignore[index]
    assert (narrow.dtype, narrow[0], empty.shape) == (np.float32, np.inf, (0, 3))
    assert (found["state"]["step"], found["state"]["rate"]) == (7, 0.1)
    assert (found["state"]["t"].shape, found["state"]["t"][()]) == ((), 2.5)
    assert found["history"] == TREE["history"]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.ones(2))
    with pytest.raises(ValueError, match="has no entry 'structure'"):
        checkpoints.load(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"ends in '.pt'; expected .npz or .safetensors"):
        checkpoints.save(tmp_path / "run.pt", TREE)


@pytest.mark.parametrize("example", [linear_regression, fashion])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_is_continued_to_the_same_bits(example: Any, dtype: str, tmp_path: Path) -> None:
    options = ["--no-plot", "--dtype", dtype, "--backend", "numpy", "--seed", "4"]
    path = str(tmp_path / "run.npz")
    whole = example.main([*options, "--epochs", "4"]).run
    half = example.main([*options, "--epochs", "2", "--save", path]).run
    rest = example.main([*options, "--epochs", "4", "--resume", path]).run
    assert (half.epoch, rest.epoch) == (2, 4)
    assert rest.history == whole.history
    for found, expected in zip(leaves(rest.params), leaves(whole.params), strict=True):
        assert found.dtype == expected.dtype == dtype
        assert found.tobytes() == expected.tobytes()
    with pytest.raises(SystemExit, match="has --seed 4; expected --seed 5"):
        example.main([*options[:-1], "5", "--resume", path])


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_the_optimiser_s_state_is_continued_too(ending: str, tmp_path: Path) -> None:
    if ending == ".safetensors":
        pytest.importorskip("safetensors", reason="the extra `safetensors` is not installed")
    x, labels = random.standard_normal((20, 3)), random.integers(0, 2, 20)

    def train(*arguments: str) -> Any:
        options = common.command_line("", "", epochs=6).parse_args(list(arguments))
        first = common.random_layers(np.random.default_rng(0), [3, 4, 2])
        run = common.start(options, first, op.adam_init(first))
        for epoch in common.epochs(run, options):
            for rows, targets in common.batches(x, labels, size=8, seed=options.seed, epoch=epoch):
                loss, grads = op.mlp_loss_and_grads(run.params, rows, targets)
                run.params, run.state = op.adam_step(run.params, grads, run.state, 0.1)
            run.log(loss=loss)
        return run

    path = str(tmp_path / f"run{ending}")
    with op.use_backend("numpy"):
        whole = train()
        train("--epochs", "3", "--save", path)
        rest = train("--resume", path)
    assert rest.state["step"] == 18
    assert rest.history == whole.history
    for found, expected in zip(
        leaves([rest.params, rest.state]), leaves([whole.params, whole.state]), strict=True
    ):
        assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


def test_a_run_of_another_model_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "run.npz")
    linear_regression.main(["--no-plot", "--epochs", "1", "--save", path, "--backend", "numpy"])
    with pytest.raises(SystemExit, match="those of this model"):
        fashion.main(["--no-plot", "--resume", path])
