"""The bounds of Theorem 1 against figures worked out by hand."""

import math

import numpy as np
import pytest

from waymarks.errors import UserError
from waymarks.theory.bounds import (
    Asked,
    corrected,
    first_batch_of_hoeffding,
    in_practice,
    promised,
    reached_by_its_terms,
    stated,
)


@pytest.mark.parametrize(
    ("bits", "p", "batch", "updates", "width"),
    [
        (10, 0.1, 4.0e11, 4.6e11, 69),
        (10, 0.5, 1.6e10, 4.6e11, 69),
        (20, 0.1, 1.0e14, 5.9e13, 152),
        (20, 0.5, 4.1e12, 5.9e13, 152),
        (50, 0.1, 1.6e17, 3.6e16, 426),
        (50, 0.5, 6.3e15, 3.6e16, 426),
    ],
)
def test_the_stated_bounds(bits, p, batch, updates, width):
    found = stated(Asked(bits=bits, sum_fraction=p))
    assert found.first_batch == pytest.approx(batch, rel=0.03)
    assert found.updates == pytest.approx(updates, rel=0.01)
    assert found.width == pytest.approx(width, abs=1)
    assert found.smoothness == 36 * p**2 * bits**4


def test_the_stated_updates_do_not_reach_what_is_stated():
    asked = Asked(bits=20, sum_fraction=0.5)
    epsilon = asked.loss
    # (1 + eps/3) (2 eps + .3125 (eps^2 + 3 eps)), from 8 * 36 / (2 * 12.8 * 36) = .3125
    by_hand = (1 + epsilon / 3) * (2 * epsilon + 0.3125 * (epsilon**2 + 3 * epsilon))
    assert stated(asked).reached == pytest.approx(by_hand)
    assert by_hand > 3 * epsilon
    # (1 + eps/3) (2 eps + (eps^2 + 3 eps) / 24) with 12 * 8 for 12.8
    of_terms = (1 + epsilon / 3) * (2 * epsilon + (epsilon**2 + 3 * epsilon) / 24)
    assert reached_by_its_terms(asked) == pytest.approx(of_terms)
    assert epsilon < of_terms < 3 * epsilon


@pytest.mark.parametrize("bits", [4, 10, 20, 50])
@pytest.mark.parametrize("loss", [0.01, 0.1, 0.5])
def test_the_corrected_bounds_promise_what_was_asked_for(bits, loss):
    found = corrected(Asked(bits=bits, sum_fraction=0.1, loss=loss))
    assert found.reached <= loss
    assert found.failure == pytest.approx(0.02)
    assert found.first_batch > stated(Asked(bits=bits, sum_fraction=0.1, loss=loss)).first_batch


def test_the_corrected_constants_by_hand():
    found = corrected(Asked(bits=4, sum_fraction=0.5, loss=0.3, failure=0.1))
    tau = math.sqrt(0.25 * 0.1 / (8 * 4**6))
    assert found.tau == pytest.approx(tau)
    assert found.first_batch == pytest.approx(2 * 16 / tau**2 * math.log(2 * 5 / 0.1))
    width = 4 * math.log(40)
    linear = 2 + 5 * tau
    assert found.smoothness == pytest.approx(width * (linear**2 + (linear + 0.5) ** 2))
    squared = (10**2 + 6**2 + 1 + 1 / width) / 0.25
    assert found.updates == pytest.approx(12 * squared * found.smoothness / 0.01)
    assert found.step_size == pytest.approx(1 / (found.smoothness * 31))


def test_the_sgd_theorem_holds_on_a_problem_with_a_known_answer():
    """Averaged SGD on the mean of (w - y)^2 / 2, y = 1 +- 1: alpha = 1, L(w*) = 1/2 at w* = 1."""
    generator = np.random.default_rng(0)
    epsilon, updates = 0.3, 400
    eta = 1 / (1 + 3 / epsilon)
    losses = []
    for _ in range(200):
        w, path = 0.0, []
        for y in generator.choice([0.0, 2.0], size=updates):
            path.append(w)
            w -= eta * (w - y)
        losses.append(0.5 + (np.mean(path) - 1) ** 2 / 2)
    assert np.mean(losses) <= promised(0.5, 1.0, 1.0, epsilon, float(updates))


def test_hoeffdings_batch_leaves_the_failure_that_was_allowed():
    batch = first_batch_of_hoeffding(10, 0.5, 0.01)
    # n + 1 entries, each beyond tau with chance 2 exp(-2 B tau^2 / (2n)^2)
    assert 11 * 2 * math.exp(-2 * batch * 0.25 / 400) == pytest.approx(0.01)


def test_practice_is_far_below():
    asked = Asked(bits=20, sum_fraction=0.1)
    used = in_practice(asked)
    assert used["first_batch"] * 1e6 < stated(asked).first_batch
    assert used["first_batch_for_loss"] == pytest.approx(8000 / (8 * 0.1 * 0.1), abs=1)


def test_the_condition_on_n():
    assert Asked(bits=8, sum_fraction=0.1, loss=1 / 16).many_enough_bits
    assert not Asked(bits=8, sum_fraction=0.1, loss=1 / 17).many_enough_bits


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bits": 2, "sum_fraction": 0.1}, "n >= 4"),
        ({"bits": 7, "sum_fraction": 0.1}, "even"),
        ({"bits": 0, "sum_fraction": 0.1}, "at least 2"),
        ({"bits": 10, "sum_fraction": 0.0}, r"\(0, 1\], not 0"),
        ({"bits": 10, "sum_fraction": 0.1, "loss": 0.0}, "epsilon"),
        ({"bits": 10, "sum_fraction": 0.1, "failure": 1.0}, "delta"),
    ],
)
def test_what_the_theorem_does_not_cover_is_refused(fields, reason):
    with pytest.raises(UserError, match=reason):
        Asked(**fields)
