"""One definition of each figure, for the interactive page and for the PNG and SVG of a paper.

Names that a user chose are data values here, never field names and never parts of expressions.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from waymarks.reports.curves import (
    AXES,
    POINTS,
    UPDATES,
    Axis,
    Runs,
    curves,
    shown_first,
    unsolved_shares,
)
from waymarks.reports.theme import theme
from waymarks.tasks import Step

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
"""The version of Vega-Lite that charts are written in, as vl-convert names it."""

HIGHLIGHTED = "highlighted"
"""The parameter that holds the names of the arms that stand out; none means all alike."""

IS_HIGHLIGHTED = f"length({HIGHLIGHTED}) == 0 || indexof({HIGHLIGHTED}, datum.arm) >= 0"

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Figure:
    """A figure, before it is drawn against one axis.

    Attributes:
        key: short, as in the name of its file.
        title: what it shows.
        note: how to read it.
        arms: whose numbers it holds, in the order of the legend.
        axes: what it can be drawn against.
        tables: the data against an axis; the chart asks for it by name.
        chart: draws it for paper with a legend of some arms; "x" is a place on the axis.
        main: the table that the figure is about, as a download.
        place: figures with the same one stand in one place of the page, of which one is chosen.
        choice: what it is called among them.
        each_arm: whether it is a chart for each arm (a facet) and not one of all.
        pictured: whether it is also written as PNG and SVG.
    """

    key: str
    title: str
    note: str
    arms: tuple[str, ...]
    axes: tuple[Axis, ...]
    tables: Callable[[Axis], Tables]
    chart: Callable[[Sequence[str]], Any]
    main: str = "medians"
    place: str = ""
    choice: str = ""
    each_arm: bool = False
    pictured: bool = True

    def specification(self, axis: Axis = UPDATES) -> dict[str, Any]:
        """The figure of all its arms against `axis` in Vega-Lite, without data and colours."""
        return self._of(self.arms, axis)

    def _of(self, arms: Sequence[str], axis: Axis) -> dict[str, Any]:
        drawn: dict[str, Any] = self.chart(arms).to_dict()
        drawn.pop("config", None)
        for encoding in _encodings(drawn):
            if encoding["x"].get("field") == "x":
                encoding["x"]["title"] = axis.title
                encoding["x"]["axis"]["labelExpr"] = axis.label
            for shown in encoding.get("tooltip", []):
                if shown["field"] == "x":
                    shown["title"] = axis.name
        return drawn

    def images(self) -> dict[str, bytes]:
        """The figure against updates as `svg`, and as `png` at 220 pixels an inch; of many arms
        those that are shown first."""
        arms = shown_first(self.arms)
        specification = self._of(arms, UPDATES)
        specification["datasets"] = {
            name: json.loads(_of_arms(table, arms).to_json(orient="records"))
            for name, table in self.tables(UPDATES).items()
        }
        svg = vl_convert.vegalite_to_svg(
            specification, vl_version=VEGA_LITE, config=theme(arms), allowed_base_urls=[]
        )
        return {"svg": svg.encode(), "png": vl_convert.svg_to_png(svg, ppi=220)}


def _of_arms(table: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    return table[table["arm"].isin(arms)] if "arm" in table else table


def _encodings(specification: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each layer that has a horizontal place."""
    inner = specification.get("spec", specification)
    encodings = [layer["encoding"] for layer in inner.get("layer", [inner])]
    return [encoding for encoding in encodings if "x" in encoding]


def layered(layers: Callable[[alt.Color, alt.X], list[alt.Chart]], arms: Sequence[str]) -> Any:
    """A chart whose colours are arms, from its layers."""
    legend = alt.Legend(
        title=None, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, labelLimit=280
    )
    scale = alt.Scale(domain=list(arms), range="category")
    layer = alt.layer(*layers(alt.Color("arm:N", scale=scale, legend=legend), across()))
    return layer.add_params(alt.param(name=HIGHLIGHTED, value=[])).properties(width=460, height=260)


