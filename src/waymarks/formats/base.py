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
    """A sequence of vectors for every example, read at its last position.

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


@dataclass(frozen=True)
class Tokens:
    """A sequence of tokens for every example, and the positions at which answers are read.

    Attributes:
        tokens: [batch, positions], the number of each token's symbol.
        read_at: [batch, reads], the positions read in each example.
    """

    tokens: Int[Tensor, "batch positions"]
    read_at: Int[Tensor, "batch reads"]


Inputs = Vectors | PrefixedVectors | Tokens


@dataclass(frozen=True)
class Layout:
    """The shape of what a model reads and puts out, under a format and a task.

    Every position that is read puts out `answers_per_read` answers of `outputs` numbers each, in
    all [batch, reads * answers_per_read, outputs]. A step of which the kind needs fewer numbers
    is answered by the first of them.

    Attributes:
        positions: how long a sequence is.
        features: how many numbers stand at each position; of tokens, how many symbols there are.
        outputs: how many numbers answer the step that needs most.
        answer_of_step: for each step of the task, the number of the answer that is its.
        tokens: whether tokens stand at the positions, or vectors.
        reads: how many positions of each example are read.
        answers_per_read: how many answers are read at each of them.
        read_first: whether what is read stands before what it is about, so that a model has to
            look ahead.
    """

    positions: int
    features: int
    outputs: int
    answer_of_step: tuple[int, ...]
    tokens: bool = False
    reads: int = 1
    answers_per_read: int = 1
    read_first: bool = False

    @property
    def answers(self) -> int:
        """How many answers are put out for each example."""
        return self.reads * self.answers_per_read


class Format(Axis):
    """How a problem is written down, and where each answer is read."""

    @property
    def asks_one_step(self) -> bool:
        """Whether the input names the one step that is asked, or all steps are always read."""
        return False

    @abstractmethod
    def layout(self, task: Task) -> Layout:
        """The shapes under `task`.

        Raises:
            UserError: the task cannot be written in this format.
        """

    @abstractmethod
    def write(self, task: Task, problems: Problems, asked: Int[Tensor, " batch"]) -> Inputs:
        """Writes problems down.

        Args:
            task: whose problems they are.
            problems: a batch of them.
            asked: the number of the step asked in each example, where one is asked.
        """
