"""The training loop: it takes an experiment and yields what happened, and knows nothing else."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch

from waymarks.models import Network
from waymarks.randomness import Rng
from waymarks.training.evaluation import HeldOut
from waymarks.training.learner import Experiment, Learner
from waymarks.training.objective import revealed_loss


class Diverged(Exception):  # noqa: N818 - an outcome, not a mistake
    """The training loss was not finite.

    Attributes:
        update: the number of the first update whose loss was not finite.
    """

    def __init__(self, update: int) -> None:
        super().__init__(f"the loss of update {update} is not finite")
        self.update = update


@dataclass(frozen=True)
class Updated:
    """The weights were updated."""

    update: int


@dataclass(frozen=True)
class Evaluated:
    """The held-out examples were looked at.

    Attributes:
        metrics: one line of a run's `metrics.jsonl`.
        final_step_solved: whether the final step has been answered well for long enough.
    """

    metrics: dict[str, float | int | None]
    final_step_solved: bool


def train(
    experiment: Experiment, learner: Learner, *, compile: bool = False
) -> Iterator[Updated | Evaluated]:
    """Trains `learner` from where it stands to the end of the experiment.

    Between two events `learner` is whole: it can be written down, and what goes on from there is
    the same, number for number, as what would have followed.

    Args:
        experiment: what to train; update i's examples depend on its seed and i alone.
        learner: at update 0, or as loaded from a checkpoint.
        compile: whether to run the network through `torch.compile`.

    Yields:
        `Evaluated` before the first update, after every `evaluate_every` and after the last;
        `Updated` after all others.

    Raises:
        Diverged: a loss was not finite; noticed at the next evaluation.
    """
    training = experiment.training
    device = learner.labels_seen.device
    held_out = HeldOut.of(
        experiment.task, experiment.format, training.evaluation_examples, experiment.seed, device
    )
    network = cast(Network, torch.compile(learner.network)) if compile else learner.network
    started = time.perf_counter()
    if learner.update == 0:
        yield _evaluated(experiment, learner, held_out, started)
    while learner.update < training.updates and not _is_over(experiment, learner):
        started = time.perf_counter()
        _one_update(experiment, learner, network)
        if learner.update % training.evaluate_every == 0 or learner.update == training.updates:
            yield _evaluated(experiment, learner, held_out, started)
        else:
            learner.seconds += time.perf_counter() - started
            yield Updated(learner.update)


def _one_update(experiment: Experiment, learner: Learner, network: Network) -> None:
    task, format, training = experiment.task, experiment.format, experiment.training
    device = learner.labels_seen.device
    rng = Rng.of(experiment.seed, "train", learner.update, device)
    problems = task.sample(training.batch_size, rng)
    revealed = experiment.supervision.reveal(task, training.batch_size, rng)
    inputs = format.write(problems, revealed.asked)
    half = training.precision == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        outputs = network(inputs)
    loss = revealed_loss(outputs, problems.answers, revealed.mask, task.steps, format.layout(task))
    learner.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    learner.optimiser.step()
    learner.window[learner.update % len(learner.window)] = loss.detach()
    learner.labels_seen += revealed.mask.sum(0)
    learner.update += 1


def _is_over(experiment: Experiment, learner: Learner) -> bool:
    training = experiment.training
    return training.stop_when_solved and learner.solved_in_a_row >= training.solved_evaluations


def _evaluated(
    experiment: Experiment, learner: Learner, held_out: HeldOut, started: float
) -> Evaluated:
    bad = learner.first_bad_update()
    if bad is not None:
        raise Diverged(bad)
    training, steps = experiment.training, experiment.task.steps
    scores = held_out.evaluate(learner.network)
    good = scores[f"{steps[-1].name}.accuracy"] >= training.solved_accuracy
    learner.solved_in_a_row = learner.solved_in_a_row + 1 if good else 0
    mean_loss = float(learner.losses_since_evaluation().double().mean())
    learner.seconds += time.perf_counter() - started
    examples = learner.update * training.batch_size
    metrics: dict[str, float | int | None] = {
        "update": learner.update,
        "examples": examples,
        "flops": 3 * learner.network.flops_per_example() * examples,
        "seconds": round(learner.seconds, 3),
        "train_loss": mean_loss if math.isfinite(mean_loss) else None,
    }
    for step, labels in zip(steps, learner.labels_seen.tolist(), strict=True):
        metrics[f"{step.name}.labels_seen"] = labels
    metrics.update(scores)
    return Evaluated(metrics, learner.solved_in_a_row >= training.solved_evaluations)
