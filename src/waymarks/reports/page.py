"""The page: one HTML file with everything in it, which opens without a network."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from waymarks.reports import text
from waymarks.reports.arms import FEW_STEPS, arm_rows
from waymarks.reports.charts import Figure
from waymarks.reports.configuration import shared_and_different
from waymarks.reports.contents import arm_columns, different_columns, run_columns
from waymarks.reports.curves import ALL_SHOWN, AXES, Axis, drawn, shown_first
from waymarks.reports.figures import figures
from waymarks.reports.palette import UNORDERED, are_ordered, ordered, palette
from waymarks.reports.phase import Phase
from waymarks.reports.summary import RunSummary, left_out, steps_of, summaries
from waymarks.reports.tables import Table
from waymarks.reports.theme import page_theme, theme
from waymarks.reports.vega import vega_script
from waymarks.studies import Outcome, Verdict
from waymarks.studies.provenance import commit, now, package_version

Cells = dict[str, Any]

WHOLE = 200_000
"""A study of which the JSON has more characters is not written out on the page."""


@dataclass(frozen=True)
class Section:
    """What the page says of one outcome.

    Attributes:
        outcome: what came of a study.
        runs: of each arm, as they stood when the report was begun.
        others: those at learning rates that were not chosen.
        rows: of the table of arms.
        drawn: the arms that curves are drawn of.
        phase: if arms differ in several fields.
        figures: of which there is something to show.
        verdict: what the outcome says of the claim.
    """

    outcome: Outcome
    runs: dict[str, list[RunSummary]]
    others: list[RunSummary]
    rows: list[Cells]
    drawn: tuple[str, ...]
    phase: Phase | None
    figures: list[Figure]
    verdict: Verdict | None

    @classmethod
    def of(cls, outcome: Outcome) -> "Section":
        """Reads the runs, once."""
        study, runs = outcome.study, summaries(outcome)
        steps = steps_of(study)
        rows = arm_rows(runs, steps)
        shown = drawn(runs)
        phase = Phase.of(study.arms, rows, steps[-1].name)
        read = {arm: [run.run for run in of_arm] for arm, of_arm in runs.items()}
        return cls(
            outcome=outcome,
            runs=runs,
            others=left_out(outcome),
            rows=rows,
            drawn=tuple(shown),
            phase=phase,
            figures=figures(shown, steps, phase),
            verdict=study.claim.judge(read) if study.claim else None,
        )

    @property
    def every_run(self) -> list[RunSummary]:
        """The runs of all arms."""
        return [run for runs in self.runs.values() for run in runs]

    def tables(self, folder: Path) -> list[Table]:
        """The tables of arms, of runs, and of what differs; paths start from `folder`."""
        steps = [step.name for step in reversed(steps_of(self.outcome.study))]
        return [
            Table("arms", "Table of arms", arm_columns(self.rows, steps, self.drawn, FEW_STEPS)),
            Table("runs", "Table of runs", run_columns([*self.every_run, *self.others], folder)),
            Table("differences", "Differences between arms", different_columns(self.outcome.study)),
        ]


def render(sections: Sequence[Section], folder: Path) -> str:
    """The page.

    Args:
        sections: one for each outcome.
        folder: where the page will lie; the paths in it start from there.
    """
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tables = [section.tables(folder) for section in sections]
    contents = [_content(*both) for both in zip(sections, tables, strict=True)]
    return environment.get_template("report.html.jinja").render(
        sections=[_section_cells(*both) for both in zip(sections, tables, strict=True)],
        title=sections[0].outcome.study.question if len(sections) == 1 else "Waymarks report",
        written=now().replace("T", " ").replace("+00:00", " UTC"),
        version=package_version(),
        commit=commit(),
        slots={page: enumerate(UNORDERED[page]) for page in ("light", "dark")},
        data=_for_a_script(json.dumps(contents, separators=(",", ":"))),
        style=Markup((here / "page.css").read_text()),
        script=Markup((here / "page.js").read_text()),
        vega=Markup(vega_script()),
    )


def _for_a_script(data: str) -> Markup:
    """JSON that nothing in it can break out of a <script> with."""
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return Markup(data)


def _content(section: Section, tables: Sequence[Table]) -> Cells:
    """What the page's script works with."""
    arms = section.drawn
    return {
        "name": section.outcome.study.name,
        "arms": arms,
        "shown": shown_first(arms),
        "slots": UNORDERED["light"] if len(arms) > ALL_SHOWN and not are_ordered(arms) else [],
        "config": page_theme(len(arms)),
        "paper": theme(arms),
        "axes": {axis.key: _axis(axis) for axis in AXES},
        "figures": [_figure(figure) for figure in section.figures],
        "phase": section.phase and _phase(section.phase),
        "tables": [table.content() for table in tables],
    }


def _axis(axis: Axis) -> Cells:
    return {"name": axis.name, "title": axis.title, "label": axis.label}


