"""The order in which an arm learns the steps: every step's own curve, and step against update."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from waymarks.reports.charts import Figure, Tables, across
from waymarks.reports.curves import AXES, UPDATES, Axis, Runs, median_at
from waymarks.reports.palette import ordered
from waymarks.tasks import Step

COLUMNS = 3
"""Charts of arms side by side, on paper."""

CELLS = 60
"""The heat map divides an arm's updates in at most so many."""


def every_step(runs: Runs, steps: Sequence[Step], points: int) -> Figure:
    """The accuracy of each step, in a chart for each arm."""
    names = [step.name for step in steps]
    return Figure(
        key="every-step",
        title="Every step's own curve",
        note="One chart for each arm; a line is the median of a step's accuracy over the seeds. "
        "The steps are coloured in the order of computation.",
        arms=tuple(runs),
        axes=AXES,
        tables=partial(_curves, runs, names, points),
        chart=partial(_curve_chart, names),
        main="steps",
        each_arm=True,
    )


def order_of_steps(runs: Runs, steps: Sequence[Step], cells: int = CELLS) -> Figure:
    """Step against update: where a row turns bright, the step has been learned."""
    names = [step.name for step in steps]
    lowest = min(step.kind.chance or 0.0 for step in steps)
    return Figure(
        key="order-of-steps",
        title="The order in which steps are learned",
        note="One chart for each arm: a row for each step, in the order of computation; the "
        f"colour is the median of its accuracy over the seeds, from {lowest:.0%} (dark) to 100% "
        "(yellow).",
        arms=tuple(runs),
        axes=(UPDATES,),
        tables=partial(_cells, runs, names, cells),
        chart=partial(_cell_chart, names, lowest),
        main="steps",
        each_arm=True,
    )


def _curves(runs: Runs, steps: Sequence[str], points: int, axis: Axis) -> Tables:
    tables = []
    for arm, summaries in runs.items():
        for step in steps:
            x, median = median_at(summaries, f"{step}.accuracy", axis, points)
            tables.append(pd.DataFrame({"arm": arm, "step": step, "x": x, "accuracy": median}))
    return {"steps": pd.concat(tables)}


def _cells(runs: Runs, steps: Sequence[str], cells: int, axis: Axis) -> Tables:
    """The median in the middle of each of at most so many stretches of updates."""
    tables = []
    for arm, summaries in runs.items():
        for step in steps:
            x, median = median_at(summaries, f"{step}.accuracy", axis, 10 * cells)
            if len(x):
                edges = np.linspace(0, x[-1], min(cells, len(x)) + 1)
                accuracy = np.interp((edges[:-1] + edges[1:]) / 2, x, median)
                table = {"arm": arm, "step": step, "x": edges[:-1], "x2": edges[1:]}
                tables.append(pd.DataFrame({**table, "accuracy": accuracy.round(3)}))
    return {"steps": pd.concat(tables)}


def _in_facets(chart: Any) -> Any:
    facet = alt.Facet("arm:N", sort=None, title=None)
    faceted = chart.facet(facet, columns=COLUMNS, data=alt.NamedData("steps"))
    return faceted.resolve_scale(x="independent")


def _curve_chart(steps: Sequence[str], arms: Sequence[str]) -> Any:
    scale = alt.Scale(domain=list(steps), range=ordered(len(steps), "light"))
    y = alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=6))
    tooltip = [
        alt.Tooltip("step:N"),
        alt.Tooltip("x:Q", format=",.6~r"),
        alt.Tooltip("accuracy:Q", format=".1%"),
    ]
    legend = alt.Legend(title=None, symbolStrokeWidth=3, labelLimit=200)
    line = alt.Chart().encode(across(4), y, alt.Color("step:N", scale=scale, legend=legend))
    layer = alt.layer(
        line.mark_line(strokeWidth=1.8),
        line.mark_point(filled=True, size=60, opacity=0).encode(tooltip=tooltip),
    )
    return _in_facets(layer.properties(width=220, height=150))


def _cell_chart(steps: Sequence[str], lowest: float, arms: Sequence[str]) -> Any:
    colour = alt.Color(
        "accuracy:Q",
        scale=alt.Scale(domain=[lowest, 1], scheme="viridis", clamp=True),
        legend=alt.Legend(title="accuracy", format="%", gradientLength=120),
    )
    tooltip = [
        alt.Tooltip("step:N"),
        alt.Tooltip("x:Q", format=",.6~r"),
        alt.Tooltip("accuracy:Q", format=".1%"),
    ]
    step = alt.Y(
        "step:N",
        scale=alt.Scale(domain=list(steps)),
        axis=alt.Axis(labelLimit=110),
        title=None,
    )
    cells = (
        alt.Chart()
        .mark_rect(strokeWidth=0)
        .encode(across(4), step, colour, x2="x2:Q", tooltip=tooltip)
    )
    return _in_facets(cells.properties(width=220, height=alt.Step(18)))
