"""The training loops of `python -m bench.torch_loop`: both compute the same, and the table compares them."""

from __future__ import annotations

import pytest

from bench.torch_loop import SMALL, Loop, Step, table

pytestmark = pytest.mark.needs(name="torch")


@pytest.mark.parametrize("loop", SMALL, ids=lambda loop: loop.title)
def test_both_losses_train_the_same_network(loop: Loop) -> None:
    import torch

    theirs, ours = Step(loop, "torch"), Step(loop, "onepass")
    losses = [theirs.run() for _ in range(3)]
    assert [ours.run() for _ in range(3)] == pytest.approx(losses, rel=1e-5)
    assert losses[2] < losses[0]
    for expected, got in zip(
        theirs.optimizer.param_groups[0]["params"], ours.optimizer.param_groups[0]["params"], strict=True
    ):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("loop", SMALL, ids=lambda loop: loop.title)
def test_parts_leave_the_gradients_of_a_step(loop: Loop) -> None:
    """Each part has the work of the loop: the gradients of all parameters, or of the loss's arguments."""
    network, loss = Step(loop, "network"), Step(loop, "loss")
    network.run()
    assert all(p.grad is not None for p in network.optimizer.param_groups[0]["params"])
    assert loss.run() == pytest.approx(Step(loop, "torch").run(), rel=1e-5)
    assert (loss.head.weight.grad is not None) == loop.head_in_loss


def test_table() -> None:
    text = table({SMALL[0]: {"torch": 0.004, "onepass": 0.003, "network": 0.002, "loss": 0.0005}})
    assert text.splitlines()[2] == (
        "| cross_entropy, 64 rows, 100 classes | 4.00 ms | 3.00 ms | 0.75 | 2.00 + 0.50 ms | 1.20 |"
    )
