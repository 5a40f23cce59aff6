"""The parity of a hidden subset of bits, and the sum over the same subset."""

from functools import lru_cache
from typing import Annotated, Any

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from waymarks.randomness import Rng
from waymarks.tasks.base import Binary, Problems, Real, Statements, Step, Task


class ParitySum(Task):
    """Parity and sum of a hidden subset of `subset` out of `bits` signs (paper, section 3.1).

    The inputs are independent fair signs x in {-1, +1}. A seed fixes the hidden subset S.

    Steps:
        sum: (1 / bits) * sum over S of x. Its attainable values lie 2 / bits apart.
        parity: product over S of x; it depends on the sum. The final step.

    Attributes:
        bits: n, how many signs an input has, >= 2 (the task vector has a place for each step).
        subset: k, how many of them count, 1 <= k <= n; n / 2 unless given, then n must be even.
    """

    bits: Annotated[int, Field(ge=2, strict=True)]
    subset: Annotated[int, Field(ge=1, strict=True)] = 0

    @model_validator(mode="before")
    @classmethod
    def _half_of_the_bits(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or fields.get("subset") is not None:
            return fields
        bits = fields.get("bits")
        if not isinstance(bits, int) or isinstance(bits, bool):
            return {**fields, "subset": 1}
        if bits % 2:
            raise ValueError(f"bits is odd ({bits}), so it has no half: say subset")
        return {**fields, "subset": max(bits // 2, 1)}

    @model_validator(mode="after")
    def _subset_fits(self) -> "ParitySum":
        if self.subset > self.bits:
            raise ValueError(f"subset ({self.subset}) is larger than bits ({self.bits})")
        return self

    @property
    def steps(self) -> tuple[Step, ...]:
        n, k = self.bits, self.subset
        return (
            Step("sum", Real(lowest=-k / n, spacing=2 / n, count=k + 1)),
            Step("parity", Binary(), depends_on=("sum",)),
        )

    @property
    def notation(self) -> Statements:
        return Statements(("-", "+"), count=self.bits, tokens=1, own=False, punctuated=(0,))

    @property
    def distinct_inputs(self) -> int:
        return int(2**self.bits)

    def hidden_subset(self, rng: Rng) -> Float[Tensor, " bits"]:
        """The hidden subset that the seed of `rng` fixes: 1 where a bit counts, 0 elsewhere."""
        return _hidden_subset(self.bits, self.subset, rng.seed, rng.device)

    def sample(self, count: int, rng: Rng) -> Problems:
        """Draws examples: `given["bits"]` [count, bits] of +-1, answers [count, (sum, parity)]."""
        bits = fair_signs(count, self.bits, rng)
        total = bits @ self.hidden_subset(rng)
        minus_ones = (self.subset - total) / 2
        parity = 1 - 2 * (minus_ones % 2)
        given = {"bits": bits, "statements": (bits > 0).to(torch.uint8)[:, :, None]}
        return Problems(given, torch.stack([total / self.bits, parity], dim=1))


def fair_signs(count: int, width: int, rng: Rng) -> Float[Tensor, "count width"]:
    """Independent signs, +1 or -1 with equal chance, unpacked from random bytes."""
    octets = torch.randint(
        256,
        (count, -(-width // 8), 1),
        dtype=torch.uint8,
        device=rng.device,
        generator=rng.generator,
    )
    places = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=rng.device)
    drawn = (octets & places).flatten(1)[:, :width] != 0
    return drawn.float().mul_(2).sub_(1)


@lru_cache(maxsize=64)
def _hidden_subset(bits: int, subset: int, seed: int, device: torch.device) -> Tensor:
    draws = Rng.of(seed, "task", 0).constant("hidden subset")
    chosen = torch.zeros(bits)
    chosen[torch.from_numpy(draws.permutation(bits)[:subset])] = 1.0
    return chosen.to(device)
