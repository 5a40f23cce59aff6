"""What many seeds say together: medians, their bootstrap intervals, censored times."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from waymarks.studies.run import Solved

CONFIDENCE = 0.95
RESAMPLES = 2000


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
    curve = kaplan_meier(
        np.array([time.update for time in times], dtype=float),
        np.array([time.censored for time in times]),
    )
    return curve.times, curve.share


@dataclass(frozen=True)
class Survival:
    """The Kaplan-Meier estimate of the share of runs that are still without something.

    Attributes:
        times: at which a run got there or was censored, in increasing order.
        share: of the runs that are without it from each of these times on.
        low, high: the interval of the share (95%, Greenwood's variance on the log-log scale,
            Kalbfleisch and Prentice 1980). Where that is not defined, because no run or every
            run got there, it is as wide as what is known allows.
    """

    times: Float[np.ndarray, " times"]
    share: Float[np.ndarray, " times"]
    low: Float[np.ndarray, " times"]
    high: Float[np.ndarray, " times"]


def kaplan_meier(
    times: Float[np.ndarray, " runs"], censored: Bool[np.ndarray, " runs"]
) -> Survival:
    """The survival curve of at least one run.

    Args:
        times: at which each run got there, or up to which it is known not to have.
        censored: which of them did not get there.
    """
    curve = stats.ecdf(stats.CensoredData.right_censored(times, censored)).sf
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it is undefined where all got there
        interval = curve.confidence_interval(confidence_level=CONFIDENCE, method="log-log")
    low, high = interval.low.probabilities, interval.high.probabilities
    share = curve.probabilities
    low = np.where(np.isfinite(low), low, np.where(share == 1, 1.0, 0.0))
    high = np.minimum.accumulate(np.where(np.isfinite(high), high, 1.0))
    return Survival(curve.quantiles, share, low, high)


def logrank(
    times: Float[np.ndarray, " runs"],
    censored: Bool[np.ndarray, " runs"],
    other_times: Float[np.ndarray, " others"],
    other_censored: Bool[np.ndarray, " others"],
) -> float | None:
    """The p-value of the log-rank test that two arms get there at the same rate; None where no
    run of either got there, or nothing else could have come out."""
    if censored.all() and other_censored.all():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.logrank(
            stats.CensoredData.right_censored(times, censored),
            stats.CensoredData.right_censored(other_times, other_censored),
        ).pvalue
    return float(found) if np.isfinite(found) else None


@dataclass(frozen=True)
class Bounded:
    """A number of which censored runs tell only a bound, and its interval (95%, percentile
    bootstrap over seeds, resampled within each arm).

    Attributes:
        at_least, at_most: the estimate; they differ where it is only known to lie between them.
        low, high: the interval; with a single seed per arm no wider than the estimate.
    """

    at_least: float
    at_most: float
    low: float
    high: float

    def said(self, form: Callable[[float], str]) -> str:
        """As a phrase: `4.2 (3.1 to 5)`, `at least 7.5 (from 6 on)`; `form` writes a number."""
        if self.at_least == self.at_most:
            estimate = form(self.at_least)
        elif np.isfinite(self.at_most):
            estimate = f"at most {form(self.at_most)}"
        elif self.at_least > 0:
            estimate = f"at least {form(self.at_least)}"
        else:
            return "not known"
        if (self.low, self.high) == (self.at_least, self.at_most):
            return estimate
        if not np.isfinite(self.high):
            return f"{estimate} (from {form(self.low)} on)"
        return f"{estimate} ({form(self.low)} to {form(self.high)})"


def median_times(
    times: Float[np.ndarray, " runs"],
    censored: Bool[np.ndarray, " runs"],
    picks: Int[np.ndarray, "samples runs"],
) -> tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"]]:
    """The Kaplan-Meier median of many samples of an arm's runs at once.

    The median is the first time at which half of the runs or fewer are left.

    Args:
        picks: the numbers of the runs that are in each sample.

    Returns:
        What each median is at least and at most. Where too few runs of a sample got there they
        differ: at least the longest time in the sample, at most infinity.
    """
    order = np.lexsort((censored, times))
    rank = np.argsort(order)
    rows = order[np.sort(rank[picks], axis=1)]
    left = np.arange(rows.shape[1], 0, -1)
    share = np.cumprod(1 - ~censored[rows] / left, axis=1)
    reached = share <= 0.5 + 1e-9
    first = np.take_along_axis(times[rows], reached.argmax(1)[:, None], axis=1)[:, 0]
    has_median = reached.any(1)
    longest = times[rows[:, -1]]
    return np.where(has_median, first, longest), np.where(has_median, first, np.inf)


def resampled(runs: int, rng: np.random.Generator) -> Int[np.ndarray, "samples runs"]:
    """All runs as they are, in the first row, and then `RESAMPLES` bootstrap samples of them."""
    samples = rng.integers(runs, size=(RESAMPLES, runs))
    return np.concatenate([np.arange(runs)[None], samples])


def bounded(
    at_least: Float[np.ndarray, " samples"], at_most: Float[np.ndarray, " samples"]
) -> Bounded:
    """An estimate and its interval, from its bounds in each row of `resampled`."""
    tail = (1 - CONFIDENCE) / 2
    low = np.quantile(at_least[1:], tail, method="inverted_cdf")
    high = np.quantile(at_most[1:], 1 - tail, method="inverted_cdf")
    return Bounded(float(at_least[0]), float(at_most[0]), float(low), float(high))


def median_time(times: Sequence[Solved]) -> float | None:
    """The median number of updates to solve a step (Kaplan-Meier), None where half of the runs
    or more were censored before it."""
    updates, unsolved = survival(times)
    reached = np.flatnonzero(unsolved <= 0.5)
    return float(updates[reached[0]]) if len(reached) else None