def across(ticks: int = 8) -> alt.X:
    """The place on the horizontal axis, whose title is not known yet."""
    axis = alt.Axis(grid=False, tickCount=ticks, labelFlush=False, labelSeparation=6)
    return alt.X("x:Q", axis=axis)


@dataclass(frozen=True)
class Vertical:
    """The vertical axis.

    Attributes:
        title: what it shows.
        scale: its ends, and how it is divided.
        format: of the numbers along it, in d3's notation.
        exact: of a number that is pointed at.
        ticks: where the numbers are; wherever it suits unless given.
    """

    title: str | None
    scale: alt.Scale
    format: str
    exact: str
    ticks: tuple[float, ...] = ()

    def encoding(self, field: str) -> alt.Y:
        """Of a field."""
        axis = alt.Axis(format=self.format, tickCount=6)
        if self.ticks:
            axis = alt.Axis(format=self.format, values=list(self.ticks))
        return alt.Y(f"{field}:Q", title=self.title, scale=self.scale, axis=axis)


def accuracy_curves(runs: Runs, step: Step, points: int = POINTS) -> Figure:
    """How many held-out examples a step is answered right in."""
    chance = step.kind.chance
    scale = alt.Scale(domain=[0, 1] if chance is None else [min(0.4, chance), 1])
    y = Vertical(f"accuracy of {step.name}", scale, "%", ".1%")
    return Figure(
        key=f"{step.name}-accuracy",
        title=f"Accuracy of {step.name}",
        note="The dashed rule is chance." if chance is not None else "",
        arms=tuple(runs),
        axes=AXES,
        tables=partial(_curve_tables, runs, f"{step.name}.accuracy", chance, points),
        chart=partial(layered, partial(_curve_layers, y=y)),
        choice=step.name,
    )


def error_curves(runs: Runs, step: Step, points: int = POINTS) -> Figure:
    """How far off a real step is, on a logarithmic scale."""
    loss = step.kind.loss_name
    words = loss.replace("_", " ")
    tables = partial(_curve_tables, runs, f"{step.name}.{loss}", None, points, positive=True)
    decades = _decades(tables(UPDATES).values())
    scale = alt.Scale(type="log", domain=[decades[0], decades[-1]])
    y = Vertical(f"{words} of {step.name}", scale, "~g", ".3~g", decades)
    return Figure(
        key=f"{step.name}-{loss.replace('_', '-')}",
        title=f"{words.capitalize()} of {step.name}",
        note="The scale is logarithmic.",
        arms=tuple(runs),
        axes=AXES,
        tables=tables,
        chart=partial(layered, partial(_curve_layers, y=y)),
        choice=step.name,
    )


def _decades(tables: Iterable[pd.DataFrame]) -> tuple[float, ...]:
    """The powers of ten that hold all positive values of curves between them."""
    columns = [table.filter(["low", "high", "value"]) for table in tables]
    values = pd.concat([column.stack() for column in columns if len(column)]).astype(float)
    lowest, highest = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
    return tuple(
        float(f"1e{power}") for power in range(int(lowest), int(max(highest, lowest + 1)) + 1)
    )


def _curve_tables(
    runs: Runs, column: str, chance: float | None, points: int, axis: Axis, positive: bool = False
) -> Tables:
    medians, singles = curves(runs, column, axis, positive=positive, points=points)
    rules = pd.DataFrame({"height": [] if chance is None else [chance]}, dtype=float)
    return {"medians": medians, "singles": singles, "rules": rules.assign(name="chance")}


