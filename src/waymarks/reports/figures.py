"""Which figures a study has, and how finely they are drawn."""

from collections.abc import Sequence
from dataclasses import replace

from waymarks.reports.arms import FEW_STEPS
from waymarks.reports.charts import Figure, accuracy_curves, error_curves, time_to_solve
from waymarks.reports.curves import ALL_SHOWN, AXES, POINTS, Runs
from waymarks.reports.order import CELLS, every_step, order_of_steps
from waymarks.reports.phase import Phase
from waymarks.tasks import Real, Step

PAGE_POINTS = 90_000
"""All curves of a page have about so many points together, which keeps it small."""


def figures(runs: Runs, steps: Sequence[Step], phase: Phase | None) -> list[Figure]:
    """All figures of a study of which there is something to show yet, the final step first.

    Args:
        runs: of the arms that curves are drawn of.
        steps: in the order of computation.
        phase: if arms differ in several fields.
    """
    begun = {
        step.name for arm in runs.values() for run in arm[:1] for step in run.experiment.task.steps
    }
    shown = [step for step in steps if step.name in begun]
    if not shown:
        return []
    reals = [step for step in reversed(shown) if isinstance(step.kind, Real)]
    drawn = (2 * len(shown) + len(reals)) * len(AXES) * len(runs)
    points = max(25, min(POINTS, PAGE_POINTS // drawn))
    found = _of_steps([accuracy_curves(runs, step, points) for step in reversed(shown)], "accuracy")
    found += _of_steps([error_curves(runs, step, points) for step in reals], "error")
    found.append(time_to_solve(runs, steps[-1]))
    if len(shown) > 1:
        cells = max(20, min(CELLS, PAGE_POINTS // (len(shown) * len(runs))))
        pictured = len(runs) <= ALL_SHOWN
        found.append(replace(every_step(runs, shown, points), pictured=pictured))
        found.append(replace(order_of_steps(runs, shown, cells), pictured=pictured))
    if len(runs) > ALL_SHOWN:
        found = [_if_key(figure, found[0]) for figure in found]
    return [phase.figure(), *found] if phase else found


def _of_steps(of_each: list[Figure], place: str) -> list[Figure]:
    """Side by side if they are few; of many the reader chooses one, and the first is pictured."""
    if len(of_each) <= FEW_STEPS:
        return of_each
    return [replace(figure, place=place, pictured=figure is of_each[0]) for figure in of_each]


def _if_key(figure: Figure, first: Figure) -> Figure:
    """Of a sweep of many arms only the figures that say most are pictured."""
    is_key = figure is first or figure.key == "time-to-solve"
    return replace(figure, pictured=figure.pictured and is_key)
