"""Every step of every example, recomputed in plain Python."""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from waymarks.randomness import Rng
from waymarks.tasks import Binary, ParitySum, Real

CHANCE_OF_A_FALSE_ALARM = "five standard deviations: less than one in a million"


@st.composite
def tasks(draw: st.DrawFn) -> ParitySum:
    bits = draw(st.integers(2, 70))
    return ParitySum(bits=bits, subset=draw(st.integers(1, bits)))


def members(task: ParitySum, seed: int) -> list[int]:
    subset = task.hidden_subset(Rng.of(seed, "train", 0)).tolist()
    return [place for place, chosen in enumerate(subset) if chosen]


def oracle(signs: list[int], counted: list[int]) -> tuple[Fraction, int]:
    """The sum and the parity as the paper's section 3.1 defines them."""
    total, parity = Fraction(0), 1
    for place in counted:
        total += Fraction(signs[place], len(signs))
        parity *= signs[place]
    return total, parity


@given(tasks(), st.integers(0, 2**32), st.integers(0, 1000), st.integers(1, 40))
def test_every_step_of_every_example_is_what_plain_python_computes(
    task: ParitySum, seed: int, index: int, count: int
) -> None:
    problems = task.sample(count, Rng.of(seed, "train", index))
    bits = problems.given["bits"]
    assert bits.shape == (count, task.bits)
    assert problems.answers.shape == (count, 2)
    counted = members(task, seed)
    for signs, (total, parity) in zip(bits.tolist(), problems.answers.tolist(), strict=True):
        assert set(signs) <= {-1, 1}
        true_total, true_parity = oracle([int(sign) for sign in signs], counted)
        assert total == pytest.approx(float(true_total), abs=1e-6)
        assert parity == true_parity


@given(tasks(), st.integers(0, 2**32))
def test_the_subset_has_its_size_and_is_fixed_by_the_seed_alone(task: ParitySum, seed: int) -> None:
    subset = task.hidden_subset(Rng.of(seed, "train", 0))
    assert subset.shape == (task.bits,)
    assert sorted(set(subset.tolist())) in ([0, 1], [1])
    assert int(subset.sum()) == task.subset
    for stream, index in [("train", 5), ("evaluation", 0)]:
        assert torch.equal(task.hidden_subset(Rng.of(seed, stream, index)), subset)


def test_every_bit_is_as_likely_as_any_other_to_be_in_the_subset() -> None:
    task = ParitySum(bits=10)
    counts = [0] * 10
    for seed in range(400):
        for place in members(task, seed):
            counts[place] += 1
    allowed = 5 * math.sqrt(400 / 4)
    assert all(abs(count - 200) < allowed for count in counts), CHANCE_OF_A_FALSE_ALARM


@pytest.mark.parametrize("bits", [7, 8, 9, 50])
def test_bits_are_fair_and_independent(bits: int) -> None:
    """Each bit, and the product of each two: the correlation matrix is the identity."""
    count = 40_000
    signs = ParitySum(bits=bits, subset=1).sample(count, Rng.of(0, "train", 0)).given["bits"]
    allowed = 5 / math.sqrt(count)
    assert signs.mean(0).abs().max() < allowed, CHANCE_OF_A_FALSE_ALARM
    correlations = signs.T @ signs / count - torch.eye(bits)
    assert correlations.abs().max() < allowed, CHANCE_OF_A_FALSE_ALARM


@given(tasks())
def test_the_attainable_sums_are_those_that_some_input_has(task: ParitySum) -> None:
    kind = task.steps[0].kind
    assert isinstance(kind, Real)
    attainable = {
        Fraction(ones - (task.subset - ones), task.bits) for ones in range(task.subset + 1)
    }
    listed = sorted(kind.lowest + i * kind.spacing for i in range(kind.count))
    assert listed == pytest.approx([float(value) for value in sorted(attainable)], abs=1e-9)


def test_a_sum_is_right_when_the_nearest_attainable_value_is() -> None:
    kind = ParitySum(bits=4).steps[0].kind  # attainable: -.5, 0, .5
    outputs = torch.tensor([[-0.3], [-0.2], [0.2], [9.0], [-9.0]])
    answers = torch.tensor([-0.5, -0.5, 0.0, 0.5, 0.5])
    assert kind.correct(outputs, answers).tolist() == [True, False, True, True, False]


def test_the_steps_are_named_and_the_parity_is_the_final_one() -> None:
    total, parity = ParitySum(bits=6).steps
    assert (total.name, total.depends_on) == ("sum", ())
    assert (parity.name, parity.depends_on, parity.kind) == ("parity", ("sum",), Binary())


def test_half_of_the_bits_count_unless_told_otherwise() -> None:
    assert ParitySum(bits=50).subset == 25
    assert ParitySum(bits=50) == ParitySum(bits=50, subset=25)
    assert ParitySum(bits=7, subset=7).subset == 7


@pytest.mark.parametrize(
    ("fields", "what_is_said"),
    [
        ({"bits": 7}, "odd"),
        ({"bits": 6, "subset": 7}, "larger than bits"),
        ({"bits": 6, "subset": 0}, "greater than or equal to 1"),
        ({"bits": 6, "subset": -1}, "greater than or equal to 1"),
        ({"bits": 1, "subset": 1}, "greater than or equal to 2"),
        ({"bits": -4}, "greater than or equal"),
        ({"bits": 0}, "greater than or equal"),
        ({"bits": True}, "valid integer"),
        ({"bits": "6"}, "valid integer"),
        ({"bits": 6.0}, "valid integer"),
        ({"bits": None}, "valid integer"),
        ({"bits": 6, "subset": True}, "valid integer"),
        ({"bits": 6, "subset": "3"}, "valid integer"),
        ({"bits": 6, "subset": 3.0}, "valid integer"),
        ({"subset": 3}, "required"),
        ({"bits": 6, "subsets": 3}, "not permitted"),
    ],
)
def test_what_is_no_parity_is_refused(fields: dict[str, Any], what_is_said: str) -> None:
    with pytest.raises(ValidationError, match=what_is_said) as refusal:
        ParitySum(**fields)
    assert refusal.value.error_count() == 1
