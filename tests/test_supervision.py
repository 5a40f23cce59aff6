"""Which labels a learner is told."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.builders import RunningTotal
from torch import Tensor

from waymarks.errors import UserError
from waymarks.randomness import Rng
from waymarks.supervision import (
    AskOne,
    EveryStep,
    FinalOnly,
    Revealed,
    Shuffled,
    SparseSteps,
    Supervision,
)
from waymarks.tasks import ParitySum, Task

TASK = ParitySum(bits=6)
LONG = RunningTotal(names=5, modulus=4)


def reveal(
    supervision: Supervision, count: int = 1000, index: int = 0, task: Task = TASK
) -> Revealed:
    return supervision.reveal(task, count, Rng.of(0, "train", index))


def shares_of(sums: float) -> AskOne:
    return AskOne(sum=sums, parity=1 - sums)


@given(st.floats(0, 1), st.integers(1, 500), st.integers(0, 10**6))
def test_exactly_one_label_is_told_and_the_input_asks_for_it(
    sums: float, count: int, index: int
) -> None:
    revealed = reveal(shares_of(sums), count, index)
    assert revealed.mask.shape == (count, 2)
    assert revealed.mask.sum(1).tolist() == [1] * count
    assert torch.equal(revealed.mask.int().argmax(1), revealed.asked)


@pytest.mark.parametrize("sums", [0.01, 0.1, 0.5, 0.9])
def test_steps_are_asked_as_often_as_told(sums: float) -> None:
    """Within five standard deviations of a binomial count, at a fixed seed."""
    count = 100_000
    asked_sums = int(reveal(shares_of(sums), count).mask[:, 0].sum())
    assert abs(asked_sums - sums * count) < 5 * math.sqrt(count * sums * (1 - sums))


def test_which_step_is_asked_does_not_depend_on_the_bits() -> None:
    """Both are drawn from one generator, one after the other."""
    count = 40_000
    rng = Rng.of(0, "train", 0)
    bits = TASK.sample(count, rng).given["bits"]
    asked = AskOne(sum=0.5, parity=0.5).reveal(TASK, count, rng).asked * 2.0 - 1
    assert (bits.T @ asked / count).abs().max() < 5 / math.sqrt(count)


def test_a_step_with_no_chance_is_never_asked_and_a_certain_one_always() -> None:
    assert reveal(AskOne(sum=0, parity=1), 100_000).asked.eq(1).all()
    assert reveal(AskOne(parity=1), 100_000).asked.eq(1).all()
    assert reveal(AskOne(sum=1, parity=0), 100_000).asked.eq(0).all()
    assert reveal(AskOne(sum=1), 100_000).asked.eq(0).all()


@pytest.mark.parametrize("drawn", [0.0, 1 - 2**-53])
def test_not_even_when_the_lowest_or_the_highest_number_is_drawn(
    monkeypatch: pytest.MonkeyPatch, drawn: float
) -> None:
    numbers = torch.tensor([drawn], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: numbers)
    assert reveal(AskOne(sum=0, parity=1), 1).asked.item() == 1
    assert reveal(AskOne(sum=1, parity=0), 1).asked.item() == 0


def test_final_only_tells_the_last_step_of_every_example() -> None:
    revealed = reveal(FinalOnly(), 50)
    assert revealed.mask.tolist() == [[False, True]] * 50
    assert revealed.asked.tolist() == [1] * 50


def test_shares_are_written_to_a_file_as_they_are_typed() -> None:
    supervision = AskOne(sum=0.1, parity=0.9)
    data = supervision.model_dump(mode="json")
    assert data == {"type": "AskOne", "sum": 0.1, "parity": 0.9}
    assert Supervision.model_validate(data) == supervision


@pytest.mark.parametrize(
    ("shares", "what_is_said"),
    [
        ({"sum": 0.5, "parity": 0.4}, "sum to 0.9, not 1"),
        ({"sum": 0.5, "parity": 0.5 + 1e-6}, "not 1"),
        ({}, "sum to 0, not 1"),
        ({"sum": 1.5, "parity": -0.5}, "less than or equal to 1"),
        ({"sum": -0.1, "parity": 1.1}, "greater than or equal to 0"),
        ({"sum": float("nan"), "parity": 0.5}, "finite"),
        ({"sum": "some", "parity": 0.5}, "valid number"),
    ],
)
def test_chances_that_are_none_are_refused(shares: dict[str, Any], what_is_said: str) -> None:
    with pytest.raises(ValidationError, match=what_is_said):
        AskOne(**shares)


def test_a_step_that_the_task_does_not_have_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match="unknown step 'parities'; did you mean parity"):
        AskOne(sum=0.5, parities=0.5).check(TASK)
    AskOne(sum=0.5, parity=0.5).check(TASK)
    FinalOnly().check(TASK)


def test_every_step_tells_the_whole_trace() -> None:
    assert reveal(EveryStep(), 50, task=LONG).mask.tolist() == [[True] * 5] * 50


@given(st.integers(1, 200), st.integers(0, 10**6))
def test_sparse_steps_of_rate_nothing_and_of_rate_one_are_the_two_ends(
    count: int, index: int
) -> None:
    for rate, end in ((0, FinalOnly()), (1, EveryStep())):
        sparse, expected = (
            reveal(one, count, index, LONG) for one in (SparseSteps(rate=rate), end)
        )
        assert sparse.mask.equal(expected.mask)
        assert sparse.asked.equal(expected.asked)


@pytest.mark.parametrize("rate", [1 / 320, 0.1, 0.5, 0.99])
def test_each_intermediate_label_is_told_as_often_as_the_rate_says(rate: float) -> None:
    """Within five standard deviations, at a fixed seed; the final one always."""
    count = 100_000
    mask = reveal(SparseSteps(rate=rate), count, task=LONG).mask
    assert mask[:, -1].all()
    spread = 5 * math.sqrt(count * rate * (1 - rate))
    assert ((mask[:, :-1].sum(0) - rate * count).abs() < spread).all()


def test_whether_one_label_is_told_says_nothing_of_the_others_nor_of_the_example() -> None:
    count = 40_000
    rng = Rng.of(0, "train", 0)
    answers = LONG.sample(count, rng).answers
    told = SparseSteps(rate=0.5).reveal(LONG, count, rng).mask[:, :-1] * 2.0 - 1
    together = told.T @ told / count - torch.eye(4)
    assert together.abs().max() < 5 / math.sqrt(count)
    with_answers = (answers - answers.mean(0)).T @ told / count
    assert with_answers.abs().max() < 5 * answers.std() / math.sqrt(count)


def test_the_papers_rate_is_said_for_each_label_and_for_all_together() -> None:
    ten = RunningTotal(names=10)
    assert SparseSteps(rate=1 / 320).intermediate_per_example(ten) == pytest.approx(9 / 320)
    assert SparseSteps(rate=1 / 300).intermediate_per_example(ten) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("supervision", "task", "labels"),
    [
        (FinalOnly(), LONG, 1),
        (AskOne(sum=0.3, parity=0.7), TASK, 1),
        (EveryStep(), LONG, 5),
        (EveryStep(), TASK, 2),
        (SparseSteps(rate=0), LONG, 1),
        (SparseSteps(rate=0.25), LONG, 2),
        (SparseSteps(rate=1), LONG, 5),
        (Shuffled(of=SparseSteps(rate=0.25)), LONG, 2),
    ],
)
def test_how_many_labels_of_an_example_are_told_on_average(
    supervision: Supervision, task: Task, labels: float
) -> None:
    assert supervision.labels_per_example(task) == pytest.approx(labels)
    told = reveal(supervision, 20_000, task=task).mask.sum(1).float()
    assert float(told.mean()) == pytest.approx(labels, abs=0.04)


@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan"), float("inf"), "often", None])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    for data in ({"type": "SparseSteps", "rate": rate}, {"type": "SparseSteps"}):
        with pytest.raises(ValidationError, match="rate"):
            Supervision.model_validate(data)


@pytest.mark.parametrize(
    ("supervision", "one"),
    [
        (FinalOnly(), True),
        (AskOne(parity=1), True),
        (EveryStep(), False),
        (SparseSteps(rate=0), True),
        (SparseSteps(rate=0.5), False),
        (Shuffled(of=EveryStep()), False),
        (Shuffled(of=AskOne(parity=1)), True),
    ],
)
def test_whether_it_tells_one_label_of_each_example(supervision: Supervision, one: bool) -> None:
    assert supervision.reveals_one_step == one
    assert bool((reveal(supervision).mask.sum(1) == 1).all()) == one


def answers_and_labels(supervision: Supervision, count: int = 20_000) -> tuple[Tensor, Tensor]:
    """True answers of `LONG`, and what is told instead."""
    rng = Rng.of(0, "train", 0)
    answers = LONG.sample(count, rng).answers
    before = answers.clone()
    labels = supervision.labels(answers, rng)
    assert answers.equal(before)
    return answers, labels


@pytest.mark.parametrize("supervision", [FinalOnly(), EveryStep(), SparseSteps(rate=0.5)])
def test_labels_are_the_true_answers(supervision: Supervision) -> None:
    answers, labels = answers_and_labels(supervision)
    assert labels.equal(answers)


def test_shuffled_labels_are_as_many_of_each_value_and_the_final_one_is_true() -> None:
    answers, labels = answers_and_labels(Shuffled(of=EveryStep()))
    assert labels.sort(0).values.equal(answers.sort(0).values)
    assert labels[:, -1].equal(answers[:, -1])


def test_a_shuffled_label_says_nothing_of_its_example_nor_of_the_other_labels() -> None:
    """A quarter of them are right, as chance has it, and a quarter equal to one another; each
    within five standard deviations."""
    answers, labels = answers_and_labels(Shuffled(of=EveryStep()))
    spread = 5 * math.sqrt(1 / 4 * 3 / 4 / len(labels))
    for step in range(4):
        for true in range(5):
            agreed = (labels[:, step] == answers[:, true]).float().mean()
            assert abs(float(agreed) - 1 / 4) < spread, (step, true)
        for other in range(step):
            agreed = (labels[:, step] == labels[:, other]).float().mean()
            assert abs(float(agreed) - 1 / 4) < spread, (step, other)


def test_shuffling_changes_nothing_of_which_labels_are_told() -> None:
    for supervision in (SparseSteps(rate=0.3), EveryStep(), FinalOnly()):
        assert reveal(Shuffled(of=supervision), task=LONG).mask.equal(
            reveal(supervision, task=LONG).mask
        )


class Opposite(Supervision):
    """Tells the opposite of everything."""

    @property
    def reveals_one_step(self) -> bool:
        return False

    def check(self, task: Task) -> None:
        """Nothing to refuse."""

    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        return EveryStep().reveal(task, count, rng)

    def labels_per_example(self, task: Task) -> float:
        return EveryStep().labels_per_example(task)

    def labels(self, answers: Tensor, rng: Rng) -> Tensor:
        return -answers


def test_what_is_shuffled_is_what_the_other_regime_tells() -> None:
    answers, labels = answers_and_labels(Shuffled(of=Opposite()))
    assert labels.sort(0).values.equal((-answers).sort(0).values)
    assert labels[:, -1].equal(-answers[:, -1])


def test_a_shuffled_regime_is_checked_as_the_regime_itself() -> None:
    with pytest.raises(UserError, match="unknown step 'parities'; did you mean parity"):
        Shuffled(of=AskOne(sum=0.5, parities=0.5)).check(TASK)
    Shuffled(of=AskOne(sum=0.5, parity=0.5)).check(TASK)
    for supervision in (EveryStep(), SparseSteps(rate=0.5)):
        supervision.check(TASK)
        supervision.check(LONG)


@pytest.mark.parametrize(
    ("supervision", "data"),
    [
        (EveryStep(), {"type": "EveryStep"}),
        (SparseSteps(rate=0.25), {"type": "SparseSteps", "rate": 0.25}),
        (
            Shuffled(of=AskOne(sum=0.5, parity=0.5)),
            {"type": "Shuffled", "of": {"type": "AskOne", "sum": 0.5, "parity": 0.5}},
        ),
        (
            Shuffled(of=SparseSteps(rate=0.25)),
            {"type": "Shuffled", "of": {"type": "SparseSteps", "rate": 0.25}},
        ),
    ],
)
def test_a_regime_survives_a_file(supervision: Supervision, data: dict[str, Any]) -> None:
    assert supervision.model_dump(mode="json") == data
    assert Supervision.model_validate(data) == supervision


def test_what_is_to_be_shuffled_must_be_a_regime() -> None:
    for of in ({"type": "EveryStepp"}, {"rate": 0.5}, None, "EveryStep"):
        with pytest.raises(ValidationError, match="of"):
            Supervision.model_validate({"type": "Shuffled", "of": of})
