"""The phase diagram: a number of each arm over any two of the fields in which arms differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import altair as alt
import pandas as pd

from waymarks.reports.charts import Figure, Tables
from waymarks.reports.configuration import sweep_fields
from waymarks.reports.curves import UPDATES, Axis
from waymarks.studies import Arm

NEVER = 1e300
"""Stands for a time that was not reached, so that a median over arms takes it for the longest."""


@dataclass(frozen=True)
class Quantity:
    """What the colour of a cell says.

    Attributes:
        key: short.
        name: as in the page's choice.
        column: of the table of arms.
        format: in d3's notation.
        domain: of the colours; as far as the values reach unless given.
        slow: whether a larger number is worse; then the scale is logarithmic, its colours turned.
    """

    key: str
    name: str
    column: str
    format: str
    domain: tuple[float, float] | None = (0, 1)
    slow: bool = False

    def of(self, row: dict[str, Any]) -> float | None:
        """The arm's, from its row; None if it has no evaluation."""
        if not row["begun"]:
            return None
        if self.key == "solved":
            return float(row["solved"] / row["begun"])
        value = row[self.column]
        if value is None:
            return NEVER if self.slow else None
        return max(float(value), 1.0) if self.slow else float(value)


def quantities(final: str) -> tuple[Quantity, ...]:
    """What can be looked at, for a study with this final step."""
    return (
        Quantity("accuracy", f"accuracy of {final}", f"{final}.accuracy", ".0%"),
        Quantity("solved", f"share of runs that solved {final}", "", ".0%"),
        Quantity("time", f"updates to solve {final}", "updates_to_solve", ".2~s", None, True),
    )


@dataclass(frozen=True)
class Phase:
    """What the diagram is drawn from.

    Attributes:
        arms: their names.
        fields: by their dotted paths, the value of each arm as it is read, in the order in
            which a reader counts (`order`).
        order: the different values of each field, sorted.
        quantities: what the colour can say.
        values: for each quantity, each arm's; None where there is none yet.
    """

    arms: tuple[str, ...]
    fields: dict[str, list[str]]
    order: dict[str, list[str]]
    quantities: tuple[Quantity, ...]
    values: dict[str, list[float | None]]

    @classmethod
    def of(cls, arms: Sequence[Arm], rows: Sequence[dict[str, Any]], final: str) -> "Phase | None":
        """None where the arms differ in fewer than two fields."""
        fields, order = sweep_fields([arm.experiment for arm in arms])
        if len(fields) < 2:
            return None
        shown = quantities(final)
        values = {quantity.key: [quantity.of(row) for row in rows] for quantity in shown}
        return cls(tuple(arm.name for arm in arms), fields, order, shown, values)

    @property
    def axes(self) -> tuple[str, str]:
        """The fields across and up at first: the two with the most values."""
        most = sorted(self.order, key=lambda path: -len(self.order[path]))[:2]
        return most[0], most[1]

    def figure(self) -> Figure:
        """The diagram over `axes`, for paper and as a pattern for the page."""
        return Figure(
            key="phase-diagram",
            title="Phase diagram",
            note="Each cell is the median over its arms; a dash means that it was not reached.",
            arms=(),
            axes=(UPDATES,),
            tables=self._tables,
            chart=partial(_chart, self),
            main="cells",
            pictured=any(value is not None for value in self.values["accuracy"]),
        )

    def _tables(self, axis: Axis) -> Tables:
        across, up = self.axes
        cells = {"x": self.fields[across], "y": self.fields[up], "value": self.values["accuracy"]}
        return {"cells": pd.DataFrame({**cells, "name": self.arms}).dropna()}


def _chart(phase: Phase, arms: Sequence[str]) -> Any:
    across, up = phase.axes
    quantity = phase.quantities[0]
    cells = (
        alt.Chart(alt.NamedData("cells"))
        .transform_aggregate(value="median(value)", arms="count()", groupby=["x", "y"])
        .transform_calculate(value=f"datum.value >= {NEVER / 4} ? null : datum.value")
        .encode(
            alt.X(
                "x:N",
                scale=alt.Scale(domain=phase.order[across]),
                title=across,
                axis=alt.Axis(labelAngle=0),
            ),
            alt.Y("y:N", scale=alt.Scale(domain=phase.order[up][::-1]), title=up),
        )
    )
    scale = alt.Scale(scheme="viridis", domain=list(quantity.domain or ()))
    legend = alt.Legend(title=None, format=quantity.format, gradientLength=160)
    tooltip = [
        alt.Tooltip("x:N", title=across),
        alt.Tooltip("y:N", title=up),
        alt.Tooltip("value:Q", title=quantity.name, format=quantity.format),
        alt.Tooltip("arms:Q", title="arms"),
    ]
    reached = cells.transform_filter("isValid(datum.value)")
    ink = alt.condition(
        "luminance(scale('color', datum.value)) > 0.3", alt.value("#111"), alt.value("#fff")
    )
    layers = [
        cells.mark_rect(style="empty").encode(tooltip=tooltip[:2]),
        reached.mark_rect().encode(
            color=alt.Color("value:Q", scale=scale, legend=legend), tooltip=tooltip
        ),
        cells.transform_filter("!isValid(datum.value)").mark_text(style="nothing", text="–"),  # noqa: RUF001
        reached.mark_text(fontSize=10).encode(
            text=alt.Text("value:Q", format=quantity.format), color=ink, tooltip=tooltip
        ),
    ]
    return alt.layer(*layers).properties(width=alt.Step(44), height=alt.Step(28))
