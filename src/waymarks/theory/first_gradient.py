"""Lemmas 2 and 3: the gradient at the initialisation of appendix A, where g = 0 everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from waymarks.theory.distributions import Mixture, Target, enumerate_task, refuse_no_fraction
from waymarks.theory.network import DenseNetwork

Vector = tuple[Fraction, ...]


@dataclass(frozen=True)
class FirstGradient:
    """The gradient of any row of W at u = 1, W = 0, v = 0: -E[y x], exactly.

    Attributes:
        of_sum, of_parity: that of each task alone, for (x0, x1 ... xn).
    """

    of_sum: Vector
    of_parity: Vector

    def at(self, sum_fraction: Fraction) -> Vector:
        """That of the p-mixture, which is affine in p: two gradients that agree at p = 0 and at
        p = 1 agree at every p."""
        refuse_no_fraction(sum_fraction)
        pairs = zip(self.of_sum, self.of_parity, strict=True)
        return tuple(sum_fraction * s + (1 - sum_fraction) * q for s, q in pairs)


def closed_form(target: Target) -> FirstGradient:
    """Lemma 2 (paper, section 2.3): -[-offset, w*] from Sum and 0 from Parity.

    It holds for |w*| >= 2, n even or odd.

    Raises:
        UserError: |w*| < 2, where it does not hold.
    """
    target.require_active(2, "Lemma 2")
    of_bits = tuple(Fraction(-int(chosen)) for chosen in target.indicator)
    return FirstGradient((target.offset, *of_bits), (Fraction(0),) * (target.bits + 1))


def by_enumeration(target: Target) -> FirstGradient:
    """-E[y x] summed over every input in integers; any |w*|.

    Raises:
        UserError: there are too many inputs.
    """
    return FirstGradient(
        _mean_of_label_times_input(target, 1), _mean_of_label_times_input(target, -1)
    )


def _mean_of_label_times_input(target: Target, flag: int) -> Vector:
    inputs = enumerate_task(target, flag)
    doubled = inputs.doubled_labels @ inputs.inputs.astype(np.int64)
    return tuple(Fraction(-int(total), 2 * len(inputs.inputs)) for total in doubled)


def mean_label(target: Target, sum_fraction: Fraction) -> Fraction:
    """E[y] of the p-mixture by enumeration, in integers."""
    refuse_no_fraction(sum_fraction)
    of_sum, of_parity = (enumerate_task(target, flag).doubled_labels for flag in (1, -1))
    total = sum_fraction * int(of_sum.sum()) + (1 - sum_fraction) * int(of_parity.sum())
    return total / (2 * len(of_sum))


def first_gradient_of_v(target: Target, sum_fraction: Fraction, bias: Fraction) -> Fraction:
    """dL/dv_j at the start, -E[y] relu(b_j), which Lemma 3 says is 0.

    E[y] is -p * offset where |w*| >= 1, so at the paper's largest bias, +p, this is p^2 n/2. The
    gradients of u and b are 0 for any examples, since W = 0 and v = 0.
    """
    return -mean_label(target, sum_fraction) * max(bias, Fraction(0))


def population_gradients(network: DenseNetwork, mixture: Mixture) -> Mapping[str, Tensor]:
    """The gradient of the mean loss over all inputs, of every parameter, by autograd.

    Returns:
        By the parameter's name (`W` [k, n+1], `u`, `v`, `b` [k]), in double precision.

    Raises:
        UserError: there are too many inputs.
    """
    p = mixture.sum_fraction
    loss = torch.zeros((), dtype=torch.float64)
    for flag, probability in ((1, p), (-1, 1 - p)):
        inputs = enumerate_task(mixture.target, flag)
        labels = torch.from_numpy(inputs.doubled_labels / 2)
        errors = network(torch.from_numpy(inputs.inputs.astype(np.float64))) - labels
        loss = loss + probability * errors.square().mean() / 2
    named = {name: value for name, value in network.named_parameters() if value.requires_grad}
    gradients = torch.autograd.grad(loss, list(named.values()))
    return dict(zip(named, gradients, strict=True))


def as_floats(vector: Vector) -> Float[np.ndarray, " inputs"]:
    """An exact vector in floating point."""
    return np.array([float(entry) for entry in vector])
