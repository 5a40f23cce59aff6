"""What a task is: named steps, and examples with the answers of every step."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from waymarks.axes import Axis
from waymarks.randomness import Rng


@dataclass(frozen=True)
class Kind:
    """What values a step takes; with it, how an answer is scored."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers a model puts out to answer such a step."""

    @property
    @abstractmethod
    def loss_name(self) -> str:
        """The name of the loss, as in the columns of a run's curves."""

    @property
    def chance(self) -> float | None:
        """The accuracy of guessing, where it is the same for every task."""
        return None

    @abstractmethod
    def loss(
        self, outputs: Float[Tensor, "*batch outputs"], answers: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """The loss of each answer, >= 0."""

    @abstractmethod
    def correct(
        self, outputs: Float[Tensor, "*batch outputs"], answers: Float[Tensor, "*batch"]
    ) -> Bool[Tensor, "*batch"]:
        """Which answers are right."""


@dataclass(frozen=True)
class Real(Kind):
    """A real number, scored by squared error.

    Attributes:
        lowest, spacing, count: the attainable values are lowest + i * spacing, 0 <= i < count.
            An answer is right when the attainable value nearest to it is the true one.
    """

    lowest: float
    spacing: float
    count: int

    @property
    def outputs(self) -> int:
        return 1

    @property
    def loss_name(self) -> str:
        return "mean_squared_error"

    def loss(
        self, outputs: Float[Tensor, "*batch 1"], answers: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        return (outputs[..., 0] - answers).square()

    def correct(
        self, outputs: Float[Tensor, "*batch 1"], answers: Float[Tensor, "*batch"]
    ) -> Bool[Tensor, "*batch"]:
        return self._nearest(outputs[..., 0]) == self._nearest(answers)

    def _nearest(self, values: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return ((values - self.lowest) / self.spacing).round().clamp(0, self.count - 1)


@dataclass(frozen=True)
class Binary(Kind):
    """A sign, +1 or -1, scored by cross-entropy on one logit (of the sign being +1)."""

    @property
    def outputs(self) -> int:
        return 1

    @property
    def loss_name(self) -> str:
        return "cross_entropy"

    @property
    def chance(self) -> float:
        return 0.5

    def loss(
        self, outputs: Float[Tensor, "*batch 1"], answers: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        return F.softplus(-outputs[..., 0] * answers)

    def correct(
        self, outputs: Float[Tensor, "*batch 1"], answers: Float[Tensor, "*batch"]
    ) -> Bool[Tensor, "*batch"]:
        return (outputs[..., 0] > 0) == (answers > 0)


@dataclass(frozen=True)
class Classes(Kind):
    """One of `count` classes, numbered from 0, scored by cross-entropy on a logit for each."""

    count: int

    @property
    def outputs(self) -> int:
        return self.count

    @property
    def loss_name(self) -> str:
        return "cross_entropy"

    def loss(
        self, outputs: Float[Tensor, "*batch classes"], answers: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        losses = F.cross_entropy(outputs.flatten(0, -2), answers.flatten().long(), reduction="none")
        return losses.view(answers.shape)

    def correct(
        self, outputs: Float[Tensor, "*batch classes"], answers: Float[Tensor, "*batch"]
    ) -> Bool[Tensor, "*batch"]:
        return outputs.argmax(-1) == answers


@dataclass(frozen=True)
class Step:
    """One named quantity of a task's computation.

    Attributes:
        name: as it appears in curves and reports.
        kind: what values it takes.
        depends_on: the names of the steps from which it is computed.
    """

    name: str
    kind: Kind
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problems:
    """Examples of a task.

    Attributes:
        given: the tensors of the problem, by name, each [count, ...]; what they are is the
            task's to say and a format's to write down.
        answers: [count, steps], the whole trace of each example, in the order of the steps.
    """

    given: Mapping[str, Tensor]
    answers: Float[torch.Tensor, "count steps"]


@dataclass(frozen=True)
class Statements:
    """How the problems of a task are written as statements, each of as many tokens.

    The problems' `given["statements"]` [count, statements, tokens] holds the number of each
    token's symbol; where steps belong to statements, `given["statement_of_step"]` [count, steps]
    holds the number of the statement that each step is the value of. Both are of integers.

    Attributes:
        symbols: the vocabulary.
        count: how many statements there are.
        tokens: how many tokens make up each.
        own: whether each step belongs to a statement.
        punctuated: a statement with its punctuation: the number of the token in each place, or
            the punctuation mark that stands there.
    """

    symbols: tuple[str, ...]
    count: int
    tokens: int
    own: bool
    punctuated: tuple[int | str, ...]


class Task(Axis):
    """What is computed: named steps, the last of which is the final one."""

    @property
    @abstractmethod
    def steps(self) -> tuple[Step, ...]:
        """The steps, each after those that it depends on."""

    @abstractmethod
    def sample(self, count: int, rng: Rng) -> Problems:
        """Draws `count` examples on `rng.device`, each with its whole trace."""

    @property
    @abstractmethod
    def distinct_inputs(self) -> int:
        """How many different inputs there are, to tell whether train and evaluation examples
        can be expected to be disjoint."""

    @property
    def notation(self) -> Statements | None:
        """How its problems are written as statements of tokens, if they can be."""
        return None
