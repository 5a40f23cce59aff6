"""The final answer, and nothing along the way."""

from waymarks.randomness import Rng
from waymarks.supervision.base import Revealed, Supervision, reveal_final
from waymarks.tasks import Task


class FinalOnly(Supervision):
    """Only the final step's label is revealed, in every example: the paper's p = 0."""

    @property
    def reveals_one_step(self) -> bool:
        return True

    def check(self, task: Task) -> None:
        """Every task has a final step, so there is nothing to refuse."""

    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        return reveal_final(task, count, rng)

    def labels_per_example(self, task: Task) -> float:
        return 1.0