def _curve_layers(colour: alt.Color, x: alt.X, y: Vertical) -> list[alt.Chart]:
    medians, singles = alt.Chart(alt.NamedData("medians")), alt.Chart(alt.NamedData("singles"))
    line = medians.encode(x, y.encoding("median"), colour, opacity=_opacity(1))
    return [
        *_rules(y),
        singles.mark_line(strokeWidth=0.8).encode(
            x, y.encoding("value"), colour, detail="seed:N", opacity=_opacity(0.4)
        ),
        medians.mark_area(strokeWidth=0).encode(
            x, y.encoding("low"), colour, y2="high:Q", opacity=_opacity(0.16)
        ),
        line.mark_line(strokeWidth=2).transform_filter("datum.part == 'measured'"),
        line.mark_line(strokeWidth=1.2, strokeDash=[4, 3]).transform_filter(
            "datum.part == 'continued'"
        ),
        _hover_points(x, y, colour),
    ]


def _opacity(opacity: float) -> Any:
    return alt.condition(IS_HIGHLIGHTED, alt.value(opacity), alt.value(opacity / 6))


def _hover_points(x: alt.X, y: Vertical, colour: alt.Color) -> alt.Chart:
    """A dot on the curve under the pointer, with the numbers."""
    hovered = alt.selection_point(name="hovered", on="pointerover", clear="pointerout", empty=False)
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("x:Q", format=",.6~r"),
        alt.Tooltip("median:Q", format=y.exact),
        alt.Tooltip("low:Q", title="interval from", format=y.exact),
        alt.Tooltip("high:Q", title="to", format=y.exact),
        alt.Tooltip("seeds:N", title="seeds measured"),
    ]
    points: alt.Chart = (
        alt.Chart(alt.NamedData("medians"))
        .transform_filter("datum.hover")
        .mark_point(filled=True, size=110)
        .encode(
            x,
            y.encoding("median"),
            colour,
            tooltip=tooltip,
            opacity=alt.condition(hovered, alt.value(1), alt.value(0)),
        )
        .add_params(hovered)
    )
    return points


def _rules(y: Vertical) -> list[alt.Chart]:
    """Dashed horizontal lines, each with its name at the right end."""
    base = alt.Chart(alt.NamedData("rules")).encode(y.encoding("height"))
    return [
        base.mark_rule(strokeDash=[2, 3], style="chance"),
        base.mark_text(align="right", baseline="top", dx=-2, dy=8, style="chance").encode(
            x=alt.value("width"), text="name:N"
        ),
    ]


def time_to_solve(runs: Runs, final: Step) -> Figure:
    """Which share of each arm's runs has not solved the final step yet (Kaplan-Meier)."""
    scale = alt.Scale(domain=[0, 1])
    y = Vertical(f"runs that have not solved {final.name}", scale, "%", ".0%")
    return Figure(
        key="time-to-solve",
        title=f"Time to solve {final.name}",
        note="Share of runs that have not solved it yet (Kaplan-Meier). A tick marks a run that "
        "ended, or stands, without having solved it: it is counted as unsolved up to there.",
        arms=tuple(runs),
        axes=(UPDATES,),
        tables=lambda axis: dict(zip(("shares", "censored"), unsolved_shares(runs), strict=True)),
        chart=partial(layered, partial(_survival_layers, y=y)),
        main="shares",
    )


def _survival_layers(colour: alt.Color, x: alt.X, y: Vertical) -> list[alt.Chart]:
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("x:Q", title="updates", format=","),
        alt.Tooltip("share:Q", title="not solved yet", format=".0%"),
    ]
    shares = alt.Chart(alt.NamedData("shares")).encode(
        x, y.encoding("share"), colour, opacity=_opacity(1)
    )
    censored = alt.Chart(alt.NamedData("censored")).encode(
        x,
        y.encoding("share"),
        colour,
        opacity=_opacity(1),
        tooltip=[tooltip[0], alt.Tooltip("seed:O"), tooltip[1]],
    )
    return [
        shares.mark_line(strokeWidth=2, interpolate="step-after"),
        shares.mark_point(filled=True, size=24).encode(tooltip=tooltip),
        censored.mark_tick(orient="vertical", thickness=2, size=14),
    ]
