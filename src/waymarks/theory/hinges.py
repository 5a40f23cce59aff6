"""Which biases the neurons start with, and the output weights that then compute f.

Everything here is in units of p: a bias of the network is p times an integer given here, and a
neuron's output weight is the integer coefficient divided by p. Legend: n' = n/2, e = (-1)^n',
i = 0 ... n' numbers the hinges, z = <w, x> = s - offset * x0 what every neuron sees (over p).
The hinges have to supply parity - z where x0 = -1 and nothing where x0 = +1.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int64

from waymarks.errors import UserError, unknown_name
from waymarks.randomness import seed_sequence
from waymarks.theory.distributions import Target, half_of


class Hinges(ABC):
    """A choice of n/2 + 1 biases for any even n, with the coefficients that go with them."""

    name: str
    """As it is selected by."""

    extra_offset: int = 0
    """What the sum label takes off beyond the paper's n/2."""

    @abstractmethod
    def biases(self, half: int) -> tuple[int, ...]:
        """beta_0 ... beta_n' over p, rising. `half` is n' >= 1."""

    @abstractmethod
    def coefficients(self, half: int) -> tuple[int, ...]:
        """nu_0 ... nu_n', with sum over i of nu_i relu(z + beta_i) + z = parity at x0 = -1."""

    @abstractmethod
    def largest_coefficient(self, half: int) -> int:
        """max |nu_i| in closed form."""

    def value(self, half: int, z: int) -> int:
        """sum over i of nu_i relu(z + beta_i) + z: what the network computes at z."""
        pairs = zip(self.coefficients(half), self.biases(half), strict=True)
        return z + sum(nu * max(z + beta, 0) for nu, beta in pairs)

    def parity_inputs(self, half: int) -> tuple[int, ...]:
        """z at x0 = -1, for s = -n', -n' + 2 ... n'."""
        return tuple(2 * step + self.extra_offset for step in range(half + 1))

    def target(self, bits: int, seed: int = 0) -> Target:
        """Half of the bits active, with the sum label that these hinges are for."""
        return Target.half(bits, seed, self.extra_offset)

    def solved(self, half: int) -> tuple[Fraction, ...]:
        """The coefficients by solving for them, which shows that there is no other choice.

        From one z to the next exactly one more hinge opens, so the equations are triangular.
        """
        biases = self.biases(half)
        found: dict[int, Fraction] = {}
        for step, z in enumerate(self.parity_inputs(half)):
            opened = half - step
            parity = (-1) ** (half - step)
            given = sum((nu * max(z + biases[i], 0) for i, nu in found.items()), Fraction(z))
            found[opened] = (parity - given) / (z + biases[opened])
        return tuple(found[i] for i in range(half + 1))


class PaperHinges(Hinges):
    """The paper's (appendix A, Lemma 4): hinges bend midway between the values of z."""

    name = "paper"

    def biases(self, half: int) -> tuple[int, ...]:
        return tuple(-2 * half + 2 * i + 1 for i in range(half + 1))

    def coefficients(self, half: int) -> tuple[int, ...]:
        e = (-1) ** half
        return (*((-1) ** i * (4 * (half - i) + 2 * e) for i in range(half)), e)

    def largest_coefficient(self, half: int) -> int:
        if half == 1:
            return 2
        return 4 * half + 2 if half % 2 == 0 else 4 * half - 2


class DataKinkHinges(Hinges):
    """Hinges that bend at the values of z themselves, save the last: |nu| <= 3 for every n."""

    name = "data-kink"

    def biases(self, half: int) -> tuple[int, ...]:
        return (*(-2 * half + 2 * i + 2 for i in range(half)), 1)

    def coefficients(self, half: int) -> tuple[int, ...]:
        e = (-1) ** half
        return (*(2 * (-1) ** i for i in range(half - 1)), -1 - 2 * e, e)

    def largest_coefficient(self, half: int) -> int:
        if half == 1:
            return 1
        return 3 if half % 2 == 0 else 2


class ExactHinges(Hinges):
    """The exact mend: with the sum label s - (n/2 + 1), no z belongs to both tasks."""

    name = "exact"
    extra_offset = 1

    def biases(self, half: int) -> tuple[int, ...]:
        return tuple(-2 * half + 2 * i for i in range(half + 1))

    def coefficients(self, half: int) -> tuple[int, ...]:
        e = (-1) ** half
        return (*(4 * (-1) ** i * (half - i) for i in range(half)), e - 1)

    def largest_coefficient(self, half: int) -> int:
        return 4 * half


HINGES: Mapping[str, Hinges] = {
    hinges.name: hinges for hinges in (DataKinkHinges(), PaperHinges(), ExactHinges())
}
"""The choices by name."""


def hinges_named(name: str) -> Hinges:
    """The choice of biases called `name`.

    Raises:
        UserError: there is none; names the nearest.
    """
    if name not in HINGES:
        raise UserError(unknown_name("biases", name, HINGES))
    return HINGES[name]


def drawn_biases(
    hinges: Hinges, bits: int, fraction: float, width: int, seed: int
) -> tuple[Float[np.ndarray, " groups"], Int64[np.ndarray, " width"]]:
    """The initial biases of `width` neurons, each uniform over the n/2 + 1 values (appendix A).

    Returns:
        The distinct values, and which of them each neuron has.

    Raises:
        UserError: `fraction` is 0 or below, where all biases would vanish, or `width` is.
    """
    if fraction <= 0:
        raise UserError(
            f"biases are p times a constant and would vanish at p = {fraction}: "
            "give a reference p above 0"
        )
    if width < 1:
        raise UserError(f"width must be at least 1, not {width}")
    values = fraction * np.array(hinges.biases(half_of(bits)), dtype=np.float64)
    generator = np.random.default_rng(seed_sequence(seed, "theory/biases", 0))
    return values, generator.integers(0, len(values), size=width)
