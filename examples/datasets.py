"""Images for the examples: MNIST and Fashion-MNIST from IDX files or OpenML, or scikit-learn's digits."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
# An IDX file starts with two zero bytes, a byte for the type of its numbers, and the number of dimensions.
UNSIGNED_BYTES = 0x08


class Labelled(NamedTuple):
    """Images as rows, and their labels."""

    x: np.ndarray  # (N, D) float64 in [0, 1]
    labels: np.ndarray  # (N,) integer

    @property
    def size(self) -> int:
        return len(self.labels)


class ImageData(NamedTuple):
    """A data set of images."""

    name: str
    train: Labelled
    test: Labelled
    classes: tuple[str, ...]  # the name of each label
    shape: tuple[int, int]  # of an image


def load_images(which: Literal["MNIST", "Fashion-MNIST"], source: str | None, seed: int = 0) -> ImageData:
    """The images of --data: the IDX files in a folder, "openml", or None for the digits of scikit-learn.

    The digits are 1,797 images of 8 x 8 pixels. A fifth of them, selected by `seed`, is the test set.
    """
    if source is None:
        return _digits(seed)
    classes = DIGITS if which == "MNIST" else GARMENTS
    if source == "openml":
        return _openml(which, classes)
    return _from_idx(which, Path(source), classes)


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or gzip, in the shape given by its header.

    raises: ValueError if the format is wrong, the length does not match the header, or gzip is broken
    """
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: broken gzip ({error}); download it again.") from None
    if len(content) < 4 or content[:2] != b"\0\0" or not content[3]:
        raise ValueError(
            f"{path}: begins with {content[:4].hex(' ') or 'nothing'}; expected an IDX file, 00 00."
        )
    if content[2] != UNSIGNED_BYTES:
        raise ValueError(f"{path}: holds numbers of type 0x{content[2]:02x}; expected 0x08, unsigned bytes.")
    head = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:head], dtype=">u4").tolist()) if len(content) >= head else ()
    expected = head + math.prod(shape)
    if len(content) != expected:
        what = "truncated" if len(content) < expected else "too long"
        raise ValueError(f"{path}: {what}: {len(content)} bytes; expected {expected} for shape {shape}.")
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape)


def _from_idx(name: str, folder: Path, classes: tuple[str, ...]) -> ImageData:
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(_find(folder, f"{part}-images", "idx3"))
        labels = read_idx(_find(folder, f"{part}-labels", "idx1"))
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            got = f"images {images.shape} and labels {labels.shape}"
            raise ValueError(f"{folder}: {part} has {got}; expected (N, H, W) and (N,).")
        if labels.size and labels.max() >= len(classes):
            raise ValueError(f"{folder}: {part} has label {labels.max()}; expected 0 to {len(classes) - 1}.")
        parts.append(_labelled(images.reshape(len(images), -1), labels, 255))
    train, test = parts
    return ImageData(name, train, test, classes, images.shape[1:])


def _find(folder: Path, name: str, kind: str) -> Path:
    """The path of the file. It is distributed under several names."""
    names = [f"{name}{dot}{kind}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    for candidate in names:
        if (folder / candidate).is_file():
            return folder / candidate
    raise FileNotFoundError(f"{folder}: has no {names[0]}; expected one of {', '.join(names)}.")


def _openml(name: str, classes: tuple[str, ...]) -> ImageData:
    known_as = {"MNIST": "mnist_784", "Fashion-MNIST": "Fashion-MNIST"}[name]
    try:
        # This parser does not need pandas.
        x, labels = fetch_openml(known_as, version=1, return_X_y=True, as_frame=False, parser="liac-arff")
    except OSError as error:
        raise SystemExit(
            f"--data openml: {error}. Without a network, give the folder of the IDX files."
        ) from None
    labels = labels.astype(np.uint8)
    # OpenML keeps the original order: the first 60,000 images are the training set.
    return ImageData(
        name,
        _labelled(x[:60_000], labels[:60_000], 255),
        _labelled(x[60_000:], labels[60_000:], 255),
        classes,
        (28, 28),
    )


def _digits(seed: int) -> ImageData:
    x, labels = load_digits(return_X_y=True)
    x, test_x, labels, test_labels = train_test_split(
        x, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    return ImageData("digits", _labelled(x, labels, 16), _labelled(test_x, test_labels, 16), DIGITS, (8, 8))


def _labelled(x: np.ndarray, labels: np.ndarray, brightest: int) -> Labelled:
    return Labelled(x / brightest, labels)
