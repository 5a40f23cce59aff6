"""The first gradient's signal against plain sums over every input."""

import itertools
import math

import numpy as np
import pytest

from waymarks.errors import UserError
from waymarks.theory.distributions import Mixture, Target
from waymarks.theory.network import INITIALISATIONS, initialised
from waymarks.theory.signal import (
    gradient_moments,
    growths,
    relevance_auc,
    relevances,
    sampled_gradient,
    signal_points,
    special_batch,
)


def plain_batch(network, target, p):
    """Noise over signal by a loop over every input and neuron."""
    width, active = network.width, target.active
    label_part = np.zeros((width, len(active)))
    mean, square = np.zeros_like(label_part), np.zeros_like(label_part)
    W, u, v, b = (t.detach().numpy() for t in (network.W, network.u, network.v, network.b))  # noqa: N806
    for flag in (1, -1):
        for bits in itertools.product((-1, 1), repeat=target.bits):
            x = np.array([flag, *bits])
            chosen = [bits[place] for place in active]
            y = sum(chosen) - target.bits / 2 if flag == 1 else math.prod(chosen)
            chance = (p if flag == 1 else 1 - p) / 2**target.bits
            seen = W @ x
            g = u @ seen + v @ np.maximum(seen + b, 0)
            for j in range(width):
                slope = u[j] + v[j] * (seen[j] + b[j] > 0)
                for k, place in enumerate(active):
                    label_part[j, k] -= chance * y * slope * bits[place]
                    mean[j, k] += chance * (g - y) * slope * bits[place]
                    square[j, k] += chance * ((g - y) * slope * bits[place]) ** 2
    return (square - mean**2).mean() / (label_part**2).mean()


@pytest.mark.parametrize("name", sorted(INITIALISATIONS))
@pytest.mark.parametrize("p", [0.1, 0.7])
def test_the_moments_are_those_of_a_plain_sum(name, p):
    network, target = initialised(name, 6, 3, 1), Target.half(6, 1)
    found = gradient_moments(network, target).batch_to_stand_out(p)
    assert found == pytest.approx(plain_batch(network, target, p), rel=1e-10)


@pytest.mark.parametrize("bits", [4, 8, 12])
@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
def test_the_special_initialisation_in_closed_form(bits, p):
    moments = gradient_moments(initialised("special", bits, 5, 0), Target.half(bits, 2))
    assert moments.batch_to_stand_out(p) == pytest.approx(special_batch(bits, p), rel=1e-12)


def test_at_the_special_initialisation_no_batch_suffices_without_sums():
    moments = gradient_moments(initialised("special", 6, 5, 0), Target.half(6))
    assert moments.batch_to_stand_out(0.0) == math.inf == special_batch(6, 0.0)


def test_without_sums_the_batch_grows_exponentially_and_with_them_slowly():
    found = growths(list(signal_points((6, 8, 10, 12), (0.0, 0.1), seeds=3, width=32)))
    for one in found:
        if one.initialisation == "special" and one.sum_fraction == 0:
            assert one.per_bit is None
        elif one.sum_fraction == 0:
            assert one.per_bit > 0.9
        else:
            assert one.per_bit < 0.4
            assert one.power < 2.5


def test_a_sampled_gradient_comes_near_the_population_gradient():
    target = Target.half(8, 1)
    network = initialised("special", 8, 4, 0)
    gradient = sampled_gradient(network, Mixture(target=target, sum_fraction=0.5), 100_000, 0)
    np.testing.assert_allclose(gradient[:, 1:], -0.5 * np.tile(target.indicator, (4, 1)), atol=0.06)
    assert relevance_auc(network, gradient, target) == 1.0


def test_the_auc_of_noise_is_a_half_and_of_the_opposite_is_none():
    target = Target.half(40, 0)
    network = initialised("special", 40, 2, 0)
    towards = np.zeros((2, 41))
    assert relevance_auc(network, towards, target) == 0.5
    towards[:, 1:] = target.indicator
    assert relevance_auc(network, towards, target) == 0.0
    assert relevance_auc(network, -towards, target) == 1.0


def test_relevance_shows_with_sums_at_the_special_initialisation():
    found = {
        (one.initialisation, one.sum_fraction): one.auc
        for one in relevances(30, 20_000, (0.0, 0.5), seeds=2, width=16)
    }
    assert found["special", 0.5] > 0.95
    assert abs(found["special", 0.0] - 0.5) < 0.2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: initialised("hee", 4, 4, 0), "did you mean he"),
        (lambda: list(signal_points((22,), seeds=1)), "at most 20"),
        (lambda: growths(list(signal_points((4,), seeds=1, width=2))), "two values of n"),
        (lambda: special_batch(4, 1.2), r"\[0, 1\]"),
        (lambda: gradient_moments(initialised("he", 4, 2, 0), Target(bits=4, active=())), "needs"),
    ],
)
def test_what_cannot_be_measured_is_refused(make, reason):
    with pytest.raises(UserError, match=reason):
        make()
