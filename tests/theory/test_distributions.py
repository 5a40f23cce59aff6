"""The distributions against plain Python, one input at a time."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waymarks.errors import UserError
from waymarks.theory.distributions import (
    ENUMERABLE_BITS,
    Mixture,
    Target,
    all_signs,
    enumerate_task,
)


@st.composite
def targets(draw, most=7):
    bits = draw(st.integers(1, most))
    active = draw(st.sets(st.integers(0, bits - 1)))
    return Target(bits=bits, active=tuple(sorted(active)), extra_offset=draw(st.integers(0, 1)))


def plain_label(target, x):
    chosen = [x[1 + place] for place in target.active]
    if x[0] == 1:
        return sum(chosen) - Fraction(target.bits, 2) - target.extra_offset
    product = 1
    for sign in chosen:
        product *= sign
    return Fraction(product)


@given(targets(), st.sampled_from([1, -1]))
def test_enumeration_holds_every_input_with_its_label(target, flag):
    task = enumerate_task(target, flag)
    assert len({tuple(x) for x in task.inputs.tolist()}) == 2**target.bits
    for x, s, doubled in zip(
        task.inputs.tolist(), task.active_sums, task.doubled_labels, strict=True
    ):
        assert x[0] == flag
        assert s == sum(x[1 + place] for place in target.active)
        assert Fraction(int(doubled), 2) == plain_label(target, x) == target.label(flag, int(s))


@given(targets(most=20), st.floats(0, 1), st.integers(0, 2**32))
def test_packed_examples_are_the_vectors_they_stand_for(target, p, seed):
    generator = np.random.default_rng(seed)
    mixture = Mixture(target=target, sum_fraction=p)
    examples = mixture.sample(37, generator)
    x, y = examples.inputs(), mixture.labels(examples)
    assert set(np.unique(x)) <= {-1.0, 1.0}
    assert [float(plain_label(target, row)) for row in x.astype(int).tolist()] == y.tolist()
    weights = generator.normal(size=target.bits + 1)
    np.testing.assert_allclose(examples.project(weights), x @ weights, atol=1e-12)
    np.testing.assert_array_equal(examples.weighted_total(y), y @ x)


def test_samples_are_fair_and_mixed_as_asked():
    examples = Mixture(target=Target.half(11 + 1), sum_fraction=0.3).sample(
        200_000, np.random.default_rng(0)
    )
    assert abs(examples.is_sum.mean() - 0.3) < 0.005
    x = examples.inputs()
    assert np.abs(x[:, 1:].mean(0)).max() < 0.012
    assert np.abs(np.corrcoef(x[:, 1:].T) - np.eye(12)).max() < 0.012


def test_the_chances_of_the_active_sum_are_those_of_all_inputs():
    target = Target(bits=7, active=(1, 4, 6))
    sums, counts = np.unique(enumerate_task(target, 1).active_sums, return_counts=True)
    found = {int(s): Fraction(int(c), 2**7) for s, c in zip(sums, counts, strict=True)}
    assert target.active_sums() == found


def test_more_active_bits_than_an_octet_counts():
    target = Target(bits=700, active=tuple(range(600)))
    mixture = Mixture(target=target, sum_fraction=1.0)
    examples = mixture.sample(50, np.random.default_rng(0))
    expected = examples.inputs()[:, 1:601].sum(1) - 350
    assert mixture.labels(examples).tolist() == expected.tolist()


def test_half_takes_half_and_differs_between_seeds():
    chosen = {Target.half(20, seed).active for seed in range(5)}
    assert len(chosen) == 5
    assert {len(active) for active in chosen} == {10}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Target(bits=0, active=()), "at least 1, not 0"),
        (lambda: Target(bits=-3, active=()), "at least 1, not -3"),
        (lambda: Target(bits=4, active=(1, 1)), "each bit once"),
        (lambda: Target(bits=4, active=(4,)), "within 0 ... 3"),
        (lambda: Target.half(7), "even"),
        (lambda: Target.half(0), "at least 2"),
        (lambda: Mixture(target=Target.half(4), sum_fraction=1.5), r"\[0, 1\], not 1.5"),
        (lambda: all_signs(ENUMERABLE_BITS + 1), f"at most {ENUMERABLE_BITS}"),
        (lambda: enumerate_task(Target.half(40), 1), f"at most {ENUMERABLE_BITS}"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(make, reason):
    with pytest.raises(UserError, match=reason):
        make()
