"""The bounds of Theorem 1, as its proof states them and with its slips corrected.

Legend: epsilon the loss asked for, delta the chance of failure, tau how far an entry of W may be
from p w, alpha the smoothness of the loss in (u, v), k width, B first batch, T updates.
"""

import math

from pydantic import model_validator

from waymarks.axes import Frozen
from waymarks.errors import UserError
from waymarks.theory.distributions import half_of
from waymarks.theory.hinges import hinges_named
from waymarks.theory.settings import first_batch_for, practical


class Asked(Frozen):
    """What the theorem is asked for.

    Attributes:
        bits: n, even and at least 4.
        sum_fraction: p in (0, 1].
        loss: epsilon in (0, 1).
        failure: delta in (0, 1).
    """

    bits: int
    sum_fraction: float
    loss: float = 0.1
    failure: float = 0.01

    @model_validator(mode="after")
    def _refuse_what_the_theorem_does_not_cover(self) -> "Asked":
        half_of(self.bits)
        if self.bits < 4:
            raise UserError(f"Theorem 1 needs n >= 4 (Lemma 2 needs |w*| >= 2), not {self.bits}")
        if not 0 < self.sum_fraction <= 1:
            raise UserError(
                f"Theorem 1 divides by p: p must lie in (0, 1], not {self.sum_fraction}"
            )
        for name, value in (("epsilon", self.loss), ("delta", self.failure)):
            if not 0 < value < 1:
                raise UserError(f"{name} must lie in (0, 1), not {value}")
        return self

    @property
    def many_enough_bits(self) -> bool:
        """The theorem's condition n >= 2 log2(1/epsilon)."""
        return self.bits >= 2 * math.log2(1 / self.loss)


class Bounds(Frozen):
    """How much suffices, and for what.

    Attributes:
        tau: how close an entry of W has to come to p w.
        first_batch: B. width: k. smoothness: alpha. step_size: eta. updates: T.
        reached: the mean loss that the SGD theorem then promises.
        failure: the chance that the promise does not hold; 1 or more says nothing.
    """

    tau: float
    first_batch: float
    width: float
    smoothness: float
    step_size: float
    updates: float
    reached: float
    failure: float


def stated(asked: Asked) -> Bounds:
    """As the paper's proof has them (appendix A, proof of Theorem 1).

    `reached` evaluates the SGD theorem that the proof cites at the proof's own constants. The
    proof writes 12.8 * 36 for what its terms multiply to, 12 * 8 * 36.
    """
    n, p, epsilon, delta = asked.bits, asked.sum_fraction, asked.loss, asked.failure
    smoothness = 36 * p**2 * n**4
    updates = 12.8 * 36 * n**7 / epsilon**2
    return Bounds(
        tau=tau_for(asked, epsilon),
        first_batch=4 * n**8 / (p**2 * epsilon),
        width=n * math.log(n / delta),
        smoothness=smoothness,
        step_size=step_size_for(smoothness, epsilon),
        updates=updates,
        reached=promised(2 * epsilon, 8 * n**3 / p**2, smoothness, epsilon, updates),
        failure=4 * updates * delta,
    )


def reached_by_its_terms(asked: Asked) -> float:
    """`reached` of the stated bounds with T = 12 |u*|^2 alpha / epsilon^2, whose terms as the proof
    has them multiply to 12 * 8 * 36 n^7 / epsilon^2."""
    n, p, epsilon = asked.bits, asked.sum_fraction, asked.loss
    smoothness, squared_norm = 36 * p**2 * n**4, 8 * n**3 / p**2
    updates = 12 * squared_norm * smoothness / epsilon**2
    return promised(2 * epsilon, squared_norm, smoothness, epsilon, updates)


def corrected(asked: Asked) -> Bounds:
    """With the slips corrected, for the loss that was asked for.

    The proof reaches 3 epsilon, so a third is put in; y x_j has range 2n, the n+1 entries of the
    one distinct row need no factor k, and the logarithm stays; alpha is what the features' norm
    is, with no k <= n^2; |(u, v)|^2 is that of Lemma 5's weights. The failure is that of the first
    batch plus that of the biases; the loss is a mean over the later draws.
    """
    n, p, delta = asked.bits, asked.sum_fraction, asked.failure
    epsilon = asked.loss / 3
    tau = tau_for(asked, epsilon)
    width = n * math.log(n / delta)
    linear = p * n + (n + 1) * tau
    smoothness = width * (linear**2 + (linear + p) ** 2)
    squared_norm = (_sum_of_squares(n) + 1 / width) / p**2
    updates = 12 * squared_norm * smoothness / epsilon**2
    return Bounds(
        tau=tau,
        first_batch=first_batch_of_hoeffding(n, tau, delta),
        width=width,
        smoothness=smoothness,
        step_size=step_size_for(smoothness, epsilon),
        updates=updates,
        reached=promised(2 * epsilon, squared_norm, smoothness, epsilon, updates),
        failure=2 * delta,
    )


def tau_for(asked: Asked, epsilon: float) -> float:
    """tau^2 = p^2 epsilon / (8 n^6), at which Lemma 6's first term is epsilon."""
    return math.sqrt(asked.sum_fraction**2 * epsilon / (8 * asked.bits**6))


def step_size_for(smoothness: float, epsilon: float) -> float:
    """eta = 1 / (alpha (1 + 3/epsilon))."""
    return 1 / (smoothness * (1 + 3 / epsilon))


def promised(
    best: float, squared_norm: float, smoothness: float, epsilon: float, updates: float
) -> float:
    """The mean loss of averaged SGD from a start at 0, by Shalev-Shwartz and Ben-David 2014,
    theorem 14.13: (L(u*) + |u*|^2 / (2 eta T)) / (1 - eta alpha)."""
    eta = step_size_for(smoothness, epsilon)
    return (best + squared_norm / (2 * eta * updates)) / (1 - eta * smoothness)


def first_batch_of_hoeffding(bits: int, tau: float, failure: float) -> float:
    """The examples after which all n+1 entries are within tau, except with chance `failure`."""
    return 2 * bits**2 / tau**2 * math.log(2 * (bits + 1) / failure)


def in_practice(asked: Asked) -> dict[str, float]:
    """What `practical` takes for the same n and p with data-kink biases, and the first batch
    after which least squares reaches about the loss that was asked for."""
    settings = practical(asked.bits, asked.sum_fraction)
    rule = first_batch_for(asked.bits, asked.sum_fraction, asked.loss)
    return {
        "first_batch": float(settings.first_batch or 0),
        "width": float(settings.width),
        "updates": float(settings.updates),
        "first_batch_for_loss": float(rule),
    }


def _sum_of_squares(bits: int) -> int:
    return sum(nu**2 for nu in hinges_named("paper").coefficients(half_of(bits)))
