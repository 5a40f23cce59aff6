"""What the page's tables of arms, of runs and of differences hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from waymarks.reports import text
from waymarks.reports.configuration import fields_of, shared_and_different
from waymarks.reports.summary import RunSummary
from waymarks.reports.tables import Cell, Column
from waymarks.studies import Study

Row = dict[str, Any]


def arm_columns(
    rows: Sequence[Row], steps: Sequence[str], drawn: Sequence[str], few: int
) -> list[Column]:
    """The columns of the table of arms.

    Args:
        rows: of `arm_table`.
        steps: their names, the final one first.
        drawn: the arms that have a colour.
        few: of more steps only the final one has a column; the others are counted.
    """
    places = {arm: place for place, arm in enumerate(drawn)}
    final = steps[0]
    columns = [
        Column("arm", [Cell(row["arm"], arm=places.get(row["arm"])) for row in rows]),
        _number("finished", [_share(row["finished"], row["seeds"]) for row in rows]),
        _number(f"{final} solved", [_share(row["solved"], row["seeds"]) for row in rows]),
        _number(f"updates to solve {final}", [_time_to_solve(row) for row in rows]),
    ]
    for step in steps if len(steps) <= few else steps[:1]:
        columns.append(_number(f"accuracy of {step}", [_accuracy(row, step) for row in rows]))
    if len(steps) > few:
        columns.append(_number("steps solved", [_steps_solved(row, steps) for row in rows]))
    if any(row["test_accuracy"] is not None for row in rows):
        tested = [(row["test_accuracy"], text.percent(row["test_accuracy"])) for row in rows]
        columns.append(_number(f"{final} on the test stream", [Cell(t, "", r) for r, t in tested]))
    if any(row["learning_rate"] is not None for row in rows):
        rates = [Cell(text.value(r), "", r) for r in (row["learning_rate"] for row in rows)]
        columns.append(_number("learning rate chosen", rates))
    columns.append(_number("labels told", [_labels(row, steps, few) for row in rows]))
    rates = [Cell(text.rate(r), "", r) for r in (row["updates_per_second"] for row in rows)]
    return [*columns, _number("updates/s", rates)]


def _number(title: str, cells: Sequence[Cell]) -> Column:
    return Column(title, cells, is_number=True)


def _share(part: int, whole: int) -> Cell:
    return Cell(f"{part} of {whole}", "", part / whole if whole else 0.0)


def _steps_solved(row: Row, steps: Sequence[str]) -> Cell:
    """How many, and which accuracy the others have: the worst of them."""
    known = [
        (row[f"{step}.accuracy"], step) for step in steps if row[f"{step}.accuracy"] is not None
    ]
    worst = min(known, default=None)
    note = f"lowest: {worst[1]} {text.percent(worst[0])}" if worst else ""
    return Cell(f"{row['steps_solved']} of {row['steps']}", note, row["steps_solved"])


def _labels(row: Row, steps: Sequence[str], few: int) -> Cell:
    notes = [f"{step} {text.large(row[f'{step}.labels_seen'])}" for step in steps]
    shown = notes if len(notes) <= few else notes[:1]
    return Cell(text.large(row["labels_seen"]), " · ".join(shown), row["labels_seen"])


def _time_to_solve(row: Row) -> Cell:
    """The median, and the range or what goes with it."""
    median, first, last = row["updates_to_solve"], row["first_solved"], row["last_solved"]
    beyond = row["unsolved_after"]
    if median is None:
        if beyond is None:
            return Cell(text.NOTHING)
        first_one = f"; the first seed at {text.count(first)}" if first is not None else ""
        return Cell(f"> {text.count(beyond)}", "censored" + first_one, 1e12 + beyond)
    if beyond is None and first == last:
        return Cell(text.count(median), "", median)
    end = text.count(last) if beyond is None else f"> {text.count(beyond)} (censored)"
    return Cell(text.count(median), f"{text.count(first)} to {end}", median)


def _accuracy(row: Row, step: str) -> Cell:
    """The median, and its interval and error."""
    low, high = row[f"{step}.accuracy_low"], row[f"{step}.accuracy_high"]
    notes = []
    if low != high:
        notes.append(f"{text.percent(low)} to {text.percent(high)}")
    error = row.get(f"{step}.mean_squared_error")
    if error is not None:
        notes.append(f"squared error {text.small(error)}")
    accuracy = row[f"{step}.accuracy"]
    return Cell(text.percent(accuracy), "; ".join(notes), accuracy)


def run_columns(runs: Sequence[RunSummary], folder: Path) -> list[Column]:
    """The columns of the table of runs, whose folders are seen from `folder`."""
    lasts = [(run, run.last, run.final_solved) for run in runs]
    names = [run.arm if run.counts else f"{run.arm} (not chosen)" for run in runs]
    columns = [
        Column("arm", [Cell(name) for name in names]),
        _number("seed", [Cell(str(run.seed), "", run.seed) for run in runs]),
    ]
    if any(run.learning_rate is not None for run in runs):
        rates = [run.learning_rate for run in runs]
        columns.append(_number("learning rate", [Cell(text.value(r), "", r) for r in rates]))
    return [
        *columns,
        Column("state", [Cell(run.state, run.message) for run in runs]),
        _number("updates", [_counted(last.get("update")) for _, last, _ in lasts]),
        _number(
            "solved at",
            [_counted(None if solved.censored else solved.update) for _, _, solved in lasts],
        ),
        _number("accuracy", [_last_accuracy(run) for run in runs]),
        _number(
            "time", [Cell(text.duration(s), "", s) for s in (r.last.get("seconds") for r in runs)]
        ),
        Column("folder", _folders(runs, folder), is_code=True),
    ]


def _counted(number: float | None) -> Cell:
    return Cell(text.count(number), "", number)


def _last_accuracy(run: RunSummary) -> Cell:
    accuracy = run.last.get(f"{run.experiment.task.steps[-1].name}.accuracy")
    return Cell(text.percent(accuracy), "", accuracy)


def _folders(runs: Sequence[RunSummary], folder: Path) -> list[Cell]:
    """The runs' folders, as links where they are not far from the page."""
    parents = {run.run.folder.parent for run in runs}
    seen = {parent: _path_from(folder, parent) for parent in parents}
    cells = []
    for run in runs:
        path = f"{seen[run.run.folder.parent]}/{run.run.folder.name}".removeprefix("./")
        link = "" if path.startswith("/") else "/".join(map(quote, path.split("/"))) + "/"
        cells.append(Cell(path, link=link))
    return cells


def _path_from(folder: Path, path: Path) -> str:
    """A path as seen from `folder`, if it is not far from it."""
    here, there = folder.resolve(), path.resolve()
    for ups, ancestor in enumerate([here, *here.parents][:3]):
        if there.is_relative_to(ancestor):
            return "/".join([".."] * ups + list(there.relative_to(ancestor).parts)) or "."
    return str(there)


def different_columns(study: Study) -> list[Column]:
    """The fields in which the arms differ, with the value of each; none if there are none."""
    experiments = [arm.experiment for arm in study.arms]
    _, paths = shared_and_different(experiments)
    every = [fields_of(experiment) for experiment in experiments]
    columns = [Column("arm", [Cell(arm.name) for arm in study.arms])]
    for path in paths:
        values = [fields.get(path) for fields in every]
        ranks = [
            float(v) if isinstance(v, int | float) and not isinstance(v, bool) else None
            for v in values
        ]
        cells = [Cell(text.value(v), "", rank) for v, rank in zip(values, ranks, strict=True)]
        columns.append(Column(path, cells))
    return columns
