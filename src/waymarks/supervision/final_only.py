"""The final answer, and nothing along the way."""

import torch

from waymarks.randomness import Rng
from waymarks.supervision.base import Revealed, Supervision
from waymarks.tasks import Task


class FinalOnly(Supervision):
    """Only the final step's label is revealed, in every example: the paper's p = 0."""

    def check(self, task: Task) -> None:
        """Every task has a final step, so there is nothing to refuse."""

    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        final = len(task.steps) - 1
        mask = torch.zeros(count, len(task.steps), dtype=torch.bool, device=rng.device)
        mask[:, final] = True
        return Revealed(mask, torch.full((count,), final, device=rng.device))
