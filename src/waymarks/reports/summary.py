"""What came of each arm and each run, as plain numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

import pandas as pd

from waymarks.errors import UserError
from waymarks.reports.configuration import arm_names_for
from waymarks.studies import Arm, Experiment, Outcome, Run, Solved, Study
from waymarks.studies.run import State
from waymarks.studies.statistics import median_interval, median_time
from waymarks.tasks import Real, Step


@dataclass(frozen=True)
class RunSummary:
    """A run as it stands, read from its folder once.

    Attributes:
        run: where it is.
        arm: the name of its arm.
        experiment: what is run, its seed included.
        state: what it is at.
        evaluations: one row each, see `Run.curves`; empty before the first.
        solved: when each step was solved, by name.
        message: why it diverged or failed.
    """

    run: Run
    arm: str
    experiment: Experiment
    state: State
    evaluations: pd.DataFrame
    solved: dict[str, Solved]
    message: str

    @property
    def seed(self) -> int:
        """Of the experiment."""
        return self.experiment.seed

    @cached_property
    def last(self) -> dict[str, Any]:
        """The last evaluation; empty before the first."""
        return {} if self.evaluations.empty else dict(self.evaluations.iloc[-1])

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
    def labels_seen(self) -> int | None:
        """All labels that it was told, of any step."""
        return _labels_seen(self.experiment.task.steps, self.last) if self.last else None

    @property
    def updates_per_second(self) -> float | None:
        """Over the whole run, evaluations included."""
        seconds = self.last.get("seconds") or 0.0
        return float(self.last["update"] / seconds) if self.last.get("update") and seconds else None


def _labels_seen(steps: Sequence[Step], evaluation: dict[str, Any]) -> int:
    return int(sum(evaluation[f"{step.name}.labels_seen"] for step in steps))


def summaries(outcome: Outcome) -> dict[str, list[RunSummary]]:
    """Every run of every arm as it stands, those not begun yet included."""
    return {
        arm.name: [
            _summary(run, arm, seed)
            for run, seed in zip(outcome.runs[arm.name], _seeds(outcome, arm), strict=False)
        ]
        for arm in outcome.study.arms
    }


def _seeds(outcome: Outcome, arm: Arm) -> Iterable[int]:
    """The seed of each of the arm's runs: its own, or the study's where it has not begun."""
    for number, run in enumerate(outcome.runs[arm.name]):
        try:
            yield run.experiment.seed
        except UserError:
            yield outcome.study.seeds[min(number, len(outcome.study.seeds) - 1)]


def _summary(run: Run, arm: Arm, seed: int) -> RunSummary:
    experiment = arm.experiment.model_copy(update={"seed": seed})
    evaluations = run.curves
    nowhere = Solved(0, censored=True)
    return RunSummary(
        run=run,
        arm=arm.name,
        experiment=experiment,
        state=run.state,
        evaluations=evaluations,
        solved={
            step.name: nowhere if evaluations.empty else run.solved(step.name)
            for step in experiment.task.steps
        },
        message=str(run.status.get("message", "")),
    )


def steps_of(study: Study) -> list[Step]:
    """The steps of the arms' tasks, by name, in the order of computation."""
    found = {step.name: step for arm in study.arms for step in arm.experiment.task.steps}
    return list(found.values())


def arm_table(outcome: Outcome) -> pd.DataFrame:
    """One row per arm, of plain values; None where there is no such number yet.

    Columns:
        arm: its name.
        seeds, begun, finished, solved: how many runs there are to be, have an evaluation, came
            to their end, and solved the final step.
        updates_to_solve: the final step, median over seeds (Kaplan-Meier); None where half of
            the runs or more have not solved it.
        first_solved, last_solved: the update at which the first seed solved it, and the last
            of those that did.
        unsolved_after: the updates of the longest run that has not solved it, None if all have.
        updates_per_second, labels_seen: medians; the labels of all steps together.
        <step>.accuracy, <step>.accuracy_low, <step>.accuracy_high: at the last evaluation,
            median over seeds and its interval.
        <step>.mean_squared_error: of a real step, likewise, the median.
        <step>.labels_seen: median.
    """
    return pd.DataFrame(arm_rows(summaries(outcome), steps_of(outcome.study)), dtype=object)


def arm_rows(
    runs: Mapping[str, Sequence[RunSummary]], steps: Sequence[Step]
) -> list[dict[str, Any]]:
    """The rows of `arm_table`."""
    return [_arm_row(arm, summaries, steps) for arm, summaries in runs.items()]


def _arm_row(arm: str, runs: Sequence[RunSummary], steps: Sequence[Step]) -> dict[str, Any]:
    begun = [run for run in runs if run.last]
    times = [run.final_solved for run in begun]
    solved = [time.update for time in times if not time.censored]
    unsolved = [time.update for time in times if time.censored]
    row = {
        "arm": arm,
        "seeds": len(runs),
        "begun": len(begun),
        "finished": sum(run.state == "finished" for run in runs),
        "solved": len(solved),
        "updates_to_solve": median_time(times) if times else None,
        "first_solved": min(solved, default=None),
        "last_solved": max(solved, default=None),
        "unsolved_after": max(unsolved, default=None),
        "updates_per_second": _median(run.updates_per_second for run in begun),
        "labels_seen": _median(run.labels_seen for run in begun),
    }
    for step in steps:
        row |= _step_columns(step, begun)
    return row


def _step_columns(step: Step, begun: Sequence[RunSummary]) -> dict[str, Any]:
    lasts = [run.last for run in begun if f"{step.name}.accuracy" in run.last]
    accuracy = median_interval([last[f"{step.name}.accuracy"] for last in lasts]) if lasts else None
    columns = {
        f"{step.name}.accuracy": accuracy and accuracy.median,
        f"{step.name}.accuracy_low": accuracy and accuracy.low,
        f"{step.name}.accuracy_high": accuracy and accuracy.high,
    }
    if isinstance(step.kind, Real):
        loss = f"{step.name}.{step.kind.loss_name}"
        columns[loss] = _median(last[loss] for last in lasts)
    labels = f"{step.name}.labels_seen"
    return columns | {labels: _median(last[labels] for last in lasts)}


def _median(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return median(known) if known else None


def outcome_of_runs(runs: Sequence[Run], title: str) -> Outcome:
    """Runs that no study asked for, as if one had: those that differ only in the seed are an arm.

    Of two runs of the very same experiment the one that came further counts.

    Raises:
        UserError: there are no runs, or one of the folders holds none.
    """
    if not runs:
        raise UserError(f"{title}: there are no runs to report")
    further: dict[str, Run] = {}
    for run in runs:
        identity = run.experiment.identity
        if identity not in further or _progress(run) > _progress(further[identity]):
            further[identity] = run
    arms: dict[str, list[Run]] = {}
    for run in sorted(further.values(), key=lambda run: run.experiment.seed):
        arms.setdefault(run.experiment.model_copy(update={"seed": 0}).identity, []).append(run)
    experiments = [alike[0].experiment.model_copy(update={"seed": 0}) for alike in arms.values()]
    names = arm_names_for(experiments)
    study = Study(
        name=title,
        question=title,
        arms=tuple(
            Arm(name=name, experiment=e) for name, e in zip(names, experiments, strict=True)
        ),
        seeds=tuple(sorted({run.experiment.seed for run in further.values()})),
    )
    return Outcome(study, dict(zip(names, arms.values(), strict=True)))


def _progress(run: Run) -> tuple[bool, int]:
    return run.is_finished, len(run.metrics())
