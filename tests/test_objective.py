"""The mean loss of the labels that were revealed, and nothing of those that were not."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import RunningTotal, layout_of
from torch import Tensor

from waymarks.formats import ClsToken, Layout, TaskVector, TokenClassification
from waymarks.models import BERT
from waymarks.randomness import Rng
from waymarks.tasks import Binary, Classes, Kind, ParitySum, Real, Step
from waymarks.training.objective import revealed_loss

STEPS = ParitySum(bits=4).steps
SHARED = TaskVector().layout(ParitySum(bits=4))
SEPARATE = layout_of(features=4, steps=2)


def loss_of(outputs: Tensor, answers: Tensor, mask: Tensor, layout: Layout) -> Tensor:
    return revealed_loss(outputs, answers, mask, STEPS, layout)


def draw(seed: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two numbers for each example, answers, and a mask."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(count, 2, 1, generator=generator)
    signs = torch.randint(2, (count,), generator=generator) * 2.0 - 1
    sums = torch.randint(3, (count,), generator=generator) / 2 - 0.5
    mask = torch.randint(2, (count, 2), generator=generator).bool()
    return outputs, torch.stack([sums, signs], dim=1), mask


def test_it_is_what_one_computes_by_hand() -> None:
    """Example 1 asks its sum, (.3 - .5)^2; example 2 its parity, ln(1 + e^(-2 * -1))."""
    outputs = torch.tensor([[[0.3]], [[2.0]]])
    answers = torch.tensor([[0.5, 1.0], [0.0, -1.0]])
    mask = torch.tensor([[True, False], [False, True]])
    by_hand = (0.2**2 + math.log(1 + math.exp(2))) / 2
    assert loss_of(outputs, answers, mask, SHARED).item() == pytest.approx(by_hand, rel=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 20))
def test_it_is_the_mean_over_revealed_labels_of_torchs_own_losses(seed: int, count: int) -> None:
    outputs, answers, mask = draw(seed, count)
    losses = [F.mse_loss(outputs[i, 0, 0], answers[i, 0]) for i in range(count) if mask[i, 0]]
    losses += [
        F.binary_cross_entropy_with_logits(outputs[i, 1, 0], (answers[i, 1] + 1) / 2)
        for i in range(count)
        if mask[i, 1]
    ]
    expected = torch.stack(losses).mean() if losses else torch.tensor(0.0)
    torch.testing.assert_close(loss_of(outputs, answers, mask, SEPARATE), expected)


@pytest.mark.parametrize("hidden_answer", [0.0, -1.0, 1e18, math.inf, math.nan])
def test_a_hidden_label_adds_exactly_nothing_and_pulls_at_nothing(hidden_answer: float) -> None:
    """Not merely little, whatever stands in it."""
    outputs, answers, _ = draw(0, 8)
    mask = torch.tensor([[True, False]] * 8)
    answers[:, 1] = hidden_answer
    outputs.requires_grad_()
    loss = loss_of(outputs, answers, mask, SEPARATE)
    loss.backward()
    assert loss.item() == pytest.approx(F.mse_loss(outputs[:, 0, 0], answers[:, 0]).item())
    assert outputs.grad is not None
    assert outputs.grad[:, 1].count_nonzero() == 0
    assert outputs.grad[:, 0].count_nonzero() == 8


def test_nothing_revealed_is_nothing_to_learn() -> None:
    outputs, answers, mask = draw(0, 8)
    outputs.requires_grad_()
    loss = loss_of(outputs, answers, torch.zeros_like(mask), SEPARATE)
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad is not None
    assert outputs.grad.count_nonzero() == 0


def test_losses_of_half_precision_outputs_are_added_up_in_float32() -> None:
    outputs, answers, mask = draw(0, 512)
    half = outputs.bfloat16()
    loss = loss_of(half, answers, mask, SEPARATE)
    assert loss.dtype == torch.float32
    assert loss.equal(loss_of(half.float(), answers, mask, SEPARATE))


def test_a_sure_and_wrong_logit_costs_what_it_should() -> None:
    """No overflow: the cross-entropy of a logit of 1000 for the wrong sign is 1000."""
    logits = torch.tensor([[1000.0], [-1000.0]])
    assert Binary().loss(logits, torch.tensor([-1.0, -1.0])).tolist() == [1000, 0]
    assert Binary().correct(logits, torch.tensor([-1.0, -1.0])).tolist() == [False, True]


@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 4))
def test_classes_cost_torchs_cross_entropy_and_the_largest_logit_is_the_answer(
    seed: int, classes: int, steps: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(6, steps, classes, generator=generator)
    answers = torch.randint(classes, (6, steps), generator=generator)
    kind = Classes(classes)
    expected = F.cross_entropy(logits.flatten(0, 1), answers.flatten(), reduction="none")
    torch.testing.assert_close(kind.loss(logits, answers.float()).flatten(), expected)
    assert kind.correct(logits, answers.float()).equal(logits.max(2).indices == answers)


MIXED = (
    Step("length", Real(lowest=-1.0, spacing=0.5, count=5)),
    Step("digit", Classes(5)),
    Step("sign", Binary()),
    Step("colour", Classes(3)),
    Step("other digit", Classes(5)),
)
OF_MIXED = Layout(1, 1, outputs=5, answer_of_step=(4, 0, 3, 1, 2), answers_per_read=5)
ANSWERS = torch.tensor([[0.5, 4, -1, 2, 0], [-1.0, 0, 1, 0, 3]])


def by_hand(kind: Kind, output: Tensor, answer: Tensor) -> Tensor:
    """The loss of one answer."""
    if isinstance(kind, Classes):
        return -output[: kind.count].log_softmax(0)[int(answer)]
    if isinstance(kind, Real):
        return (output[0] - answer) ** 2
    return -F.logsigmoid(output[0] * answer)


def test_steps_of_several_kinds_are_each_scored_by_their_own_and_read_in_their_own_place() -> None:
    outputs = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, True, True, False], [False, True, True, True, True]])
    losses = [
        by_hand(step.kind, outputs[row, OF_MIXED.answer_of_step[number]], ANSWERS[row, number])
        for number, step in enumerate(MIXED)
        for row in range(2)
        if mask[row, number]
    ]
    found = revealed_loss(outputs, ANSWERS, mask, MIXED, OF_MIXED)
    torch.testing.assert_close(found, torch.stack(losses).mean())


@pytest.mark.parametrize("hidden_answer", [-1.0, 7.0, 1e18, math.inf, math.nan])
@pytest.mark.parametrize("hidden", range(5))
def test_a_hidden_label_of_any_kind_pulls_at_nothing(hidden: int, hidden_answer: float) -> None:
    """Beside others of its kind that are revealed, and in one example of two only."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 5, 5, generator=generator).requires_grad_()
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[0, hidden] = False
    answers = ANSWERS.clone()
    expected = revealed_loss(outputs, answers, mask, MIXED, OF_MIXED)
    answers[0, hidden] = hidden_answer
    loss = revealed_loss(outputs, answers, mask, MIXED, OF_MIXED)
    loss.backward()
    assert loss.equal(expected)
    assert outputs.grad is not None
    for number, step in enumerate(MIXED):
        pulled = outputs.grad[:, OF_MIXED.answer_of_step[number]].count_nonzero(1)
        needed = step.kind.outputs
        assert pulled.tolist() == ([0, needed] if number == hidden else [needed, needed])


