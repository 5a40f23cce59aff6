"""The mean loss of the labels that were revealed, and nothing of those that were not."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import layout_of
from torch import Tensor

from waymarks.formats import Layout
from waymarks.tasks import Binary, ParitySum
from waymarks.training.objective import revealed_loss

STEPS = ParitySum(bits=4).steps
SHARED = Layout(positions=2, features=4, outputs=(1,), readout_of_step=(0, 0))
SEPARATE = layout_of(features=4, outputs=(1, 1))


def loss_of(outputs: list[Tensor], answers: Tensor, mask: Tensor, layout: Layout) -> Tensor:
    return revealed_loss(outputs, answers, mask, STEPS, layout)


def draw(seed: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two read-outs of each example, answers, and a mask."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(2, count, 1, generator=generator)
    signs = torch.randint(2, (count,), generator=generator) * 2.0 - 1
    sums = torch.randint(3, (count,), generator=generator) / 2 - 0.5
    mask = torch.randint(2, (count, 2), generator=generator).bool()
    return outputs, torch.stack([sums, signs], dim=1), mask


def test_it_is_what_one_computes_by_hand() -> None:
    """Example 1 asks its sum, (.3 - .5)^2; example 2 its parity, ln(1 + e^(-2 * -1))."""
    outputs = [torch.tensor([[0.3], [2.0]])]
    answers = torch.tensor([[0.5, 1.0], [0.0, -1.0]])
    mask = torch.tensor([[True, False], [False, True]])
    by_hand = (0.2**2 + math.log(1 + math.exp(2))) / 2
    assert loss_of(outputs, answers, mask, SHARED).item() == pytest.approx(by_hand, rel=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 20))
def test_it_is_the_mean_over_revealed_labels_of_torchs_own_losses(seed: int, count: int) -> None:
    outputs, answers, mask = draw(seed, count)
    losses = [F.mse_loss(outputs[0, i, 0], answers[i, 0]) for i in range(count) if mask[i, 0]]
    losses += [
        F.binary_cross_entropy_with_logits(outputs[1, i, 0], (answers[i, 1] + 1) / 2)
        for i in range(count)
        if mask[i, 1]
    ]
    expected = torch.stack(losses).mean() if losses else torch.tensor(0.0)
    torch.testing.assert_close(loss_of(list(outputs), answers, mask, SEPARATE), expected)


@pytest.mark.parametrize("hidden_answer", [0.0, -1.0, 1e18, math.inf, math.nan])
def test_a_hidden_label_adds_exactly_nothing_and_pulls_at_nothing(hidden_answer: float) -> None:
    """Not merely little, whatever stands in it."""
    outputs, answers, _ = draw(0, 8)
    mask = torch.tensor([[True, False]] * 8)
    answers[:, 1] = hidden_answer
    of_sum, of_parity = (output.clone().requires_grad_() for output in outputs)
    loss = loss_of([of_sum, of_parity], answers, mask, SEPARATE)
    loss.backward()
    assert loss.item() == pytest.approx(F.mse_loss(of_sum[:, 0], answers[:, 0]).item())
    assert of_parity.grad is not None
    assert of_parity.grad.count_nonzero() == 0
    assert of_sum.grad is not None
    assert of_sum.grad.count_nonzero() == 8


def test_nothing_revealed_is_nothing_to_learn() -> None:
    outputs, answers, mask = draw(0, 8)
    outputs.requires_grad_()
    loss = loss_of(list(outputs), answers, torch.zeros_like(mask), SEPARATE)
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad is not None
    assert outputs.grad.count_nonzero() == 0


def test_losses_of_half_precision_outputs_are_added_up_in_float32() -> None:
    outputs, answers, mask = draw(0, 512)
    half = [output.bfloat16() for output in outputs]
    loss = loss_of(half, answers, mask, SEPARATE)
    assert loss.dtype == torch.float32
    assert loss.equal(loss_of([output.float() for output in half], answers, mask, SEPARATE))


def test_a_sure_and_wrong_logit_costs_what_it_should() -> None:
    """No overflow: the cross-entropy of a logit of 1000 for the wrong sign is 1000."""
    logits = torch.tensor([[1000.0], [-1000.0]])
    assert Binary().loss(logits, torch.tensor([-1.0, -1.0])).tolist() == [1000, 0]
    assert Binary().correct(logits, torch.tensor([-1.0, -1.0])).tolist() == [False, True]
