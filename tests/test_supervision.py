"""Which labels a learner is told."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from waymarks.errors import UserError
from waymarks.randomness import Rng
from waymarks.supervision import AskOne, FinalOnly, Revealed, Supervision
from waymarks.tasks import ParitySum

TASK = ParitySum(bits=6)


def reveal(supervision: Supervision, count: int = 1000, index: int = 0) -> Revealed:
    return supervision.reveal(TASK, count, Rng.of(0, "train", index))


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
