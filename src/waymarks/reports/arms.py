"""The table of arms, as plain numbers."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from waymarks.reports.curves import AT_ONCE
from waymarks.reports.summary import RunSummary, steps_of, summaries
from waymarks.studies import Outcome
from waymarks.studies.statistics import Interval, median_intervals, median_time
from waymarks.tasks import Real, Step

FEW_STEPS = 3
"""Of so many steps each has a place of its own; of more the final one, and the rest are counted."""


def arm_table(outcome: Outcome) -> pd.DataFrame:
    """One row per arm, of plain values; None where there is no such number yet.

    Columns:
        arm: its name.
        seeds, begun, finished, solved: how many runs there are to be, have an evaluation, came
            to their end, and solved the final step.
        steps, steps_solved: how many steps there are, and how many of them were solved by half
            of the runs or more.
        updates_to_solve: the final step, median over seeds (Kaplan-Meier); None where half of
            the runs or more have not solved it.
        first_solved, last_solved: the update at which the first seed solved it, and the last
            of those that did.
        unsolved_after: the updates of the longest run that has not solved it, None if all have.
        updates_per_second, labels_seen: medians; the labels of all steps together.
        test_accuracy: of the final step on the test stream, the median; None where none looked.
        learning_rate: the one chosen, of an arm that tried several.
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
    rows = [_arm_row(arm, summaries) for arm, summaries in runs.items()]
    begun = [[run for run in summaries if run.last] for summaries in runs.values()]
    for step in steps:
        intervals = _last_accuracies(step, begun)
        for row, arm, interval in zip(rows, begun, intervals, strict=True):
            row |= _step_columns(step, arm, interval)
    return rows


def _arm_row(arm: str, runs: Sequence[RunSummary]) -> dict[str, Any]:
    begun = [run for run in runs if run.last]
    times = [run.final_solved for run in begun]
    solved = [time.update for time in times if not time.censored]
    unsolved = [time.update for time in times if time.censored]
    steps = [step.name for step in runs[0].experiment.task.steps] if runs else []
    return {
        "arm": arm,
        "seeds": len(runs),
        "begun": len(begun),
        "finished": sum(run.state == "finished" for run in runs),
        "solved": len(solved),
        "steps": len(steps),
        "steps_solved": sum(
            2 * sum(not run.solved[step].censored for run in begun) >= max(len(begun), 1)
            for step in steps
        ),
        "updates_to_solve": median_time(times) if times else None,
        "first_solved": min(solved, default=None),
        "last_solved": max(solved, default=None),
        "unsolved_after": max(unsolved, default=None),
        "updates_per_second": _median(run.updates_per_second for run in begun),
        "labels_seen": _median(run.labels_seen for run in begun),
        "test_accuracy": _median(run.test_accuracy for run in begun),
        "learning_rate": runs[0].learning_rate if runs else None,
    }


def _last_accuracies(step: Step, arms: Sequence[Sequence[RunSummary]]) -> list[Interval | None]:
    """The median over each arm's runs of their last accuracy, all arms resampled together."""
    name = f"{step.name}.accuracy"
    values = np.full((max(map(len, arms), default=0), len(arms)), np.nan)
    for place, runs in enumerate(arms):
        values[: len(runs), place] = [run.last.get(name, np.nan) for run in runs]
    counted = ~np.isnan(values)
    found: list[Interval | None] = [None] * len(arms)
    with_values = np.flatnonzero(counted.any(0))
    for start in range(0, len(with_values), AT_ONCE):
        places = with_values[start : start + AT_ONCE]
        low, middle, high = median_intervals(values[:, places], counted[:, places])
        for number, place in enumerate(places):
            found[place] = Interval(float(middle[number]), float(low[number]), float(high[number]))
    return found


def _step_columns(
    step: Step, begun: Sequence[RunSummary], accuracy: Interval | None
) -> dict[str, Any]:
    lasts = [run.last for run in begun if f"{step.name}.accuracy" in run.last]
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
