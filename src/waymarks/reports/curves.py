"""The numbers behind the charts: each arm's median over seeds at equal x, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from waymarks.reports.summary import RunSummary
from waymarks.studies.statistics import median_intervals, survival

POINTS = 400
"""A curve is drawn through at most so many points."""

HOVERED = 120
"""Of them, at most about so many answer to the pointer."""

MANY_LINES = 60
"""Beyond so many runs the lines of single seeds are left out."""

AT_ONCE = 500
"""So many medians are resampled at once, so that memory stays small."""

ALL_SHOWN = 10
"""Of so many arms all are shown at first."""

SHOWN_FIRST = 7
"""Of more arms so many are shown at first, as many as there are colours that are told apart."""

DRAWN_ARMS, DRAWN_RUNS = 300, 1500
"""Curves are drawn of at most so many arms with so many runs together."""

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
        if self.key == "labels":
            names = [f"{step.name}.labels_seen" for step in run.experiment.task.steps]
            labels: Float[np.ndarray, " evaluations"] = np.sum(
                [run.evaluations[name].astype(float) for name in names], axis=0
            )
            return labels
        column: Float[np.ndarray, " evaluations"] = run.evaluations[self.key].astype(float)
        return column


AXES = (
    Axis("update", "updates", "updates"),
    Axis("examples", "examples", "examples seen"),
    Axis("labels", "labels seen", "labels seen, of all steps together"),
    Axis("seconds", "seconds", "seconds, evaluations included", ",~f"),
    Axis("flops", "FLOPs", "floating-point operations of training"),
)
UPDATES = AXES[0]


def curves(
    runs: Runs, column: str, axis: Axis, *, positive: bool = False, points: int = POINTS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a chart of learning curves draws.

    Args:
        runs: of each arm.
        column: of `Run.curves`.
        axis: what to draw it against.
        positive: whether values must be greater than zero, as a logarithmic scale asks.
        points: about so many to a curve at most.

    Returns:
        medians: arm, x, median, low, high; `part`: "measured" where every run of the arm that
            has begun was measured, "continued" where some had ended; and `seeds`: how many of how
            many were measured there; and `hover`: whether the point answers to the pointer.
        singles: arm, seed, x, value of each run.
    """
    paths = {
        arm: usable
        for arm, summaries in runs.items()
        if (usable := _paths(summaries, column, axis, positive))
    }
    grids = [_Grid.of(arm, of_arm, points) for arm, of_arm in paths.items()]
    tables = [grid.table(*ends) for grid, ends in zip(grids, _intervals(grids), strict=True)]
    several = [(arm, path) for arm, of_arm in paths.items() if len(of_arm) > 1 for path in of_arm]
    singles = [
        path.thinned(points).assign(arm=arm, seed=path.seed)
        for arm, path in (several if len(several) <= MANY_LINES else [])
    ]
    return (
        _joined(tables, ["arm", "x", "median", "low", "high", "part", "seeds", "hover"]),
        _joined(singles, ["arm", "seed", "x", "value"]),
    )


