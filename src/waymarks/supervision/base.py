"""What a supervision is: which answers the learner is told."""

from abc import abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Int
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

    @abstractmethod
    def check(self, task: Task) -> None:
        """Whether it can supervise `task`.

        Raises:
            UserError: it names a step that the task does not have, say.
        """

    @abstractmethod
    def reveal(self, task: Task, count: int, rng: Rng) -> Revealed:
        """Draws what is revealed of `count` examples, on `rng.device`."""
