"""The numbers behind the charts: each arm's median over seeds at equal x, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from waymarks.reports.summary import RunSummary
from waymarks.studies.evidence import Curve, Unit, medians_at, spent
from waymarks.studies.statistics import survival

POINTS = 400
"""A curve is drawn through at most so many points."""

HOVERED = 120
"""Of them, at most about so many answer to the pointer."""

MANY_LINES = 60
"""Beyond so many runs the lines of single seeds are left out."""

Runs = Mapping[str, Sequence[RunSummary]]


@dataclass(frozen=True)
class Axis:
    """What a curve can be drawn against.

    Attributes:
        key: short.
        name: as in the page's switch.
        title: as written under the axis.
        format: of its numbers, in d3's notation.
    """

    key: str
    name: str
    title: str
    format: str = "~s"

    @property
    def label(self) -> str:
        """The expression in Vega's language that writes a number below it; zero has no unit."""
        return f"datum.value == 0 ? '0' : format(datum.value, '{self.format}')"

    def of(self, run: RunSummary) -> Float[np.ndarray, " evaluations"]:
        """The run's place on this axis at each evaluation."""
        unit = "updates" if self.key == "update" else self.key
        return spent(run.evaluations, cast(Unit, unit))


AXES = (
    Axis("update", "updates", "updates"),
    Axis("examples", "examples", "examples seen"),
    Axis("labels", "labels seen", "labels seen, of all steps together"),
    Axis("seconds", "seconds", "seconds, evaluations included", ",~f"),
    Axis("flops", "FLOPs", "floating-point operations of training"),
)
UPDATES = AXES[0]


def curves(
    runs: Runs, column: str, axis: Axis, *, positive: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a chart of learning curves draws.

    Args:
        runs: of each arm.
        column: of `Run.curves`.
        axis: what to draw it against.
        positive: whether values must be greater than zero, as a logarithmic scale asks.

    Returns:
        medians: arm, x, median, low, high; `part`: "measured" where every run of the arm that
            has begun was measured, "continued" where some had ended; and `seeds`: how many of how
            many were measured there; and `hover`: whether the point answers to the pointer.
        singles: arm, seed, x, value of each run.
    """
    medians, singles = [], []
    for arm, summaries in runs.items():
        paths = [_path(run, column, axis, positive) for run in summaries if column in run.last]
        paths = [path for path in paths if len(path.curve.x)]
        if not paths:
            continue
        medians.append(_medians(paths).assign(arm=arm))
        singles += [
            path.thinned().assign(arm=arm, seed=path.seed) for path in paths if len(paths) > 1
        ]
    if len(singles) > MANY_LINES:
        singles = []
    return (
        _joined(medians, ["arm", "x", "median", "low", "high", "part", "seeds", "hover"]),
        _joined(singles, ["arm", "seed", "x", "value"]),
    )


def _joined(tables: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


@dataclass(frozen=True)
class _Path:
    """One run's curve."""

    seed: int
    curve: Curve

    def thinned(self) -> pd.DataFrame:
        kept = _spread(len(self.curve.x))
        return pd.DataFrame({"x": self.curve.x[kept], "value": self.curve.y[kept]})


def _path(run: RunSummary, column: str, axis: Axis, positive: bool) -> _Path:
    x, y = axis.of(run), run.evaluations[column].to_numpy(float)
    usable = np.isfinite(x) & np.isfinite(y) & ((y > 0) | (not positive))
    return _Path(run.seed, Curve(x[usable], y[usable], run.stopped_when_solved))


def _spread(count: int) -> Int[np.ndarray, " kept"]:
    """At most `POINTS` indices of `count`, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int))


def _medians(paths: Sequence[_Path]) -> pd.DataFrame:
    """The median of some runs and its interval, wherever at least one of them was measured."""
    places = np.unique(np.concatenate([path.curve.x for path in paths]))
    ends = np.array([path.curve.x[-1] for path in paths])
    kept = np.union1d(places[_spread(len(places))], ends)
    found = medians_at([path.curve for path in paths], kept)
    table = pd.DataFrame({"x": kept, "median": found.median, "low": found.low, "high": found.high})
    table["seeds"] = [f"{number} of {len(paths)}" for number in found.measured]
    table["hover"] = np.arange(len(kept)) % (len(kept) // HOVERED + 1) == 0
    return _in_parts(table, found.measured == len(paths))


def _in_parts(table: pd.DataFrame, whole: Bool[np.ndarray, " points"]) -> pd.DataFrame:
    """Names the part of the curve that each point belongs to; where they meet is in both."""
    if whole.all():
        return table.assign(part="measured")
    meeting = max(int(whole.sum()) - 1, 0)
    return pd.concat(
        [table[: meeting + 1].assign(part="measured"), table[meeting:].assign(part="continued")]
    )


def unsolved_shares(runs: Runs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the chart of times to solve draws.

    Returns:
        shares: arm, x, share: of the runs that have not solved the final step by update x.
        censored: likewise, where a run ended or stands without having solved it; and `seed`.
    """
    shares, censored = [], []
    for arm, summaries in runs.items():
        begun = [run for run in summaries if run.last]
        if not begun:
            continue
        updates, unsolved = survival([run.final_solved for run in begun])
        x, y = np.concatenate([[0.0], updates]), np.concatenate([[1.0], unsolved])
        shares.append(pd.DataFrame({"x": x, "share": y, "arm": arm}))
        censored += [
            pd.DataFrame(
                {"x": [float(at)], "share": [y[x <= at][-1]], "arm": arm, "seed": run.seed}
            )
            for run in begun
            if run.final_solved.censored and (at := run.final_solved.update) is not None
        ]
    return (
        _joined(shares, ["arm", "x", "share"]),
        _joined(censored, ["arm", "seed", "x", "share"]),
    )
