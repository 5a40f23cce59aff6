"""The final answer always, and now and then one along the way."""

from typing import Annotated

import torch
from pydantic import Field

from waymarks.randomness import Rng
from waymarks.supervision.base import Revealed, Supervision, reveal_final
from waymarks.tasks import Task


class SparseSteps(Supervision):
    """The final label is always revealed, each intermediate one with probability `rate`
    (paper, section 3.3 and Figure 3, left).

    The rate is that of each label by itself: 1/320 in section B.3, 1/300 in section 3.3. Over
    the nine intermediate labels of ten statements it adds up to 2.8%, over all ten to the
    figure's "p of about 3%"; `intermediate_per_example` is the sum for a task.

    Attributes:
        rate: in [0, 1].
    """

    rate: Annotated[float, Field(ge=0, le=1)]

    @property
    def reveals_one_step(self) -> bool:
        return self.rate == 0

    def check(self, task: Task) -> None:
        """Every task has steps, so there is nothing to refuse."""

    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        final = reveal_final(task, count, rng)
        uniform = torch.rand(final.mask.shape, device=rng.device, generator=rng.generator)
        return Revealed(final.mask | (uniform < self.rate), final.asked)

    def intermediate_per_example(self, task: Task) -> float:
        """How many intermediate labels of an example are revealed, on average."""
        return self.rate * (len(task.steps) - 1)

    def labels_per_example(self, task: Task) -> float:
        return 1 + self.intermediate_per_example(task)
