"""What many seeds say together: medians, their bootstrap intervals, censored times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from waymarks.studies.run import Solved

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median over seeds and its bootstrap interval (95%, percentile method).

    With a single seed, or where all agree, it has no width.
    """

    median: float
    low: float
    high: float


def median_interval(values: Sequence[float] | Float[np.ndarray, " seeds"]) -> Interval:
    """The median of some values, one per seed, with its interval.

    Raises:
        ValueError: there are no values.
    """
    sample = np.asarray(values, dtype=float)[:, None]
    if sample.size == 0:
        raise ValueError("no values to take the median of")
    low, median, high = median_intervals(sample, np.ones_like(sample, dtype=bool))
    return Interval(float(median[0]), float(low[0]), float(high[0]))


def median_intervals(
    values: Float[np.ndarray, "seeds points"], counted: Bool[np.ndarray, "seeds points"]
) -> tuple[Float[np.ndarray, " points"], ...]:
    """The median of every column with its interval, of the seeds that count in it.

    Columns in which the same seeds count are resampled together: a thousand times faster.

    Args:
        counted: which values count; at least one in each column.

    Returns:
        The lower ends, the medians, the upper ends.
    """
    low, median, high = (np.empty(values.shape[1]) for _ in range(3))
    for pattern in np.unique(counted, axis=1).T:
        columns = np.flatnonzero((counted == pattern[:, None]).all(0))
        sample = values[np.ix_(pattern, columns)]
        median[columns] = low[columns] = high[columns] = np.median(sample, axis=0)
        varied = np.ptp(sample, axis=0) > 0
        if varied.any():
            found = stats.bootstrap(
                (sample[:, varied],),
                np.median,
                axis=0,
                confidence_level=CONFIDENCE,
                method="percentile",
                n_resamples=1000,
                rng=np.random.default_rng(0),
            ).confidence_interval
            low[columns[varied]], high[columns[varied]] = found.low, found.high
    return low, median, high


def survival(
    times: Sequence[Solved],
) -> tuple[Float[np.ndarray, " times"], Float[np.ndarray, " times"]]:
    """The Kaplan-Meier estimate of the share of runs that have not solved a step yet.

    Args:
        times: when each run solved it, or was censored; at least one.

    Returns:
        The updates at which the share falls, and the share from there on.
    """
    sample = stats.CensoredData.right_censored(
        [time.update for time in times], [time.censored for time in times]
    )
    curve = stats.ecdf(sample).sf
    return curve.quantiles, curve.probabilities


def median_time(times: Sequence[Solved]) -> float | None:
    """The median number of updates to solve a step (Kaplan-Meier), None where half of the runs
    or more were censored before it."""
    updates, unsolved = survival(times)
    reached = np.flatnonzero(unsolved <= 0.5)
    return float(updates[reached[0]]) if len(reached) else None
