"""Intermediate labels that belong to other examples: a control."""

import torch
from jaxtyping import Float
from pydantic import SerializeAsAny
from torch import Tensor

from waymarks.randomness import Rng
from waymarks.supervision.base import Revealed, Supervision
from waymarks.tasks import Task


class Shuffled(Supervision):
    """Reveals what another regime does, but each intermediate label is some other example's.

    Each step's labels are permuted by themselves within the batch: as many labels, and as
    often each value, but nothing about the example. The final label stays.

    Attributes:
        of: the regime.
    """

    of: SerializeAsAny[Supervision]

    @property
    def reveals_one_step(self) -> bool:
        return self.of.reveals_one_step

    def check(self, task: Task) -> None:
        self.of.check(task)

    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        return self.of.reveal(task, count, rng)

    def labels_per_example(self, task: Task) -> float:
        return self.of.labels_per_example(task)

    def labels(
        self, answers: Float[Tensor, "batch steps"], rng: Rng
    ) -> Float[Tensor, "batch steps"]:
        told = self.of.labels(answers, rng)
        keys = torch.rand(told.shape, device=told.device, generator=rng.generator)
        shuffled = told.gather(0, keys.argsort(0))
        shuffled[:, -1] = told[:, -1]
        return shuffled