def drawn(runs: Runs) -> Runs:
    """The arms that curves are drawn of: all, or as many as is of use, evenly spread."""
    arms = [arm for arm, summaries in runs.items() if any(run.last for run in summaries)]
    if not arms:
        return {}
    seeds = max(len(summaries) for summaries in runs.values())
    kept = _spread(len(arms), max(1, min(DRAWN_ARMS, DRAWN_RUNS // seeds)))
    return {arms[place]: runs[arms[place]] for place in kept}


def shown_first(arms: Sequence[str]) -> list[str]:
    """The arms that a reader sees before choosing."""
    if len(arms) <= ALL_SHOWN:
        return list(arms)
    return [arms[place] for place in _spread(len(arms), SHOWN_FIRST)]


def median_at(
    runs: Sequence[RunSummary], column: str, axis: Axis, points: int
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """An arm's median curve alone: x and the median, through about so many points."""
    paths = _paths(runs, column, axis, positive=False)
    if not paths:
        return np.empty(0), np.empty(0)
    grid = _Grid.of("", paths, points)
    return grid.x, np.nanmedian(np.where(grid.counted, grid.values, np.nan), axis=0)


def _joined(tables: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


@dataclass(frozen=True)
class _Path:
    """One run's curve; `keeps_its_end` if it ended because it was solved."""

    seed: int
    x: Float[np.ndarray, " evaluations"]
    y: Float[np.ndarray, " evaluations"]
    keeps_its_end: bool

    def thinned(self, points: int) -> pd.DataFrame:
        kept = _spread(len(self.x), points)
        return pd.DataFrame({"x": self.x[kept], "value": self.y[kept]})


def _paths(runs: Sequence[RunSummary], column: str, axis: Axis, positive: bool) -> list[_Path]:
    """The curves of those runs that have one."""
    paths = []
    for run in runs:
        if column not in run.evaluations:
            continue
        x, y = axis.of(run), run.evaluations[column].astype(float)
        usable = np.isfinite(x) & np.isfinite(y) & ((y > 0) | (not positive))
        if usable.any():
            paths.append(_Path(run.seed, x[usable], y[usable], run.stopped_when_solved))
    return paths


def _spread(count: int, points: int) -> Int[np.ndarray, " kept"]:
    """At most `points` indices of `count`, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, points)).round().astype(int))


@dataclass(frozen=True)
class _Grid:
    """An arm's curves at equal places, wherever at least one of them was measured."""

    arm: str
    x: Float[np.ndarray, " points"]
    values: Float[np.ndarray, "seeds points"]
    measured: Bool[np.ndarray, "seeds points"]
    counted: Bool[np.ndarray, "seeds points"]

    @classmethod
    def of(cls, arm: str, paths: Sequence[_Path], points: int) -> "_Grid":
        places = np.unique(np.concatenate([path.x for path in paths]))
        ends = np.array([path.x[-1] for path in paths])
        kept = np.union1d(places[_spread(len(places), points)], ends)
        values = np.stack([np.interp(kept, path.x, path.y) for path in paths])
        measured = kept[None] <= ends[:, None]
        keep = np.array([[path.keeps_its_end] for path in paths])
        return cls(arm, kept, values, measured, measured | keep)

    def table(
        self,
        low: Float[np.ndarray, " points"],
        middle: Float[np.ndarray, " points"],
        high: Float[np.ndarray, " points"],
    ) -> pd.DataFrame:
        here = self.measured.sum(0)
        table = pd.DataFrame(
            {"arm": self.arm, "x": self.x, "median": middle, "low": low, "high": high}
        )
        table["seeds"] = [f"{number} of {len(self.values)}" for number in here]
        table["hover"] = np.arange(len(self.x)) % (len(self.x) // HOVERED + 1) == 0
        return _in_parts(table, here == len(self.values))


def _intervals(grids: Sequence[_Grid]) -> list[list[Float[np.ndarray, " points"]]]:
    """The lower ends, medians and upper ends of each, all arms resampled together."""
    if not grids:
        return []
    seeds = max(len(grid.values) for grid in grids)
    values, counted = (
        np.concatenate([_padded(array, seeds) for array in arrays], axis=1)
        for arrays in ([grid.values for grid in grids], [grid.counted for grid in grids])
    )
    chunks = [
        median_intervals(values[:, start : start + AT_ONCE], counted[:, start : start + AT_ONCE])
        for start in range(0, values.shape[1], AT_ONCE)
    ]
    ends = np.cumsum([len(grid.x) for grid in grids])[:-1]
    whole = [np.split(np.concatenate(part), ends) for part in zip(*chunks, strict=True)]
    return [list(parts) for parts in zip(*whole, strict=True)]


def _padded(array: np.ndarray, seeds: int) -> np.ndarray:
    """With rows of zeros (which count for nothing) up to so many seeds."""
    return np.pad(array, ((0, seeds - len(array)), (0, 0)))


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
