"""How long a study will take: what it still has to do, and a short measurement of its pace."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from waymarks.studies.conduct import Job
from waymarks.studies.execution import Execution
from waymarks.studies.experiment import Experiment
from waymarks.studies.status import RunStatus, status_of
from waymarks.studies.study import Study
from waymarks.training import Learner, train

MOST_MEASURED = 8
"""How many kinds of runs are measured; the pace of further ones follows from their arithmetic."""

IRRELEVANT = ("learning_rate", "updates", "evaluate_every", "solved_accuracy", "stop_when_solved")
"""Fields of a training that do not change how long an update takes."""


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds.

    Attributes:
        update: an update.
        evaluation: an evaluation.
        flops: of an update, forward and backward.
    """

    update: float
    evaluation: float
    flops: float

    def seconds(self, experiment: Experiment, done: int) -> float:
        """From update `done` to the end of the experiment's budget."""
        left = experiment.training.updates - done
        return left * (self.update + self.evaluation / experiment.training.evaluate_every)


@dataclass(frozen=True)
class Share:
    """What one arm still has to do.

    Attributes:
        arm: its name.
        runs: how many are neither finished nor failed.
        updates: of all of them together, at most.
        seconds: the same, one run after another.
    """

    arm: str
    runs: int
    updates: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a study still has to do.

    Attributes:
        shares: by arm, in the order of the study.
        finished: how many runs are.
        jobs: how many runs go side by side.
    """

    shares: tuple[Share, ...]
    finished: int
    jobs: int

    @property
    def runs(self) -> int:
        """How many would be trained."""
        return sum(share.runs for share in self.shares)

    @property
    def updates(self) -> int:
        """How many there would be, at most."""
        return sum(share.updates for share in self.shares)

    @property
    def seconds(self) -> float:
        """How long it would take, at most, if runs side by side do not slow each other down."""
        side_by_side = max(1, min(self.jobs, self.runs))
        return sum(share.seconds for share in self.shares) / side_by_side

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "finished": self.finished,
            "runs": self.runs,
            "updates": self.updates,
            "jobs": self.jobs,
            "seconds": self.seconds,
            "arms": [vars(share) for share in self.shares],
        }


def estimate(
    study: Study, folder: Path, execution: Execution, jobs: int, seconds: float = 1.0
) -> Estimate:
    """Estimates a study from a short measurement of each kind of run; writes nothing.

    Args:
        study: what would be run.
        folder: where; what is finished there does not count.
        execution: where and how.
        jobs: how many runs would go side by side.
        seconds: how long each kind of run is measured.
    """
    status = status_of(study, folder)
    to_do = status.at("waiting") + status.at("running")
    paces = _paces([run.job for run in to_do], execution, seconds)
    shares = []
    for arm in study.arms:
        runs = [run for run in to_do if run.job.arm == arm.name]
        shares.append(_share(arm.name, runs, paces))
    return Estimate(tuple(shares), status.counts["finished"], jobs)


def _share(arm: str, runs: Sequence[RunStatus], paces: dict[str, Pace]) -> Share:
    updates = sum(run.updates - run.update for run in runs)
    seconds = 0.0
    for run in runs:
        experiment = run.job.experiment
        seconds += paces[_kind(experiment)].seconds(experiment, run.update)
    return Share(arm, len(runs), updates, seconds)


def _kind(experiment: Experiment) -> str:
    """What two experiments share whose updates take equally long."""
    content = experiment.model_dump(mode="json", exclude={"seed": True})
    for field in IRRELEVANT:
        content["training"].pop(field, None)
    return json.dumps(content, sort_keys=True)


def _paces(jobs: Sequence[Job], execution: Execution, seconds: float) -> dict[str, Pace]:
    """The pace of every kind of run, measured or worked out from one that was."""
    kinds = {_kind(job.experiment): job.experiment for job in jobs}
    paces: dict[str, Pace] = {}
    for kind, experiment in list(kinds.items())[:MOST_MEASURED]:
        paces[kind] = measure(experiment, execution, seconds)
    measured = list(paces.values())
    for kind, experiment in list(kinds.items())[MOST_MEASURED:]:
        flops = _flops(Learner(experiment, torch.device("cpu")), experiment)
        nearest = min(measured, key=lambda pace: abs(pace.flops - flops))
        ratio = flops / nearest.flops
        paces[kind] = Pace(nearest.update * ratio, nearest.evaluation * ratio, flops)
    return paces


def measure(experiment: Experiment, execution: Execution, seconds: float) -> Pace:
    """Trains for about so many seconds and forgets it again."""
    device = execution.torch_device()
    torch.set_num_threads(execution.threads or torch.get_num_threads())
    changed = {"evaluate_every": 1000, "updates": 1000, "stop_when_solved": False}
    training = experiment.training.model_copy(update=changed)
    learner = Learner(experiment.model_copy(update={"training": training}), device)
    events = train(experiment.model_copy(update={"training": training}), learner)
    started = time.perf_counter()
    next(events)
    evaluation = time.perf_counter() - started
    next(events)  # the first update takes longer than those after it
    _wait_for(device)
    started, updates = time.perf_counter(), 0
    while updates < 990 and time.perf_counter() - started < seconds:
        next(events)
        updates += 1
    _wait_for(device)
    update = (time.perf_counter() - started) / max(updates, 1)
    return Pace(update, evaluation, _flops(learner, experiment))


def _flops(learner: Learner, experiment: Experiment) -> float:
    return 3.0 * learner.network.flops_per_example() * experiment.training.batch_size


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
