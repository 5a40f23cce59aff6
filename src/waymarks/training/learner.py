"""Everything that changes as a run goes on, as named tensors that can be put on disk."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from waymarks.errors import UserError
from waymarks.formats import Format
from waymarks.models import Model
from waymarks.randomness import Rng
from waymarks.supervision import Supervision
from waymarks.tasks import Task
from waymarks.training.settings import Training


@runtime_checkable
class Experiment(Protocol):
    """What training needs of an experiment: one value of each axis, a budget and a seed."""

    @property
    def task(self) -> Task: ...
    @property
    def format(self) -> Format: ...
    @property
    def supervision(self) -> Supervision: ...
    @property
    def model(self) -> Model: ...
    @property
    def training(self) -> Training: ...
    @property
    def seed(self) -> int: ...


class Learner:
    """A network, its optimiser, and the counts of what it has been told.

    Attributes:
        update: how many updates it has had.
        seconds: of wall-clock time that it has been trained and evaluated for.
        labels_seen: [steps], how many labels of each step it has been told.
        window: [evaluate_every], the losses of the updates since the last evaluation.
        solved_in_a_row: for how many evaluations the final step has been answered well enough.
        best_accuracy, best_update: the best of the final step at an evaluation, and its update.
        since_best: how many evaluations there were since.
        best: the weights of that evaluation by name, where the experiment keeps them.
    """

    def __init__(self, experiment: Experiment, device: torch.device) -> None:
        generator = Rng.of(experiment.seed, "initialisation", 0).generator
        layout = experiment.format.layout(experiment.task)
        self.network = experiment.model.build(layout, generator).to(device)
        self.optimiser = _optimiser(self.network, experiment.training)
        self.update = 0
        self.seconds = 0.0
        self.solved_in_a_row = 0
        self.best_accuracy, self.best_update, self.since_best = -1.0, 0, 0
        self.best: dict[str, Tensor] = {}
        if experiment.training.keep_best:
            self.best = {name: tensor.clone() for name, tensor in self._weights().items()}
        steps = len(experiment.task.steps)
        self.labels_seen = torch.zeros(steps, dtype=torch.int64, device=device)
        self.window = torch.zeros(experiment.training.evaluate_every, device=device)

    def _weights(self) -> dict[str, Tensor]:
        return {name: weight.detach() for name, weight in self.network.named_parameters()}

    def note(self, accuracy: float, solved: bool) -> None:
        """Takes in how the final step was answered at an evaluation."""
        self.solved_in_a_row = self.solved_in_a_row + 1 if solved else 0
        self.since_best += 1
        if accuracy > self.best_accuracy:
            self.best_accuracy, self.best_update, self.since_best = accuracy, self.update, 0
            for name, weight in self._weights().items():
                if self.best:
                    self.best[name].copy_(weight)

    @contextlib.contextmanager
    def with_best_weights(self) -> Iterator[None]:
        """Puts the best weights in place of the newest for a while, where they were kept."""
        newest = {name: weight.clone() for name, weight in self._weights().items()}
        with torch.no_grad():
            for name, weight in self._weights().items():
                weight.copy_(self.best.get(name, weight))
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in self._weights().items():
                    weight.copy_(newest[name])

    def losses_since_evaluation(self) -> Tensor:
        """The training losses of the updates since the last evaluation, in order."""
        filled = self.update % len(self.window) or min(self.update, len(self.window))
        return self.window[:filled]

    def first_bad_update(self) -> int | None:
        """The number of the first update since the last evaluation whose loss was not finite."""
        losses = self.losses_since_evaluation()
        bad = (~losses.isfinite()).nonzero()
        return None if len(bad) == 0 else self.update - len(losses) + int(bad[0]) + 1

    def counts(self) -> dict[str, float | int]:
        """The plain numbers of its state."""
        return {
            "update": self.update,
            "seconds": self.seconds,
            "solved_in_a_row": self.solved_in_a_row,
            "best_accuracy": self.best_accuracy,
            "best_update": self.best_update,
            "since_best": self.since_best,
        }

    def tensors(self) -> dict[str, Tensor]:
        """Its whole state but for `counts`, by name; the tensors themselves, not copies."""
        named: dict[str, Tensor] = {"labels_seen": self.labels_seen, "window": self.window}
        for name, parameter in self.network.named_parameters():
            named[f"network.{name}"] = parameter.detach()
            for quantity, value in self.optimiser.state[parameter].items():
                named[f"optimiser.{name}.{quantity}"] = value
        return named | {f"best.{name}": weight for name, weight in self.best.items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], counts: Mapping[str, float | int]) -> None:
        """Takes over the state that `tensors` and `counts` gave.

        Raises:
            UserError: they are of another network.
        """
        try:
            self.labels_seen.copy_(tensors["labels_seen"])
            self.window.copy_(tensors["window"])
            for name, parameter in self.network.named_parameters():
                parameter.copy_(tensors[f"network.{name}"])
                self.optimiser.state[parameter] = {
                    quantity: tensors[f"optimiser.{name}.{quantity}"].to(parameter.device)
                    for quantity in ("step", "exp_avg", "exp_avg_sq")
                }
            for name, weight in self.best.items():
                weight.copy_(tensors[f"best.{name}"])
            self.update = int(counts["update"])
            self.seconds = float(counts["seconds"])
            self.solved_in_a_row = int(counts["solved_in_a_row"])
            self.best_accuracy = float(counts["best_accuracy"])
            self.best_update = int(counts["best_update"])
            self.since_best = int(counts["since_best"])
        except (KeyError, RuntimeError) as error:
            raise UserError(f"this checkpoint is of another network: {error}") from error


def _optimiser(network: torch.nn.Module, training: Training) -> torch.optim.Optimizer:
    rate, decay = training.learning_rate, training.weight_decay
    if decay:
        return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True)
    return torch.optim.Adam(network.parameters(), lr=rate, fused=True)
