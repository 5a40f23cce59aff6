"""The settings of Theorem 1's procedure, and practical values for them."""

import math

from pydantic import model_validator

from waymarks.axes import Frozen
from waymarks.errors import UserError
from waymarks.theory.distributions import Mixture, half_of, refuse_no_fraction
from waymarks.theory.hinges import Hinges, hinges_named


class Settings(Frozen):
    """The procedure, as plain data. `practical` fills in settings that work.

    Attributes:
        bits: n, even.
        sum_fraction: p.
        biases: which hinges, by name.
        reference_fraction: the p that scales the biases; `sum_fraction` itself unless given,
            and needed where that is 0.
        width: k neurons.
        first_batch: B0, examples of the first step; None takes the population gradient.
        batch: B, examples of every later update.
        updates: T, how many of them.
        momentum: of the later updates.
        step_scale: c; the step size is c over the largest eigenvalue of E[(Psi,Phi)(Psi,Phi)'].
        average_from: the share of the updates before averaging begins: 0 averages all.
        freeze_v_first: whether v has step size 0 in the first step (the mend of Lemma 3).
        reset_u: whether u is set to 0 after the first step.
        seed: fixes the hidden subset and every draw.
    """

    bits: int
    sum_fraction: float
    biases: str = "data-kink"
    reference_fraction: float | None = None
    width: int
    first_batch: int | None
    batch: int
    updates: int
    momentum: float = 0.0
    step_scale: float = 1.0
    average_from: float = 0.0
    freeze_v_first: bool = True
    reset_u: bool = True
    seed: int = 0

    @model_validator(mode="after")
    def _refuse_what_cannot_run(self) -> "Settings":
        half_of(self.bits)
        hinges_named(self.biases)
        refuse_no_fraction(self.sum_fraction)
        _bias_fraction(self.sum_fraction, self.reference_fraction)
        for name in ("width", "first_batch", "batch", "updates"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, not {value}")
        if not 0 <= self.momentum < 1:
            raise UserError(f"momentum must lie in [0, 1), not {self.momentum}")
        if not 0 <= self.average_from < 1:
            raise UserError(f"average_from must lie in [0, 1), not {self.average_from}")
        if self.step_scale <= 0:
            raise UserError(f"step_scale must be above 0, not {self.step_scale}")
        if self.seed < 0:
            raise UserError(f"seed must be at least 0, not {self.seed}")
        return self

    @property
    def hinges(self) -> Hinges:
        return hinges_named(self.biases)

    @property
    def bias_fraction(self) -> float:
        """The p that scales the biases."""
        return _bias_fraction(self.sum_fraction, self.reference_fraction)

    @property
    def first_averaged(self) -> int:
        """The number, from 0, of the first update whose outcome is averaged."""
        return math.floor(self.average_from * self.updates)

    @property
    def mixture(self) -> Mixture:
        """What is learned."""
        target = self.hinges.target(self.bits, self.seed)
        return Mixture(target=target, sum_fraction=self.sum_fraction)


def _bias_fraction(sum_fraction: float, reference_fraction: float | None) -> float:
    fraction = sum_fraction if reference_fraction is None else reference_fraction
    if not 0 < fraction <= 1:
        raise UserError(
            f"biases are p times a constant and would vanish at p = {fraction:g}: "
            "give a reference p in (0, 1] to scale them by"
        )
    return fraction


def practical(
    bits: int,
    sum_fraction: float,
    biases: str = "data-kink",
    reference_fraction: float | None = None,
    seed: int = 0,
) -> Settings:
    """Settings that reach parity accuracy .99 with data-kink biases (any n <= 50) and .96 with
    the paper's (n <= 20), for p >= .1.

    k = n ln(n / .01) as in the theorem; B0 = n^3 / (8 p loss) examples, for a mixture loss of
    .005 by least squares with data kinks, and of .0005 with the paper's biases, whose larger
    output weights amplify the noise of the first step. T was found by experiment.

    Raises:
        UserError: `bits` is odd or below 2, p is no probability or biases would vanish, or the
            name of the biases is unknown.
    """
    half_of(bits)
    refuse_no_fraction(sum_fraction)
    fraction = _bias_fraction(sum_fraction, reference_fraction)
    kinks = hinges_named(biases).name == "data-kink"
    return Settings(
        bits=bits,
        sum_fraction=sum_fraction,
        biases=biases,
        reference_fraction=reference_fraction,
        width=width_for(bits, 0.01),
        first_batch=first_batch_for(bits, fraction, 0.005 if kinks else 0.0005),
        batch=256,
        updates=max(10_000, 64 * bits**2) if kinks else 250 * bits**2,
        momentum=0.99,
        step_scale=0.5,
        average_from=0.5,
        seed=seed,
    )


def width_for(bits: int, failure: float) -> int:
    """k = n ln(n / delta), at which every bias is drawn with probability 1 - delta."""
    return math.ceil(bits * math.log(bits / failure))


def first_batch_for(bits: int, sum_fraction: float, loss: float) -> int:
    """B0 = n^3 / (8 p loss): the first batch after which least squares reaches a mixture loss of
    about `loss`. A rule found by experiment, not a theorem."""
    return math.ceil(bits**3 / (8 * sum_fraction * loss))
