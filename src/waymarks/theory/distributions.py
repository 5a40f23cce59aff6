"""The distributions of section 2.1: the sum of a hidden subset and its parity, told apart by a
flag bit, each by itself and mixed.

Legend: n bits, w* the hidden subset, x0 the flag (+1: Sum, -1: Parity), s the sum of the active
bits, p the fraction of Sum examples.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Int, Int8, Int64, UInt8
from pydantic import model_validator

from waymarks.axes import Frozen
from waymarks.errors import UserError
from waymarks.randomness import Rng

ENUMERABLE_BITS = 20
"""More bits than this are not enumerated: 2^20 inputs of each task are a matter of a second."""


def all_signs(width: int) -> Int8[np.ndarray, "count width"]:
    """Every element of {-1, +1}^width, 2^width rows.

    Raises:
        UserError: `width` is too large to enumerate.
    """
    if width > ENUMERABLE_BITS:
        raise UserError(
            f"{width} bits are too many to enumerate: at most {ENUMERABLE_BITS} can be "
            f"(2^{ENUMERABLE_BITS} inputs); sample instead"
        )
    ones = (np.arange(2**width)[:, None] >> np.arange(width)) & 1
    return (2 * ones - 1).astype(np.int8)


class Target(Frozen):
    """The function f of section 2.1: the sum label is s - offset, the parity label the product.

    Attributes:
        bits: n >= 1, even or odd.
        active: the places where w* is 1, counted from 0, in rising order.
        extra_offset: what is taken off the sum label beyond the paper's n/2 (the exact mend of
            Lemma 5 takes off 1).
    """

    bits: int
    active: tuple[int, ...]
    extra_offset: int = 0

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> "Target":
        if self.bits < 1:
            raise UserError(f"bits must be at least 1, not {self.bits}")
        if list(self.active) != sorted(set(self.active)):
            raise UserError(f"active must name each bit once, in rising order: {self.active}")
        if self.active and not 0 <= self.active[0] <= self.active[-1] < self.bits:
            raise UserError(f"active must lie within 0 ... {self.bits - 1}: {self.active}")
        return self

    @classmethod
    def half(cls, bits: int, seed: int = 0, extra_offset: int = 0) -> "Target":
        """Half of the bits active, which ones being what `seed` fixes.

        Raises:
            UserError: `bits` is odd or below 2.
        """
        half_of(bits)
        order = Rng.of(seed, "theory", 0).constant("hidden subset").permutation(bits)
        active = tuple(sorted(int(place) for place in order[: bits // 2]))
        return cls(bits=bits, active=active, extra_offset=extra_offset)

    @property
    def offset(self) -> Fraction:
        """What the sum label takes off the sum: n/2, and `extra_offset`."""
        return Fraction(self.bits, 2) + self.extra_offset

    @property
    def indicator(self) -> Int64[np.ndarray, " bits"]:
        """w*: 1 where a bit is active, 0 elsewhere."""
        chosen = np.zeros(self.bits, dtype=np.int64)
        chosen[list(self.active)] = 1
        return chosen

    def require_active(self, least: int, statement: str) -> None:
        """Refuses a subset smaller than a statement needs.

        Raises:
            UserError: it is smaller.
        """
        if len(self.active) < least:
            raise UserError(
                f"{statement} needs |w*| >= {least}, not {len(self.active)}: with fewer active "
                "bits the parity itself is correlated with an input bit"
            )

    def label(self, flag: int, active_sum: int) -> Fraction:
        """f at an input with flag x0 and sum s of the active bits, exactly."""
        if flag == 1:
            return active_sum - self.offset
        return Fraction((-1) ** ((len(self.active) - active_sum) // 2))

    def active_sums(self) -> dict[int, Fraction]:
        """How probable each value of s is: |w*| fair signs."""
        m = len(self.active)
        return {2 * ones - m: Fraction(comb(m, ones), 2**m) for ones in range(m + 1)}


def half_of(bits: int) -> int:
    """n' = n/2, for the statements that need half of the bits active.

    Raises:
        UserError: `bits` is odd or below 2.
    """
    if bits < 2 or bits % 2:
        raise UserError(f"bits must be even and at least 2 for half of them to be active: {bits}")
    return bits // 2


def refuse_no_fraction(sum_fraction: Fraction | float) -> None:
    """Refuses what is no probability.

    Raises:
        UserError: it lies outside [0, 1].
    """
    if not 0 <= sum_fraction <= 1:
        raise UserError(f"p, the fraction of Sum examples, must lie in [0, 1], not {sum_fraction}")


@dataclass(frozen=True)
class Examples:
    """Sampled inputs, eight bits to an octet.

    Attributes:
        bits: n.
        octets: bit j of an example is bit j % 8 of octet j // 8; set means +1.
        is_sum: whether the flag x0 is +1.
    """

    bits: int
    octets: UInt8[np.ndarray, "octets count"]
    is_sum: Bool[np.ndarray, " count"]

    @property
    def count(self) -> int:
        return len(self.is_sum)

    @cached_property
    def flags(self) -> Float[np.ndarray, " count"]:
        """x0 of each example."""
        return np.where(self.is_sum, 1.0, -1.0)

    def inputs(self) -> Float[np.ndarray, "count inputs"]:
        """The inputs as vectors (x0, x1 ... xn) of +-1."""
        ones = np.unpackbits(self.octets, axis=0, bitorder="little")
        of_example = ones[: self.bits]
        vectors = np.empty((self.count, self.bits + 1))
        vectors[:, 0] = self.flags
        np.subtract(2.0 * of_example.T, 1.0, out=vectors[:, 1:])
        return vectors

    def project(self, weights: Float[np.ndarray, " inputs"]) -> Float[np.ndarray, " count"]:
        """<weights, x> of each example, an octet at a time from a table of its 256 values."""
        projected: Float[np.ndarray, " count"] = self.flags * weights[0]
        for octet, table in zip(self.octets, _octet_tables(weights[1:]), strict=True):
            projected += table.take(octet)
        return projected

    def ones_among(self, indicator: Int64[np.ndarray, " bits"]) -> Int64[np.ndarray, " count"]:
        """How many of the bits that `indicator` marks are +1, in each example."""
        padded = np.zeros(8 * len(self.octets), dtype=np.int64)
        padded[: self.bits] = indicator
        tables = (padded.reshape(-1, 8) @ _OCTET_BITS.T).astype(np.uint16)
        ones = np.zeros(self.count, dtype=np.uint16)
        for octet, table in zip(self.octets, tables, strict=True):
            ones += table.take(octet)
        return ones.astype(np.int64)

    def weighted_total(self, values: Float[np.ndarray, " count"]) -> Float[np.ndarray, " inputs"]:
        """The sum over examples of value * x; exact where the values are small integers."""
        by_octet = [np.bincount(octet, values, minlength=256) for octet in self.octets]
        of_bits = (np.stack(by_octet) @ _OCTET_SIGNS).reshape(-1)[: self.bits]
        return np.concatenate([[values @ self.flags], of_bits])


_OCTET_BITS = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(np.int64)
_OCTET_SIGNS = 2.0 * _OCTET_BITS - 1.0


def _octet_tables(weights: Float[np.ndarray, " bits"]) -> Float[np.ndarray, "octets 256"]:
    padded = np.zeros(-(-len(weights) // 8) * 8)
    padded[: len(weights)] = weights
    tables: Float[np.ndarray, "octets 256"] = padded.reshape(-1, 8) @ _OCTET_SIGNS.T
    return tables


class Mixture(Frozen):
    """The p-mixture: a Sum example with probability p, otherwise a Parity example.

    Attributes:
        target: the function that labels them.
        sum_fraction: p, from 0 (Parity alone) to 1 (Sum alone).
    """

    target: Target
    sum_fraction: float

    @model_validator(mode="after")
    def _refuse_no_fraction(self) -> "Mixture":
        refuse_no_fraction(self.sum_fraction)
        return self

    def sample(self, count: int, generator: np.random.Generator) -> Examples:
        """Draws `count` inputs with their flags."""
        octets = -(-self.target.bits // 8)
        drawn = generator.integers(0, 256, size=(octets, count), dtype=np.uint8)
        return Examples(self.target.bits, drawn, generator.random(count) < self.sum_fraction)

    def labels(self, examples: Examples) -> Float[np.ndarray, " count"]:
        """y of each example."""
        m = len(self.target.active)
        sums = range(-m, m + 1, 2)
        by_flag = [[float(self.target.label(flag, s)) for s in sums] for flag in (-1, 1)]
        place = examples.ones_among(self.target.indicator) + (m + 1) * examples.is_sum
        labels: Float[np.ndarray, " count"] = np.array(by_flag).reshape(-1).take(place)
        return labels


@dataclass(frozen=True)
class Enumeration:
    """Every input of one task, with its label.

    Attributes:
        inputs: (x0, x1 ... xn), 2^n rows.
        active_sums: s of each.
        doubled_labels: 2y of each, an integer also where n is odd.
    """

    inputs: Int8[np.ndarray, "count inputs"]
    active_sums: Int64[np.ndarray, " count"]
    doubled_labels: Int64[np.ndarray, " count"]


def enumerate_task(target: Target, flag: int) -> Enumeration:
    """Every input whose flag x0 is `flag`.

    Raises:
        UserError: there are too many.
    """
    signs = all_signs(target.bits)
    flags = np.full((len(signs), 1), flag, dtype=np.int8)
    sums: Int[np.ndarray, " count"] = signs.astype(np.int64) @ target.indicator
    if flag == 1:
        doubled = 2 * sums - int(2 * target.offset)
    else:
        doubled = 2 * np.prod(signs[:, list(target.active)], axis=1, dtype=np.int64)
    return Enumeration(np.concatenate([flags, signs], axis=1), sums, doubled)
