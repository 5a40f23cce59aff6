"""How large the first gradient's signal is against its sampling noise, at any initialisation.

What tells the active bits from the others is the part of the gradient of W that the label
brings, -E[y dg/dW]. (The part that the network's own output brings, E[g dg/dW], is as large on
active bits as on others, and more samples do not remove it.) A sampled gradient's noise is the
standard deviation of one example's gradient over the square root of the batch. The batch at which
the two are equal, in root mean square over the neurons and the active bits, is

    noise of one example ^2 / signal^2.

At the initialisation of appendix A it is in closed form (`special_batch`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from waymarks.axes import Frozen
from waymarks.errors import UserError
from waymarks.randomness import seed_sequence
from waymarks.theory.distributions import Mixture, Target, enumerate_task, refuse_no_fraction
from waymarks.theory.network import (
    INITIALISATIONS,
    DenseNetwork,
    half_squared_error,
    initialised,
)

BLOCK = 16_384
"""So many inputs are held at once."""


@dataclass(frozen=True)
class TaskMoments:
    """Population moments of one example's gradient of W, of one task, over active bits.

    Attributes:
        of_label: -E[y dg/dW].
        mean: E of the whole gradient, (g - y) dg/dW.
        square: E of the square of that; the same for every bit, since x_i^2 = 1.
    """

    of_label: Float[Tensor, "width active"]
    mean: Float[Tensor, "width active"]
    square: Float[Tensor, " width"]


@dataclass(frozen=True)
class GradientMoments:
    """Those of both tasks, from which those of every p-mixture follow."""

    sums: TaskMoments
    parities: TaskMoments

    def batch_to_stand_out(self, sum_fraction: float) -> float:
        """The batch at which signal and noise are equal.

        Raises:
            UserError: p is no probability.
        """
        refuse_no_fraction(sum_fraction)
        p, q = sum_fraction, 1 - sum_fraction
        signal = p * self.sums.of_label + q * self.parities.of_label
        mean = p * self.sums.mean + q * self.parities.mean
        square = p * self.sums.square + q * self.parities.square
        noise = square.mean() - mean.square().mean()
        return float(noise / signal.square().mean())


@torch.no_grad()
def gradient_moments(network: DenseNetwork, target: Target) -> GradientMoments:
    """The moments by enumeration of every input.

    Raises:
        UserError: there are too many inputs, or no bit is active.
    """
    target.require_active(1, "the signal on active bits")
    return GradientMoments(_moments(network, target, 1), _moments(network, target, -1))


def _moments(network: DenseNetwork, target: Target, flag: int) -> TaskMoments:
    inputs = enumerate_task(target, flag)
    active = [1 + place for place in target.active]
    shape = (network.width, len(active))
    of_label, mean = torch.zeros(shape).double(), torch.zeros(shape).double()
    square = torch.zeros(network.width).double()
    for begin in range(0, len(inputs.inputs), BLOCK):
        x = torch.from_numpy(inputs.inputs[begin : begin + BLOCK].astype(np.float64))
        y = torch.from_numpy(inputs.doubled_labels[begin : begin + BLOCK] / 2)
        slopes = network.u + network.v * (x @ network.W.T + network.b > 0)
        errors = (network(x) - y)[:, None] * slopes
        of_label -= (y[:, None] * slopes).T @ x[:, active]
        mean += errors.T @ x[:, active]
        square += errors.square().sum(0)
    count = len(inputs.inputs)
    return TaskMoments(of_label / count, mean / count, square / count)


def special_batch(bits: int, sum_fraction: float) -> float:
    """`batch_to_stand_out` at u = 1, W = 0, v = 0 with |w*| = n/2, where it is
    (p (n^2/4 + n/2) + (1 - p) - p^2) / p^2; infinite at p = 0.

    There y x_i has mean p and mean square E[y^2], which is n^2/4 + n/2 on Sum and 1 on Parity.
    """
    refuse_no_fraction(sum_fraction)
    p = sum_fraction
    if p == 0:
        return math.inf
    return (p * (bits**2 / 4 + bits / 2) + (1 - p) - p**2) / p**2


def sampled_gradient(
    network: DenseNetwork, mixture: Mixture, batch: int, seed: int
) -> Float[np.ndarray, "width inputs"]:
    """The mean gradient of W over `batch` examples.

    Raises:
        UserError: `batch` is below 1.
    """
    if batch < 1:
        raise UserError(f"batch must be at least 1, not {batch}")
    total = torch.zeros_like(network.W)
    for index, begin in enumerate(range(0, batch, BLOCK)):
        size = min(BLOCK, batch - begin)
        generator = np.random.default_rng(seed_sequence(seed, "theory/signal", index))
        examples = mixture.sample(size, generator)
        labels = torch.from_numpy(mixture.labels(examples))
        loss = half_squared_error(network(torch.from_numpy(examples.inputs())), labels)
        total += size * torch.autograd.grad(loss, network.W)[0]
    return (total / batch).numpy()


def relevance_auc(
    network: DenseNetwork, gradient: Float[np.ndarray, "width inputs"], target: Target
) -> float:
    """The chance that a small step along minus the gradient raises the network's linear part at an
    active bit more than at another bit (ties count half): .5 tells nothing of which bits are
    active, 1 tells all.

    The linear part is taken as the sum over neurons of (u_j + v_j / 2) W_j: a hinge counts half.

    Raises:
        UserError: every bit is active, or none.
    """
    active = target.indicator == 1
    if active.all() or not active.any():
        raise UserError("an AUC needs active bits and others")
    slopes = (network.u + network.v / 2).detach().numpy()
    raised = -(slopes @ gradient)[1:]
    differences = raised[active][:, None] - raised[~active][None, :]
    return float(np.mean((differences > 0) + 0.5 * (differences == 0)))


class SignalPoint(Frozen):
    """The batch at which active bits stand out, of one network; None where no batch suffices."""

    initialisation: str
    bits: int
    sum_fraction: float
    seed: int
    batch: float | None


def signal_points(
    bits: Sequence[int],
    fractions: Sequence[float] = (0.0, 0.1, 0.5),
    seeds: int = 5,
    width: int = 64,
) -> Iterator[SignalPoint]:
    """One point for every initialisation, n, seed and p; each enumerates every input.

    Raises:
        UserError: an n is odd or too large to enumerate.
    """
    for n in bits:
        for seed in range(seeds):
            target = Target.half(n, seed)
            for name in INITIALISATIONS:
                moments = gradient_moments(initialised(name, n, width, seed), target)
                for p in fractions:
                    batch = moments.batch_to_stand_out(p)
                    yield SignalPoint(
                        initialisation=name,
                        bits=n,
                        sum_fraction=p,
                        seed=seed,
                        batch=batch if math.isfinite(batch) else None,
                    )


class Growth(Frozen):
    """How the median batch grows with n: as 2^(per_bit n) or as n^power, by least squares on the
    logarithm; None where no batch suffices."""

    initialisation: str
    sum_fraction: float
    per_bit: float | None
    power: float | None


def growths(points: Sequence[SignalPoint]) -> list[Growth]:
    """That of every initialisation and p.

    Raises:
        UserError: the points are of fewer than two values of n.
    """
    if len({point.bits for point in points}) < 2:
        raise UserError("growth with n needs at least two values of n")
    kinds = dict.fromkeys((point.initialisation, point.sum_fraction) for point in points)
    return [_growth(points, name, p) for name, p in kinds]


def _growth(points: Sequence[SignalPoint], name: str, p: float) -> Growth:
    batches: dict[int, list[float]] = {}
    for point in points:
        if (point.initialisation, point.sum_fraction) == (name, p):
            batches.setdefault(point.bits, []).append(point.batch or math.inf)
    medians = np.log2([float(np.median(found)) for found in batches.values()])
    if not np.isfinite(medians).all():
        return Growth(initialisation=name, sum_fraction=p, per_bit=None, power=None)
    bits = np.array(list(batches), dtype=np.float64)
    per_bit, power = (float(np.polyfit(x, medians, 1)[0]) for x in (bits, np.log2(bits)))
    return Growth(initialisation=name, sum_fraction=p, per_bit=per_bit, power=power)


class Relevance(Frozen):
    """The mean AUC over seeds with which one sampled gradient tells active bits from others."""

    initialisation: str
    bits: int
    sum_fraction: float
    batch: int
    seeds: int
    auc: float


def relevances(
    bits: int, batch: int, fractions: Sequence[float], seeds: int, width: int = 64
) -> Iterator[Relevance]:
    """One for every initialisation and p; sampled, so any even n will do."""
    for name in INITIALISATIONS:
        for p in fractions:
            found = []
            for seed in range(seeds):
                mixture = Mixture(target=Target.half(bits, seed), sum_fraction=p)
                network = initialised(name, bits, width, seed)
                gradient = sampled_gradient(network, mixture, batch, seed)
                found.append(relevance_auc(network, gradient, mixture.target))
            yield Relevance(
                initialisation=name,
                bits=bits,
                sum_fraction=p,
                batch=batch,
                seeds=seeds,
                auc=float(np.mean(found)),
            )
