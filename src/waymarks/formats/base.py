"""What a format is: how a problem is written down, and where each answer is read."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from waymarks.axes import Axis
from waymarks.tasks import Problems, Task


@dataclass(frozen=True)
class Vectors:
    """A sequence of vectors for every example.

    Attributes:
        vectors: [batch, positions, features].
    """

    vectors: Float[Tensor, "batch positions features"]


@dataclass(frozen=True)
class PrefixedVectors:
    """Sequences of which the beginning takes only a few values, written once each.

    A causal model's stream over the beginning depends on the beginning alone, so it can be
    computed once per value and not once per example.

    Attributes:
        beginnings: [choices, features], the vectors that can stand at the first position.
        choice: [batch], which of them each example begins with.
        rest: [batch, features], the vector at the second position.
    """

    beginnings: Float[Tensor, "choices features"]
    choice: Int[Tensor, " batch"]
    rest: Float[Tensor, "batch features"]

    def written_out(self) -> Vectors:
        """The same sequences, each with its own beginning: [batch, 2, features]."""
        return Vectors(torch.stack([self.beginnings[self.choice], self.rest], dim=1))


Inputs = Vectors | PrefixedVectors


@dataclass(frozen=True)
class Layout:
    """The shape of what a model reads and puts out, under a format and a task.

    Attributes:
        positions: how long a sequence is.
        features: how many numbers stand at each position.
        outputs: the size of each read-out; all are read at the last position.
        readout_of_step: for each step of the task, the number of the read-out that answers it.
    """

    positions: int
    features: int
    outputs: tuple[int, ...]
    readout_of_step: tuple[int, ...]


class Format(Axis):
    """How a problem is written down, and where each answer is read."""

    @property
    @abstractmethod
    def asks_one_step(self) -> bool:
        """Whether the input names the one step that is asked, or all steps are always read."""

    @abstractmethod
    def layout(self, task: Task) -> Layout:
        """The shapes under `task`.

        Raises:
            UserError: the task cannot be written in this format.
        """

    @abstractmethod
    def write(self, problems: Problems, asked: Int[Tensor, " batch"]) -> Inputs:
        """Writes problems down.

        Args:
            problems: a batch of them.
            asked: the number of the step asked in each example, where one is asked.
        """
