"""What the seeds of two arms say: curves at equal cost, times to reach, and their ratio."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from waymarks.studies.run import Run
from waymarks.studies.statistics import (
    Bounded,
    Survival,
    bounded,
    kaplan_meier,
    logrank,
    median_intervals,
    median_times,
    resampled,
)

if TYPE_CHECKING:
    import pandas as pd

Unit = Literal["updates", "examples", "labels", "flops", "seconds"]
"""What a time can be counted in; `labels` are the labels seen, of all steps together."""

UNITS: tuple[Unit, ...] = get_args(Unit)

UNIT_NAMES: dict[Unit, str] = {unit: unit for unit in UNITS} | {
    "labels": "labels seen",
    "flops": "FLOPs",
}


def spent(evaluations: "pd.DataFrame", unit: Unit) -> Float[np.ndarray, " evaluations"]:
    """What a run had spent at each of its evaluations.

    Args:
        evaluations: as `Run.curves`.
        unit: what is counted.
    """
    if unit == "labels":
        labels = [name for name in evaluations.columns if name.endswith(".labels_seen")]
        return evaluations[labels].sum(axis=1).to_numpy(float)
    return evaluations["update" if unit == "updates" else unit].to_numpy(float)


def amount(unit: Unit, value: float) -> str:
    """A number of units: `12,800`, `3.1e+15`."""
    return f"{value:.3g}" if unit == "flops" else f"{value:,.0f}"


@dataclass(frozen=True)
class Times:
    """When each run of an arm that has begun reached an accuracy, or how long it has not.

    Attributes:
        times: in units.
        censored: which of them did not reach it. A run that has ended before its budget without
            having solved anything (it diverged, or gave up) never will: it counts as censored
            where the arm's longest run ended, not where it was itself broken off.
    """

    times: Float[np.ndarray, " runs"]
    censored: Bool[np.ndarray, " runs"]

    @property
    def reached(self) -> int:
        """How many runs did."""
        return int((~self.censored).sum())

    def survival(self) -> Survival:
        """The share of runs that have not reached it, over time (Kaplan-Meier)."""
        return kaplan_meier(self.times, self.censored)

    def median(self) -> Bounded:
        """The median time (Kaplan-Meier); where too few runs got there, a bound."""
        picks = resampled(len(self.times), np.random.default_rng(0))
        return bounded(*median_times(self.times, self.censored, picks))

    def ratio(self, other: "Times") -> Bounded:
        """How many times as long as `other` this takes: the ratio of the medians.

        Where too few runs of this arm reach it, the ratio is at least so much; where too few of
        the other do, at most.
        """
        rng = np.random.default_rng(0)
        ours, theirs = (
            median_times(one.times, one.censored, resampled(len(one.times), rng))
            for one in (self, other)
        )
        return bounded(_quotient(ours[0], theirs[1]), _quotient(ours[1], theirs[0]))

    def logrank(self, other: "Times") -> float | None:
        """The p-value of the log-rank test; see `statistics.logrank`."""
        return logrank(self.times, self.censored, other.times, other.censored)


def _quotient(
    above: Float[np.ndarray, " samples"], below: Float[np.ndarray, " samples"]
) -> Float[np.ndarray, " samples"]:
    """above / below, where two times that are equal, be they 0, have the ratio 1."""
    same = (above == below) & np.isfinite(above)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(same, 1.0, above / below)


def times_to_reach(
    runs: Sequence[Run], step: str, unit: Unit, accuracy: float | None = None
) -> Times:
    """When the runs of an arm reach an accuracy to stay (see `Run.solved`).

    Args:
        runs: of the arm; those without an evaluation do not count.
        step: its name.
        unit: of the times.
        accuracy: each experiment's `solved_accuracy` unless given.
    """
    import pandas as pd

    times, censored, hopeless = [], [], []
    for run in runs:
        evaluations = run.metrics()
        if not evaluations:
            continue
        when = run.solved(step, accuracy, evaluations)
        at = [line["update"] for line in evaluations].index(when.update)
        times.append(float(spent(pd.DataFrame(evaluations[: at + 1]), unit)[-1]))
        censored.append(when.censored)
        hopeless.append(when.censored and _ended_for_nothing(run, evaluations))
    found = np.array(times, dtype=float)
    found[np.array(hopeless, dtype=bool)] = found.max(initial=0.0)
    return Times(found, np.array(censored, dtype=bool))


def _ended_for_nothing(run: Run, evaluations: Sequence[dict[str, Any]]) -> bool:
    experiment, state = run.experiment, run.state
    if state != "finished" or evaluations[-1]["update"] >= experiment.training.updates:
        return state == "diverged"
    return run.solved(experiment.task.steps[-1].name, evaluations=evaluations).censored


@dataclass(frozen=True)
class Curve:
    """One run's curve.

    Attributes:
        x: what was spent at each evaluation, increasing.
        y: the value there.
        keeps_its_end: whether it ended before its budget because there was nothing left to learn,
            so that its last value stands for what would have come.
    """

    x: Float[np.ndarray, " evaluations"]
    y: Float[np.ndarray, " evaluations"]
    keeps_its_end: bool

    @property
    def reach(self) -> float:
        """How far it can be looked at."""
        return float("inf") if self.keeps_its_end else float(self.x[-1])


def curves_of(runs: Sequence[Run], column: str, unit: Unit) -> list[Curve]:
    """The curves of an arm's runs that have any; values that are not finite are left out."""
    found = []
    for run in runs:
        evaluations = run.curves
        if column not in evaluations:
            continue
        x, y = spent(evaluations, unit), evaluations[column].to_numpy(float)
        usable = np.isfinite(x) & np.isfinite(y)
        last = evaluations["update"].iloc[-1]
        early = run.state == "finished" and last < run.experiment.training.updates
        if usable.any():
            found.append(Curve(x[usable], y[usable], bool(early)))
    return found


