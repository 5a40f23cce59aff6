"""`waymarks compare`: two arms of a study side by side, with intervals."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waymarks.errors import UserError, unknown_name

if TYPE_CHECKING:
    from waymarks.studies import Outcome
    from waymarks.studies.evidence import Difference, Times, Unit
    from waymarks.studies.statistics import Bounded, Interval


def compare(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Of a study, finished or not.")],
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Name of an arm, twice; not needed where there are only two."),
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Which step; the final one unless given.", show_default=False)
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(help="The accuracy to reach; what counts as solved unless given."),
    ] = None,
    unit: Annotated[
        str, typer.Option(help="Counted in updates, examples, labels, flops or seconds.")
    ] = "examples",
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object on standard output, and nothing else there."),
    ] = False,
) -> None:
    """Compares two arms: times to reach an accuracy, their ratio, and curves at equal cost."""
    from waymarks.studies import Outcome

    comparison = _compared(Outcome.open(folder), arm or [], step, accuracy, unit)
    if as_json:
        print(json.dumps(comparison.described(), ensure_ascii=False))
    else:
        comparison.show()


@dataclass(frozen=True)
class _Side:
    """What is said of one arm."""

    arm: str
    seeds: int
    ended: int
    times: "Times"
    last_accuracy: "Interval"


@dataclass(frozen=True)
class _Comparison:
    """What is said of two arms."""

    study: str
    step: str
    accuracy: float | None
    unit: "Unit"
    sides: tuple[_Side, _Side]
    differences: "list[Difference]"

    def described(self) -> dict[str, Any]:
        """As plain data; a bound that is not known is None."""
        first, second = self.sides
        return {
            "study": self.study,
            "step": self.step,
            "accuracy": self.accuracy,
            "unit": self.unit,
            "arms": [_described_side(side) for side in self.sides],
            "ratio": _described_bounds(first.times.ratio(second.times)),
            "logrank_p": first.times.logrank(second.times),
            "differences": [
                {"at": d.x, "of": d.ours - d.theirs, "low": d.low, "high": d.high}
                for d in self.differences
            ],
        }

    def show(self) -> None:
        """Prints it for a person."""
        from rich.console import Console
        from rich.table import Table

        from waymarks.studies.evidence import UNIT_NAMES

        first, second = self.sides
        unit = UNIT_NAMES[self.unit]
        goal = "solved" if self.accuracy is None else f"at {self.accuracy:.1%}"
        headings = ("arm", "ended", f"{self.step} {goal}", f"median {unit} to that", "accuracy now")
        table = Table(*headings, box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for side in self.sides:
            table.add_row(
                side.arm,
                f"{side.ended} of {side.seeds}",
                f"{side.times.reached} of {side.seeds}",
                side.times.median().said(self._amount),
                _percents(side.last_accuracy),
            )
        console = Console(highlight=False, markup=False)
        console.print(table)
        ratio = first.times.ratio(second.times).said("{:.3g}".format)
        console.print(f"{unit} that {first.arm} needs / {second.arm} needs: {ratio}")
        p = first.times.logrank(second.times)
        console.print(f"log-rank test: p = {p:.2g}" if p is not None else "log-rank test: none")
        console.print(f"{self.step} accuracy at equal {unit}, {first.arm} - {second.arm}:")
        for d in self.differences:
            interval = f" ({100 * d.low:+.1f} to {100 * d.high:+.1f})" if d.low < d.high else ""
            console.print(
                f"  {self._amount(d.x)}: {100 * (d.ours - d.theirs):+.1f} points{interval}, "
                f"{d.ours:.1%} against {d.theirs:.1%}"
            )
        console.print("medians over seeds; in parentheses 95% bootstrap intervals", style="dim")

    @property
    def _amount(self) -> Callable[[float], str]:
        from waymarks.studies.evidence import amount

        return lambda value: amount(self.unit, value)


def _compared(
    outcome: "Outcome", arms: Sequence[str], step: str | None, accuracy: float | None, unit: str
) -> _Comparison:
    """Looks at the runs.

    Raises:
        UserError: an arm, the step or the unit is not known, the accuracy is none, or an arm has
            no run with an evaluation yet.
    """
    from waymarks.studies.evidence import UNITS, common_places, curves_of, differences_at

    first, second = _two_arms(outcome, arms)
    step = _step(outcome, (first, second), step)
    known_unit = next((known for known in UNITS if known == unit), None)
    if known_unit is None:
        raise UserError(unknown_name("unit", unit, UNITS))
    if accuracy is not None and not 0 < accuracy <= 1:
        raise UserError(f"--accuracy {accuracy}: is more than 0 and at most 1, such as 0.95")
    sides = (
        _side(outcome, first, step, accuracy, known_unit),
        _side(outcome, second, step, accuracy, known_unit),
    )
    ours, theirs = (
        curves_of(outcome.runs[name], f"{step}.accuracy", known_unit) for name in (first, second)
    )
    differences = differences_at(ours, theirs, common_places(ours, theirs))
    return _Comparison(outcome.study.name, step, accuracy, known_unit, sides, differences)


def _two_arms(outcome: "Outcome", given: Sequence[str]) -> tuple[str, str]:
    names = [arm.name for arm in outcome.study.arms]
    chosen = given or names
    for name in chosen:
        if name not in names:
            raise UserError(unknown_name("arm", name, names))
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise UserError(f"name two arms with --arm A --arm B; there are {', '.join(names)}")
    return chosen[0], chosen[1]


def _step(outcome: "Outcome", arms: tuple[str, str], given: str | None) -> str:
    first, second = (
        [step.name for step in arm.experiment.task.steps]
        for name in arms
        for arm in outcome.study.arms
        if arm.name == name
    )
    step = first[-1] if given is None else given
    if step not in first or step not in second:
        both = [name for name in first if name in second]
        raise UserError(unknown_name("step of both arms", step, both))
    return step


def _side(outcome: "Outcome", arm: str, step: str, accuracy: float | None, unit: "Unit") -> _Side:
    from waymarks.studies.evidence import times_to_reach
    from waymarks.studies.statistics import median_interval

    runs = outcome.runs[arm]
    lasts = [run.metrics()[-1:] for run in runs]
    accuracies = [line[f"{step}.accuracy"] for lines in lasts for line in lines]
    if not accuracies:
        raise UserError(f"{arm}: no run of this arm has been evaluated yet")
    times = times_to_reach(runs, step, unit, accuracy)
    return _Side(
        arm, len(runs), sum(run.has_ended for run in runs), times, median_interval(accuracies)
    )


def _described_side(side: _Side) -> dict[str, Any]:
    survival = side.times.survival()
    return {
        "arm": side.arm,
        "seeds": side.seeds,
        "ended": side.ended,
        "reached": side.times.reached,
        "censored": len(side.times.times) - side.times.reached,
        "median_time": _described_bounds(side.times.median()),
        "survival": {
            "times": survival.times.tolist(),
            "share": survival.share.tolist(),
            "low": survival.low.tolist(),
            "high": survival.high.tolist(),
        },
        "accuracy": vars(side.last_accuracy),
    }


def _described_bounds(bounds: "Bounded") -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in vars(bounds).items()}


def _percents(interval: "Interval") -> str:
    if interval.low == interval.high:
        return f"{interval.median:.1%}"
    return f"{interval.median:.1%} ({interval.low:.1%} to {interval.high:.1%})"
