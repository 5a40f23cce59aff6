"""The training loop: it takes an experiment and yields what happened, and knows nothing else."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch

from waymarks.models import Network
from waymarks.training.evaluation import HeldOut, Stream
from waymarks.training.examples import Batch, examples_of
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


@dataclass(frozen=True)
class Tested:
    """The examples of the test stream were looked at, once, after the last update.

    Attributes:
        scores: the update of the weights that were tested, how many examples, and every step's.
    """

    scores: dict[str, float | int]


def train(
    experiment: Experiment, learner: Learner, *, compile: bool = False
) -> Iterator[Updated | Evaluated | Tested]:
    """Trains `learner` from where it stands to the end of the experiment.

    Between two events `learner` is whole: it can be written down, and what goes on from there is
    the same, number for number, as what would have followed.

    Args:
        experiment: what to train; update i's examples depend on its seed and i alone.
        learner: at update 0, or as loaded from a checkpoint.
        compile: whether to run the network through `torch.compile`.

    Yields:
        `Evaluated` before the first update, after every `evaluate_every` and after the last;
        `Updated` after all others; `Tested` at the very end, where the experiment tests.

    Raises:
        Diverged: a loss was not finite; noticed at the next evaluation.
    """
    training = experiment.training
    device = learner.labels_seen.device
    examples = examples_of(experiment, device)
    held_out = _held_out(experiment, training.evaluation_examples, device, "evaluation")
    network = cast(Network, torch.compile(learner.network)) if compile else learner.network
    started = time.perf_counter()
    if learner.update == 0:
        yield _evaluated(experiment, learner, held_out, started)
    while learner.update < training.updates and not _is_over(experiment, learner):
        started = time.perf_counter()
        _one_update(experiment, learner, network, examples.batch(learner.update))
        if learner.update % training.evaluate_every == 0 or learner.update == training.updates:
            yield _evaluated(experiment, learner, held_out, started)
        else:
            learner.seconds += time.perf_counter() - started
            yield Updated(learner.update)
    if training.test_examples:
        yield _tested(experiment, learner, device)


def _held_out(
    experiment: Experiment, examples: int, device: torch.device, stream: Stream
) -> HeldOut:
    task, format = experiment.task, experiment.format
    return HeldOut.of(task, format, examples, experiment.seed, device, stream)


def _one_update(experiment: Experiment, learner: Learner, network: Network, batch: Batch) -> None:
    task, format, training = experiment.task, experiment.format, experiment.training
    device = learner.labels_seen.device
    inputs = format.write(task, batch.problems, batch.revealed.asked)
    half = training.precision == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        outputs = network(inputs)
    loss = revealed_loss(
        outputs,
        batch.labels,
        batch.revealed.mask,
        task.steps,
        format.layout(task),
        training.loss_average,
    )
    learner.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for group in learner.optimiser.param_groups:
        group["lr"] = training.learning_rate_at(learner.update)
    learner.optimiser.step()
    learner.window[learner.update % len(learner.window)] = loss.detach()
    learner.labels_seen += batch.newly_told
    learner.update += 1


def _is_over(experiment: Experiment, learner: Learner) -> bool:
    training = experiment.training
    solved = learner.solved_in_a_row >= training.solved_evaluations
    given_up = training.patience is not None and learner.since_best >= training.patience
    return given_up or (training.stop_when_solved and solved)


def _evaluated(
    experiment: Experiment, learner: Learner, held_out: HeldOut, started: float
) -> Evaluated:
    bad = learner.first_bad_update()
    if bad is not None:
        raise Diverged(bad)
    training, steps = experiment.training, experiment.task.steps
    scores = held_out.evaluate(learner.network)
    accuracy = scores[f"{steps[-1].name}.accuracy"]
    learner.note(accuracy, solved=accuracy >= training.solved_accuracy)
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


def _tested(experiment: Experiment, learner: Learner, device: torch.device) -> Tested:
    training = experiment.training
    held_out = _held_out(experiment, training.test_examples, device, "test")
    with learner.with_best_weights():
        scores = held_out.evaluate(learner.network)
    update = learner.best_update if training.keep_best else learner.update
    return Tested({"update": update, "examples": training.test_examples, **scores})
