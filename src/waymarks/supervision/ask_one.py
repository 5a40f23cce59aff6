"""Each example asks exactly one step, and only its answer is told."""

import math
from collections.abc import Collection
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field, model_serializer, model_validator

from waymarks.errors import UserError, unknown_name
from waymarks.randomness import Rng
from waymarks.supervision.base import Revealed, Supervision
from waymarks.tasks import Task

Chance = Annotated[float, Field(ge=0, le=1)]


def _sum_to_one(shares: dict[str, float]) -> dict[str, float]:
    if not math.isclose(sum(shares.values()), 1, abs_tol=1e-9):
        raise ValueError(f"the chances of the steps asked sum to {sum(shares.values()):g}, not 1")
    return shares


class AskOne(Supervision):
    """Each example asks one step, drawn with the given chances (paper, section 3.1).

    `AskOne(sum=0.1, parity=0.9)` is the paper's mixture with p = 0.1. The input says which
    step is asked. Steps that are not named are never asked.

    Attributes:
        shares: the chance of each step, in [0, 1], summing to 1.
    """

    shares: Annotated[dict[str, Chance], AfterValidator(_sum_to_one)]

    def __init__(self, **shares: Any) -> None:
        super().__init__(**shares)

    @model_validator(mode="before")
    @classmethod
    def _gather_shares(cls, fields: Any) -> Any:
        return fields if not isinstance(fields, dict) or "shares" in fields else {"shares": fields}

    @model_serializer(mode="wrap")
    def _tag_with_type(self, handler: Any) -> dict[str, Any]:
        return {"type": "AskOne", **self.shares}

    @property
    def reveals_one_step(self) -> bool:
        return True

    @classmethod
    def completed(cls, fields: dict[str, Any], told: Collection[str], task: Task) -> dict[str, Any]:
        """The final step gets the share that the other steps leave, unless it was told its own."""
        final = task.steps[-1].name
        if final in told:
            return fields
        others = {name: value for name, value in fields.items() if name != final}
        shares = [value for name, value in others.items() if name != "type"]
        if not all(isinstance(share, int | float) for share in shares) or sum(shares) > 1:
            return others  # is refused as it stands
        return {**others, final: round(1 - sum(shares), 12)}

    def check(self, task: Task) -> None:
        names = [step.name for step in task.steps]
        for name in self.shares:
            if name not in names:
                raise UserError(f"supervision AskOne: {unknown_name('step', name, names)}")

    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        chances = torch.tensor(
            [self.shares.get(step.name, 0.0) for step in task.steps], dtype=torch.float64
        )
        upper_ends = chances.cumsum(0)[:-1].to(rng.device)
        uniform = torch.rand(count, dtype=torch.float64, device=rng.device, generator=rng.generator)
        asked = torch.bucketize(uniform, upper_ends, right=True)
        return Revealed(F.one_hot(asked, len(task.steps)).bool(), asked)

    def labels_per_example(self, task: Task) -> float:
        return 1.0
