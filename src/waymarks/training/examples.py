"""What a learner is shown: new examples in every update, or a data set read again and again."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from waymarks.randomness import Rng
from waymarks.supervision import Revealed
from waymarks.tasks import Problems
from waymarks.training.learner import Experiment


@dataclass(frozen=True)
class Batch:
    """The examples of one update.

    Attributes:
        problems: with their answers.
        labels: [batch, steps], what is told of each step where it is revealed.
        revealed: which labels the loss may see.
        newly_told: [steps], how many labels of each step are told for the first time.
    """

    problems: Problems
    labels: Float[Tensor, "batch steps"]
    revealed: Revealed
    newly_told: Int[Tensor, " steps"]


class Examples(ABC):
    """Where the examples of an experiment's updates come from."""

    @abstractmethod
    def batch(self, update: int) -> Batch:
        """The examples of an update: a function of the experiment's seed and `update` alone."""


def examples_of(experiment: Experiment, device: torch.device) -> Examples:
    """Those that the experiment trains on."""
    if experiment.training.dataset_examples is None:
        return NewExamples(experiment, device)
    return DataSet(experiment, experiment.training.dataset_examples, device)


@dataclass(frozen=True)
class NewExamples(Examples):
    """Every example of every update is drawn for it."""

    experiment: Experiment
    device: torch.device

    def batch(self, update: int) -> Batch:
        rng = Rng.of(self.experiment.seed, "train", update, self.device)
        return _told(self.experiment, self.experiment.training.batch_size, rng)


def _told(experiment: Experiment, count: int, rng: Rng) -> Batch:
    task, supervision = experiment.task, experiment.supervision
    problems = task.sample(count, rng)
    revealed = supervision.reveal(task, count, rng)
    labels = supervision.labels(problems.answers, rng)
    return Batch(problems, labels, revealed, revealed.mask.sum(0))


class DataSet(Examples):
    """So many examples, drawn once with what is told of them, in a new order every time."""

    def __init__(self, experiment: Experiment, count: int, device: torch.device) -> None:
        self._seed, self._device = experiment.seed, device
        self._count, self._batch_size = count, experiment.training.batch_size
        self._all = _told(experiment, count, Rng.of(experiment.seed, "dataset", 0, device))
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> Int[Tensor, " count"]:
        rng = Rng.of(self._seed, "order", epoch, self._device)
        return torch.randperm(self._count, device=self._device, generator=rng.generator)

    def batch(self, update: int) -> Batch:
        start = update * self._batch_size
        epoch, begin = divmod(start, self._count)
        end = begin + self._batch_size
        chosen = self._order(epoch)[begin:end]
        if end > self._count:
            chosen = torch.cat([chosen, self._order(epoch + 1)[: end - self._count]])
        every = self._all
        given = {name: tensor[chosen] for name, tensor in every.problems.given.items()}
        revealed = Revealed(every.revealed.mask[chosen], every.revealed.asked[chosen])
        first_time = max(0, min(self._batch_size, self._count - start))
        return Batch(
            Problems(given, every.problems.answers[chosen]),
            every.labels[chosen],
            revealed,
            revealed.mask[:first_time].sum(0),
        )