@dataclass(frozen=True)
class Medians:
    """The median of an arm's curves and its interval (95%, percentile bootstrap over seeds).

    Attributes:
        x: where.
        low, median, high: there, of the runs that can be looked at there.
        measured: how many runs were measured as far as there.
    """

    x: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    median: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    measured: Int[np.ndarray, " points"]


def medians_at(curves: Sequence[Curve], places: Float[np.ndarray, " points"]) -> Medians:
    """The median of some curves, between evaluations by linear interpolation.

    Args:
        curves: of the seeds of one arm; at least one reaches every place.
        places: where to look.
    """
    low, median, high = median_intervals(*_at(curves, places))
    measured = (places[None] <= np.array([[curve.x[-1]] for curve in curves])).sum(0)
    return Medians(places, low, median, high, measured)


def _at(
    curves: Sequence[Curve], places: Float[np.ndarray, " points"]
) -> tuple[Float[np.ndarray, "seeds points"], Bool[np.ndarray, "seeds points"]]:
    """The curves' values, and which of them count."""
    values = np.stack([np.interp(places, curve.x, curve.y) for curve in curves])
    return values, places[None] <= np.array([[curve.reach] for curve in curves])


@dataclass(frozen=True)
class Difference:
    """How much higher one arm's median is than another's, where both have spent the same.

    Attributes:
        x: what they have spent.
        ours, theirs: the medians.
        low, high: the interval of ours - theirs (95%, percentile bootstrap over seeds).
    """

    x: float
    ours: float
    theirs: float
    low: float
    high: float


def differences_at(
    ours: Sequence[Curve], theirs: Sequence[Curve], places: Float[np.ndarray, " points"]
) -> list[Difference]:
    """The differences of two arms' medians at some places that at least one curve of each
    reaches."""
    found = []
    for x, *columns in zip(places, *_columns(ours, places), *_columns(theirs, places), strict=True):
        rng = np.random.default_rng(0)
        first, second = (
            np.median(values[counted][resampled(int(counted.sum()), rng)], axis=1)
            for values, counted in (columns[:2], columns[2:])
        )
        low, high = np.quantile((first - second)[1:], [0.025, 0.975])
        found.append(
            Difference(float(x), float(first[0]), float(second[0]), float(low), float(high))
        )
    return found


def _columns(
    curves: Sequence[Curve], places: Float[np.ndarray, " points"]
) -> tuple[Float[np.ndarray, "points seeds"], Bool[np.ndarray, "points seeds"]]:
    values, counted = _at(curves, places)
    return values.T, counted.T


def common_places(
    ours: Sequence[Curve], theirs: Sequence[Curve], count: int = 4
) -> Float[np.ndarray, " count"]:
    """Places evenly spread as far as two arms can be compared, the farthest last."""
    reach = min(max(curve.reach for curve in arm) for arm in (ours, theirs))
    if not np.isfinite(reach):
        reach = max(float(curve.x[-1]) for curve in (*ours, *theirs))
    return reach * np.arange(1, count + 1) / count
