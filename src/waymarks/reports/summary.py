"""What came of each run, read from its folder once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from waymarks.errors import UserError
from waymarks.studies import Experiment, Outcome, Run, Solved, Study
from waymarks.studies.run import State
from waymarks.tasks import Step

Columns = dict[str, Num[np.ndarray, " evaluations"]]


@dataclass(frozen=True)
class ReadRun(Run):
    """A run as it stands: each of its files is read once, the evaluations are kept by columns.

    Attributes:
        planned: the experiment that the folder is for, so that it need not be parsed again.
    """

    planned: Experiment

    @property
    def experiment(self) -> Experiment:
        """The one that was planned."""
        return self.planned

    @cached_property
    def _status(self) -> dict[str, Any]:
        return super().status

    @property
    def status(self) -> dict[str, Any]:
        return self._status

    @cached_property
    def columns(self) -> Columns:
        """The evaluations, by the names in `metrics.jsonl`; empty before the first."""
        lines = super().metrics()
        return {
            name: _numbers([line.get(name) for line in lines]) for name in lines[:1] and lines[0]
        }

    def metrics(self) -> list[dict[str, Any]]:
        lists = [column.tolist() for column in self.columns.values()]
        return [dict(zip(self.columns, line, strict=True)) for line in zip(*lists, strict=True)]


def _numbers(values: Sequence[Any]) -> Num[np.ndarray, " evaluations"]:
    """Whole numbers stay whole; what is missing becomes NaN."""
    numbers = np.array(values)
    return numbers.astype(float) if numbers.dtype == object else numbers


@dataclass(frozen=True)
class RunSummary:
    """A run as it stood when the report was begun.

    Attributes:
        run: where it is.
        arm: the name of its arm.
        state: what it is at.
        learning_rate: if its arm was tried with several, this run's.
        counts: whether it stands for its arm; not if another learning rate was chosen.
    """

    run: ReadRun
    arm: str
    state: State
    learning_rate: float | None = None
    counts: bool = True

    @property
    def experiment(self) -> Experiment:
        """What is run, its seed included."""
        return self.run.planned

    @property
    def seed(self) -> int:
        """Of the experiment."""
        return self.experiment.seed

    @property
    def evaluations(self) -> Columns:
        """By column."""
        return self.run.columns

    @cached_property
    def last(self) -> dict[str, Any]:
        """The last evaluation; empty before the first."""
        return {name: column[-1].item() for name, column in self.evaluations.items()}

    @cached_property
    def solved(self) -> dict[str, Solved]:
        """When each step was solved, by name; before the first evaluation censored at 0."""
        return {step.name: self.run.solved(step.name) for step in self.experiment.task.steps}

    @property
    def message(self) -> str:
        """Why it diverged or failed."""
        return str(self.run.status.get("message", ""))

    @property
    def record(self) -> dict[str, Any]:
        """Where and how it was carried out; empty before it has begun."""
        try:
            return self.run.record
        except UserError:
            return {}

    @property
    def final_solved(self) -> Solved:
        """When the final step was."""
        return self.solved[self.experiment.task.steps[-1].name]

    @property
    def stopped_when_solved(self) -> bool:
        """Whether it ended before its budget did, because there was nothing left to learn."""
        budget = self.experiment.training.updates
        return self.state == "finished" and self.last.get("update", budget) < budget

    @property
    def test_accuracy(self) -> float | None:
        """Of the final step on the test stream, where the run looked at it."""
        if not self.experiment.training.test_examples:
            return None
        final = self.experiment.task.steps[-1].name
        return (self.run.test or {}).get(f"{final}.accuracy")

    @property
    def labels_seen(self) -> int | None:
        """All labels that it was told, of any step."""
        names = [f"{step.name}.labels_seen" for step in self.experiment.task.steps]
        return int(sum(self.last[name] for name in names)) if self.last else None

    @property
    def updates_per_second(self) -> float | None:
        """Over the whole run, evaluations included."""
        seconds = self.last.get("seconds") or 0.0
        return float(self.last["update"] / seconds) if self.last.get("update") and seconds else None


def summaries(outcome: Outcome) -> dict[str, list[RunSummary]]:
    """Every run that stands for each arm, those not begun yet included."""
    found: dict[str, list[RunSummary]] = {}
    for arm in outcome.study.arms:
        rates = _rates(outcome, arm.name)
        found[arm.name] = [
            _summary(run, arm.name, arm.experiment, seed, rates.get(run.folder))
            for run, seed in _seeded(outcome.study, outcome.runs[arm.name])
        ]
    return found


def left_out(outcome: Outcome) -> list[RunSummary]:
    """The runs at learning rates that were tried and not chosen."""
    return [
        _summary(run, arm.name, arm.experiment, seed, rate, counts=False)
        for arm in outcome.study.arms
        for rate, runs in outcome.trials.get(arm.name, {}).items()
        if runs != outcome.runs[arm.name]
        for run, seed in _seeded(outcome.study, runs)
    ]


def _rates(outcome: Outcome, arm: str) -> dict[Path, float]:
    """The learning rate of each run of an arm that tries several."""
    tried = outcome.trials.get(arm, {})
    return {run.folder: rate for rate, runs in tried.items() for run in runs}


def _seeded(study: Study, runs: Sequence[Run]) -> Iterator[tuple[Run, int]]:
    """Each run with its seed: its own, or the study's where it has not begun."""
    for number, run in enumerate(runs):
        try:
            yield run, int(run.record["experiment"]["seed"])
        except (UserError, LookupError, TypeError, ValueError):
            yield run, study.seeds[min(number, len(study.seeds) - 1)]


def _summary(
    run: Run, arm: str, experiment: Experiment, seed: int, rate: float | None, counts: bool = True
) -> RunSummary:
    changed: dict[str, Any] = {"seed": seed}
    if rate is not None:
        training = experiment.training.model_copy(update={"learning_rate": rate})
        changed["training"] = training
    read = ReadRun(run.folder, experiment.model_copy(update=changed))
    if "record" in run.__dict__:
        read.__dict__["record"] = run.record
    return RunSummary(read, arm, read.state, rate, counts)


def steps_of(study: Study) -> list[Step]:
    """The steps of the arms' tasks, by name, in the order of computation."""
    tasks = list(dict.fromkeys(arm.experiment.task for arm in study.arms))
    return list({step.name: step for task in tasks for step in task.steps}.values())
