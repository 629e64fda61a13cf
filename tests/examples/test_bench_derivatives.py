"""The table of derivatives: its peers, its floors, and the same losses in every library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench_stand_ins import entry, run_of

import onepass as op
from bench import floors, peers, table
from bench.workloads import WORKLOADS, Workload, arguments_of, make_data

LOSSES = [workload.smoke() for workload in WORKLOADS if workload.kind == "user loss"]
every_loss = pytest.mark.parametrize("workload", {w.name: w for w in LOSSES}.values(), ids=lambda w: w.title)


def test_the_table_has_peers_of_its_own_and_the_floors_of_the_processor() -> None:
    names = peers.found(derivatives=True)
    assert names[:3] == ["torch_eager_grad", "onepass_by_hand_grad", "onepass_numba_grad"]
    assert names[3:] == ["jax_jit_grad", "torch_compile_grad", "floor_copy", "floor_products"]
    others = {*peers.found(), *peers.found(gpu=True)}
    assert {*names} & others == {"floor_copy", "floor_products"}


def test_ratios_are_to_value_and_grad() -> None:
    ours, hand = entry("onepass value_and_grad", 0.002, 0.002), entry("onepass by hand", 0.001, 0.001)
    text = table.markdown(
        run_of({"onepass_numba_grad": ours, "onepass_by_hand_grad": hand}, derivatives=True)
    )
    assert "In brackets the ratio to onepass value_and_grad" in text
    assert "2 ms (1.00) | **1 ms** (0.50)" in text


@every_loss
def test_the_floor_has_the_products(workload: Workload) -> None:
    call = floors.products_of(workload, make_data(workload))
    assert (call is None) == (workload.title == "focal loss")
    if call is not None:
        call()


def test_products_of_a_vae() -> None:
    vae = Workload("VAE", "user loss", (8, 7, 5, 3))
    assert vae.layers == [(7, 5), (5, 3), (5, 3), (3, 5), (5, 7)]
    assert [product for product, *_ in vae.products].count("input") == 4  # none with respect to the data


@pytest.mark.needs(name="torch")
@every_loss
def test_onepass_has_the_losses_of_pytorch(workload: Workload) -> None:
    data = make_data(workload)
    with op.use_backend("numpy"):
        loss = peers.load("onepass_numba_grad").LOSSES[workload.title](*arguments_of(workload, data)[0])
    expected = peers.load("torch_eager_grad").prepare(workload, data)()[0]
    assert loss.dtype == np.float32
    np.testing.assert_allclose(loss, expected.numpy(), rtol=1e-5)


@pytest.mark.needs(name="torch")
@pytest.mark.needs(name="jax")
@every_loss
def test_jax_has_the_gradients_of_pytorch(workload: Workload) -> None:
    data = make_data(workload)
    loss, grads = peers.load("jax_jit_grad").prepare(workload, data)()
    expected = peers.load("torch_eager_grad").prepare(workload, data)()
    for mine, theirs in zip([loss, *_leaves(grads)], expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-4, atol=1e-5 * float(abs(theirs).max()))


def _leaves(tree: Any) -> list[Any]:
    return [leaf for item in tree for leaf in _leaves(item)] if isinstance(tree, list | tuple) else [tree]
