"""The page: one HTML file with everything in it, which opens without a network."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from waymarks.reports import text
from waymarks.reports.charts import VEGA_LITE, Figure, figures, page_theme
from waymarks.reports.configuration import fields_of, shared_and_different
from waymarks.reports.palette import palette
from waymarks.reports.summary import RunSummary, arm_rows, steps_of, summaries
from waymarks.studies import Outcome, Verdict
from waymarks.studies.provenance import commit, now, package_version

Cells = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """What the page says of one outcome.

    Attributes:
        outcome: what came of a study.
        runs: of each arm, as they stood when the report was begun.
        figures: of which there is something to show.
    """

    outcome: Outcome
    runs: dict[str, list[RunSummary]]
    figures: list[Figure]

    @classmethod
    def of(cls, outcome: Outcome) -> "Section":
        """Reads the runs, once."""
        runs = summaries(outcome)
        return cls(outcome, runs, figures(runs, steps_of(outcome.study)))

    @property
    def arms(self) -> list[str]:
        """Their names."""
        return list(self.runs)

    @property
    def verdict(self) -> Verdict | None:
        """What the outcome says of the claim."""
        return self.outcome.verdict()

    @property
    def every_run(self) -> list[RunSummary]:
        """The runs of all arms."""
        return [run for runs in self.runs.values() for run in runs]


def render(sections: Sequence[Section], folder: Path) -> str:
    """The page.

    Args:
        sections: one for each outcome.
        folder: where the page will lie; the paths in it start from there.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        sections=[_section_cells(section, folder) for section in sections],
        title=sections[0].outcome.study.question if len(sections) == 1 else "Waymarks report",
        written=now().replace("T", " ").replace("+00:00", " UTC"),
        version=package_version(),
        commit=commit(),
        data=_for_a_script(json.dumps([_chart_data(section) for section in sections])),
        vega=Markup(_vega()),
    )


@cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed, as one script."""
    script: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE
    )
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _for_a_script(data: str) -> Markup:
    """JSON that nothing in it can break out of a <script> with."""
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return Markup(data)


def _chart_data(section: Section) -> Cells:
    return {
        "arms": section.arms,
        "config": page_theme(section.arms),
        "figures": [
            {
                "key": figure.key,
                "views": {
                    axis.key: {
                        "specification": figure.page_specification(axis),
                        "tables": {
                            name: _columns(table) for name, table in figure.tables(axis).items()
                        },
                    }
                    for axis in figure.axes
                },
            }
            for figure in section.figures
        ],
    }


def _columns(table: pd.DataFrame) -> Cells:
    """A table by columns, which takes a fifth of the room; names as numbers of a list of names."""
    columns: Cells = {}
    for name in table.columns:
        column = table[name]
        if pd.api.types.is_float_dtype(column):
            columns[name] = {"values": [float(f"{number:.6g}") for number in column]}
        else:
            codes, names = pd.factorize(column)
            columns[name] = {"codes": codes.tolist(), "names": names.tolist()}
    return columns


def _section_cells(section: Section, folder: Path) -> Cells:
    study, every_run = section.outcome.study, section.every_run
    steps = [step.name for step in reversed(steps_of(study))]
    rows = arm_rows(section.runs, steps_of(study))
    return {
        "study": study,
        "verdict": section.verdict,
        "states": _states(every_run),
        "steps": steps,
        "final": steps[0],
        "arms": [_arm_cells(row, steps) for row in rows],
        "colours": {page: palette(section.arms, page) for page in ("light", "dark")},
        "figures": section.figures,
        "axes": max((figure.axes for figure in section.figures), key=len, default=()),
        "several_seeds": any(row["begun"] > 1 for row in rows),
        "solved_means": _solved_means(every_run),
        "runs": [_run_cells(run, folder) for run in every_run],
        **_configuration(section),
        "provenance": _provenance(every_run),
    }


def _states(runs: Iterable[RunSummary]) -> str:
    """`12 runs: 10 finished, 1 running, 1 waiting`."""
    states = [run.state for run in runs]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{text.plural(len(states), 'run')}: {counted}"


def _arm_cells(row: Cells, steps: Sequence[str]) -> Cells:
    return {
        "name": row["arm"],
        "finished": f"{row['finished']} of {row['seeds']}",
        "solved": f"{row['solved']} of {row['seeds']}",
        "time": _time_to_solve(row),
        "accuracies": [_accuracy(row, step) for step in steps],
        "rate": text.rate(row["updates_per_second"]),
        "labels": text.large(row["labels_seen"]),
        "labels_of_steps": [f"{step} {text.large(row[f'{step}.labels_seen'])}" for step in steps],
    }


def _time_to_solve(row: Cells) -> tuple[str, str]:
    """The median, and the range or what goes with it."""
    median, first, last = row["updates_to_solve"], row["first_solved"], row["last_solved"]
    beyond = row["unsolved_after"]
    if median is None:
        if beyond is None:
            return text.NOTHING, ""
        first_one = f"; the first seed at {text.count(first)}" if first is not None else ""
        return f"> {text.count(beyond)}", "censored" + first_one
    if beyond is None and first == last:
        return text.count(median), ""
    end = text.count(last) if beyond is None else f"> {text.count(beyond)} (censored)"
    return text.count(median), f"{text.count(first)} to {end}"


def _accuracy(row: Cells, step: str) -> tuple[str, str]:
    """The median, and its interval and error."""
    low, high = row[f"{step}.accuracy_low"], row[f"{step}.accuracy_high"]
    notes = []
    if low != high:
        notes.append(f"{text.percent(low)} to {text.percent(high)}")
    error = row.get(f"{step}.mean_squared_error")
    if error is not None:
        notes.append(f"squared error {text.small(error)}")
    return text.percent(row[f"{step}.accuracy"]), "; ".join(notes)


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


def _run_cells(run: RunSummary, folder: Path) -> Cells:
    solved = run.final_solved
    return {
        "arm": run.arm,
        "seed": run.seed,
        "state": run.state,
        "updates": text.count(run.last.get("update")),
        "solved": text.NOTHING if solved.censored else text.count(solved.update),
        "seconds": text.duration(run.last.get("seconds")),
        "folder": _path_from(folder, run.run.folder),
        "message": run.message,
    }


def _path_from(folder: Path, path: Path) -> str:
    """A path as seen from `folder`, if it is not far from it."""
    here, there = folder.resolve(), path.resolve()
    for ups, ancestor in enumerate([here, *here.parents][:3]):
        if there.is_relative_to(ancestor):
            return "/".join([".."] * ups + list(there.relative_to(ancestor).parts))
    return str(there)


def _configuration(section: Section) -> Cells:
    """The fields that all arms share, those in which they differ, and the whole."""
    study = section.outcome.study
    shared, paths = shared_and_different([arm.experiment for arm in study.arms])
    every = [fields_of(arm.experiment) for arm in study.arms]
    return {
        "shared": [(path, text.value(value)) for path, value in shared.items()],
        "seeds": sorted({run.seed for run in section.every_run}),
        "different_paths": paths,
        "different": [
            (arm.name, [text.value(fields.get(path)) for path in paths])
            for arm, fields in zip(study.arms, every, strict=True)
        ],
        "whole": json.dumps(study.model_dump(mode="json"), indent=2, ensure_ascii=False),
    }


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