@pytest.mark.parametrize("hidden", range(3))
@pytest.mark.parametrize("form", [TokenClassification(), ClsToken()])
def test_a_hidden_label_of_tokens_changes_no_gradient_of_a_network(
    form: TokenClassification | ClsToken, hidden: int
) -> None:
    """Whatever stands in its answer, every gradient is the same to the bit, and at the numbers
    that answer it there is none."""
    task = RunningTotal()
    problems = task.sample(6, Rng.of(0, "train", 0))
    layout = form.layout(task)
    network = BERT(width=8, depth=1, heads=2).build(layout, torch.Generator().manual_seed(0))
    inputs = form.write(task, problems, torch.zeros(6, dtype=torch.int64))
    mask = torch.ones(6, 3, dtype=torch.bool)
    mask[:, hidden] = False
    gradients = []
    for answer in (0.0, math.nan):
        answers = problems.answers.clone()
        answers[:, hidden] = answer
        network.zero_grad()
        outputs = network(inputs)
        outputs.retain_grad()
        revealed_loss(outputs, answers, mask, task.steps, layout).backward()
        assert outputs.grad.count_nonzero(2).tolist() == (4 * mask).tolist()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert other is not None
        assert one.equal(other)


@given(st.integers(0, 10**6), st.integers(1, 20))
def test_averaged_over_steps_each_step_that_is_told_weighs_as_much(seed: int, count: int) -> None:
    outputs, answers, mask = draw(seed, count)
    mask[:, 0] = torch.arange(count) == 0
    by_step = []
    for number in range(2):
        alone = torch.zeros_like(mask)
        alone[:, number] = mask[:, number]
        if alone.any():
            by_step.append(revealed_loss(outputs, answers, alone, STEPS, SEPARATE))
    expected = torch.stack(by_step).mean()
    found = revealed_loss(outputs, answers, mask, STEPS, SEPARATE, "steps")
    torch.testing.assert_close(found, expected)


def test_averaged_over_steps_nothing_told_is_no_loss() -> None:
    outputs, answers, mask = draw(0, 5)
    nothing = torch.zeros_like(mask)
    assert revealed_loss(outputs, answers, nothing, STEPS, SEPARATE, "steps").item() == 0
