"""The whole trace of every example."""

from waymarks.randomness import Rng
from waymarks.supervision.base import Revealed, Supervision, reveal_final
from waymarks.tasks import Task


class EveryStep(Supervision):
    """Every step's label is revealed, in every example: the paper's multi-label setting
    (sections 3.2 and 3.3)."""

    @property
    def reveals_one_step(self) -> bool:
        return False

    def check(self, task: Task) -> None:
        """Every task has steps, so there is nothing to refuse."""

    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        final = reveal_final(task, count, rng)
        return Revealed(final.mask.fill_(True), final.asked)

    def labels_per_example(self, task: Task) -> float:
        return float(len(task.steps))
