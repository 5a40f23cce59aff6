"""Lemmas 4, 5 and 6: f lies in the span of the features that the first step finds.

Lemmas 4 and 5 are checked in integers and fractions; there is no tolerance in them.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import comb

import numpy as np
import torch
from jaxtyping import Bool, Int64

from waymarks.errors import UserError
from waymarks.randomness import seed_sequence
from waymarks.theory.distributions import (
    Target,
    all_signs,
    enumerate_task,
    half_of,
    refuse_no_fraction,
)
from waymarks.theory.hinges import Hinges, PaperHinges
from waymarks.theory.network import DenseNetwork


def hinge_sum(half: int) -> Int64[np.ndarray, "count 2"]:
    """Both sides of Lemma 4 at every x in {-1, +1}^n', in integers.

    Returns:
        Left, sum over i of nu_i relu(s + beta'_i + n'), and right, parity - s - n'.

    Raises:
        UserError: n' is below 1 or too large to enumerate.
    """
    if half < 1:
        raise UserError(f"Lemma 4 needs n' >= 1, not {half}")
    hinges, signs = PaperHinges(), all_signs(half).astype(np.int64)
    sums, parities = signs.sum(1), signs.prod(1)
    pre = sums[:, None] + np.array(hinges.biases(half)) + half
    left = np.maximum(pre, 0) @ np.array(hinges.coefficients(half))
    return np.stack([left, parities - sums - half], axis=1)


def span_error(
    hinges: Hinges, bits: int, sum_fraction: Fraction
) -> dict[tuple[int, int], Fraction]:
    """f~ - f of Lemma 5 at every (x0, s), in fractions; both depend on x through these alone.

    f~(x) = sum over i of (nu_i/p) relu(<pw, x> + p beta_i) + (1/p) <pw, x>, with w = (-offset, w*).

    Raises:
        UserError: p is not in (0, 1], or `bits` is odd or below 2.
    """
    half = half_of(bits)
    refuse_no_fraction(sum_fraction)
    if sum_fraction == 0:
        raise UserError("Lemma 5 divides by p: p must be above 0")
    target = Target(bits=bits, active=tuple(range(half)), extra_offset=hinges.extra_offset)
    pairs = tuple(zip(hinges.coefficients(half), hinges.biases(half), strict=True))
    errors = {}
    for flag in (1, -1):
        for s in target.active_sums():
            seen = sum_fraction * (s - target.offset * flag)
            terms = (
                nu / sum_fraction * max(seen + sum_fraction * beta, Fraction(0))
                for nu, beta in pairs
            )
            errors[flag, s] = sum(terms, seen / sum_fraction) - target.label(flag, s)
    return errors


@dataclass(frozen=True)
class SpanOnInputs:
    """Lemma 5 at every input of one flag, in integers.

    Attributes:
        doubled_errors: 2 (f~ - f).
        every_active_bit_is_one: whether s = n/2.
    """

    doubled_errors: Int64[np.ndarray, " count"]
    every_active_bit_is_one: Bool[np.ndarray, " count"]


def span_error_on_inputs(hinges: Hinges, target: Target, flag: int) -> SpanOnInputs:
    """f~ - f at every input whose flag is `flag`, by enumeration; p cancels.

    Raises:
        UserError: |w*| is not n/2, or there are too many inputs.
    """
    half = half_of(target.bits)
    if len(target.active) != half:
        raise UserError(f"Lemma 5 needs |w*| = n/2 = {half}, not {len(target.active)}")
    inputs = enumerate_task(target, flag)
    weights = np.concatenate([[-int(target.offset)], target.indicator])
    seen = inputs.inputs.astype(np.int64) @ weights
    hinged = np.maximum(seen[:, None] + np.array(hinges.biases(half)), 0)
    computed = seen + hinged @ np.array(hinges.coefficients(half))
    return SpanOnInputs(2 * computed - inputs.doubled_labels, inputs.active_sums == half)


def least_loss_of_z(target: Target, sum_fraction: Fraction) -> Fraction:
    """The least mean of (1/2)(h(z) - y)^2 that any function h of z = <w, x> can reach, exactly.

    It is half the mean variance of y given z. With the paper's label that is
    (1/2) p (1-p) 2^(-n/2): z = 0 comes from (Sum, s = n/2), where y = 0, and from
    (Parity, s = -n/2), where y = +-1. With the label s - (n/2 + 1) it is 0.
    """
    refuse_no_fraction(sum_fraction)
    moments: dict[Fraction, list[Fraction]] = {}
    for flag, probability in ((1, sum_fraction), (-1, 1 - sum_fraction)):
        for s, chance in target.active_sums().items():
            label = target.label(flag, s)
            kept = moments.setdefault(s - target.offset * flag, [Fraction(0)] * 3)
            for power in range(3):
                kept[power] += probability * chance * label**power
    return sum((m2 - m1 * m1 / m0 for m0, m1, m2 in moments.values() if m0), Fraction(0)) / 2


def chance_of_every_bias(bits: int, width: int) -> Fraction:
    """The probability that `width` uniform draws hit each of the n/2 + 1 biases, exactly."""
    kinds = half_of(bits) + 1
    hits = sum(
        (-1) ** missed * comb(kinds, missed) * (kinds - missed) ** width
        for missed in range(kinds + 1)
    )
    return Fraction(hits, kinds**width)


@dataclass(frozen=True)
class PerturbedSpan:
    """Lemma 6 at one W within tau of p w.

    Attributes:
        loss: the exact mean loss over all inputs.
        allowed: the lemma's bound, 8 n^6 tau^2 / p^2 + 2^(-n/2).
        squared_norm: the larger of |u|^2 and |v|^2.
        allowed_norm: the lemma's bound on it, 4 n^3 / p^2.
    """

    loss: float
    allowed: float
    squared_norm: float
    allowed_norm: float


def perturbed_span(
    hinges: Hinges, bits: int, sum_fraction: float, tau: float, seed: int
) -> PerturbedSpan:
    """The loss of Lemma 5's weights where each entry of each row of W is off by +tau or -tau.

    The neurons are one for each bias, which is what the lemma uses of the k.

    Raises:
        UserError: p or `bits` are not as in `span_error`, or there are too many inputs.
    """
    half = half_of(bits)
    refuse_no_fraction(sum_fraction)
    if sum_fraction == 0:
        raise UserError("Lemma 6 divides by p: p must be above 0")
    target = hinges.target(bits, seed)
    row = np.concatenate([[-float(target.offset)], target.indicator])
    generator = np.random.default_rng(seed_sequence(seed, "theory/perturbation", bits))
    signs = generator.choice([-1.0, 1.0], size=(half + 1, bits + 1))
    network = DenseNetwork(bits, half + 1)
    p = sum_fraction
    with torch.no_grad():
        network.W.copy_(torch.from_numpy(p * row + tau * signs))
        network.u.fill_(1 / p / network.width)
        network.v.copy_(torch.tensor(hinges.coefficients(half)).double() / p)
        network.b.copy_(p * torch.tensor(hinges.biases(half)).double())
        loss = sum(
            share * _mean_loss(network, target, flag) for flag, share in ((1, p), (-1, 1 - p))
        )
    norms = [float(values.detach().square().sum()) for values in (network.u, network.v)]
    allowed = 8 * bits**6 * tau**2 / p**2 + 2.0 ** (-half)
    return PerturbedSpan(float(loss), allowed, max(norms), 4 * bits**3 / p**2)


def _mean_loss(network: DenseNetwork, target: Target, flag: int) -> float:
    inputs = enumerate_task(target, flag)
    outputs = network(torch.from_numpy(inputs.inputs.astype(np.float64)))
    return float((outputs - torch.from_numpy(inputs.doubled_labels / 2)).square().mean() / 2)