def _figure(figure: Figure) -> Cells:
    return {
        "key": figure.key,
        "title": figure.title,
        "main": figure.main,
        "eachArm": figure.each_arm,
        "specification": figure.specification(),
        "tables": {
            axis.key: {name: _columns(table) for name, table in figure.tables(axis).items()}
            for axis in figure.axes
        },
    }


def _phase(phase: Phase) -> Cells:
    return {
        "arms": phase.arms,
        "fields": phase.fields,
        "order": phase.order,
        "axes": phase.axes,
        "quantities": [vars(quantity) for quantity in phase.quantities],
        "values": phase.values,
    }


def _columns(table: pd.DataFrame) -> Cells:
    """A table by columns, which takes a fifth of the room; names as numbers of a list of names."""
    columns: Cells = {}
    for name in table.columns:
        column = table[name]
        if pd.api.types.is_float_dtype(column):
            columns[name] = {"values": _rounded(column.to_numpy(), 6 if name == "x" else 5)}
        else:
            codes, names = pd.factorize(column)
            columns[name] = {"codes": codes.tolist(), "names": names.tolist()}
    return columns


def _rounded(values: "np.ndarray[Any, Any]", digits: int) -> list[float]:
    """To so many digits, whole numbers without a point."""
    rounded = (float(f"{value:.{digits}g}") for value in values.tolist())
    return [int(value) if value.is_integer() else value for value in rounded]


def _section_cells(section: Section, tables: Sequence[Table]) -> Cells:
    study, every_run = section.outcome.study, section.every_run
    steps = steps_of(study)
    whole = json.dumps(study.model_dump(mode="json"), indent=2, ensure_ascii=False)
    shared, _ = shared_and_different([arm.experiment for arm in study.arms])
    return {
        "study": study,
        "verdict": section.verdict,
        "states": _states([*every_run, *section.others]),
        "final": steps[-1].name,
        "arm_count": len(study.arms),
        "arms": section.drawn,
        "shown": shown_first(section.drawn),
        "colours": {page: palette(section.drawn, page) for page in ("light", "dark")},
        "step_colours": {page: ordered(len(steps), page) for page in ("light", "dark")},
        "places": _places(section.figures),
        "axes": AXES,
        "phase": section.phase,
        "tables": {table.key: table for table in tables},
        "several_seeds": any(row["begun"] > 1 for row in section.rows),
        "solved_means": _solved_means(every_run),
        "tested": any(row["test_accuracy"] is not None for row in section.rows),
        "shared": [(path, text.value(value)) for path, value in shared.items()],
        "seeds": sorted({run.seed for run in every_run}),
        "whole": whole if len(whole) <= WHOLE else "",
        "provenance": _provenance(every_run),
    }


def _places(figures: Sequence[Figure]) -> list[list[tuple[int, Figure]]]:
    """The figures, with their numbers, that stand in each place of the page."""
    places: dict[str, list[tuple[int, Figure]]] = {}
    for number, figure in enumerate(figures):
        places.setdefault(figure.place or figure.key, []).append((number, figure))
    return list(places.values())


def _states(runs: Iterable[RunSummary]) -> str:
    """`12 runs: 10 finished, 1 running, 1 waiting`."""
    states = [run.state for run in runs]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{text.plural(len(states), 'run')}: {counted}"


def _solved_means(runs: Sequence[RunSummary]) -> str:
    """When a run counts as solved, if it is the same for all."""
    rules = {
        (run.experiment.training.solved_accuracy, run.experiment.training.solved_evaluations)
        for run in runs
    }
    if len(rules) > 1:
        return "solved: as each arm's training.solved_accuracy and solved_evaluations say"
    [(accuracy, evaluations)] = rules
    return (
        f"solved: an accuracy of at least {accuracy:.4g} in "
        f"{text.plural(evaluations, 'evaluation')} in a row, counted from the first of them"
    )


def _provenance(runs: Iterable[RunSummary]) -> list[tuple[str, list[str]]]:
    """Where the numbers come from: each fact, with all the values that it takes."""
    records = [run.record for run in runs if run.record]
    facts: dict[str, list[str]] = {}
    for record in records:
        for name, value in _facts(record).items():
            facts.setdefault(name, []).append(text.value(value))
    starts = sorted(facts.pop("started", []))
    listed = [(name, _counted(values)) for name, values in facts.items()]
    if starts:
        listed.append(("started", [" to ".join(dict.fromkeys([starts[0], starts[-1]]))]))
    return listed


def _facts(record: Mapping[str, Any]) -> Cells:
    facts = {**record.get("provenance", {}), **record.get("execution", {})}
    return {name: value for name, value in facts.items() if name != "checkpoint_seconds"}


def _counted(values: Sequence[str]) -> list[str]:
    """The different values; with how many runs have each, where there are several."""
    different = list(dict.fromkeys(values))
    if len(different) == 1:
        return different
    return [f"{value} ({text.plural(values.count(value), 'run')})" for value in different]
