"""What a supervision is: which answers the learner is told."""

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from waymarks.axes import Axis
from waymarks.randomness import Rng
from waymarks.tasks import Task


@dataclass(frozen=True)
class Revealed:
    """Which labels of a batch the loss may see.

    Attributes:
        mask: [batch, steps], true where the label is revealed.
        asked: [batch], the number of the step that the input asks for, in formats that ask.
    """

    mask: Bool[Tensor, "batch steps"]
    asked: Int[Tensor, " batch"]


class Supervision(Axis):
    """A distribution over the revealed mask."""

    @property
    @abstractmethod
    def reveals_one_step(self) -> bool:
        """Whether each example is told the answer of the step asked, and no other."""

    @classmethod
    def completed(cls, fields: dict[str, Any], told: Collection[str], task: Task) -> dict[str, Any]:
        """What follows for the other fields where a sweep changes some: nothing, unless overridden.

        Args:
            fields: plain data, as in a file; may be wrong.
            told: the names of those that were changed.
            task: what is supervised.
        """
        return fields

    @abstractmethod
    def check(self, task: Task) -> None:
        """Whether it can supervise `task`.

        Raises:
            UserError: it names a step that the task does not have, say.
        """

    @abstractmethod
    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        """Draws what is revealed of `count` examples, on `rng.device`."""

    @abstractmethod
    def labels_per_example(self, task: Task) -> float:
        """How many labels of an example are revealed, on average."""

    def labels(
        self, answers: Float[Tensor, "batch steps"], rng: Rng
    ) -> Float[Tensor, "batch steps"]:
        """What the learner is told where it is told something: the answers, unless a regime
        tells something else."""
        return answers


def reveal_final(task: Task, count: int, rng: Rng) -> Revealed:
    """Reveals the final step of every example and nothing else."""
    final = len(task.steps) - 1
    mask = torch.zeros(count, len(task.steps), dtype=torch.bool, device=rng.device)
    mask[:, final] = True
    return Revealed(mask, torch.full((count,), final, device=rng.device))
