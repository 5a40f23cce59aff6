"""What many seeds say together: medians, their bootstrap intervals, censored times."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
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
    sample = np.asarray(values, dtype=float)
    if sample.size == 0:
        raise ValueError("no values to take the median of")
    median = float(np.median(sample))
    if sample.size == 1 or np.ptp(sample) == 0:
        return Interval(median, median, median)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (sample,),
            np.median,
            confidence_level=CONFIDENCE,
            method="percentile",
            n_resamples=1000,
            rng=np.random.default_rng(0),
        ).confidence_interval
    return Interval(median, float(found.low), float(found.high))


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
