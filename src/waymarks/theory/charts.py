"""The figures, each from plain data, in a light and a dark dress."""

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt

from waymarks.theory.bounds import Asked, corrected, in_practice, stated
from waymarks.theory.hinges import HINGES
from waymarks.theory.procedure import Outcome
from waymarks.theory.signal import SignalPoint

Dress = Literal["light", "dark"]
INK = {"light": "#24292f", "dark": "#d8dee6"}
FAINT = {"light": "#d8dde3", "dark": "#3a424c"}
COLOURS = {
    "light": ["#0b62c4", "#c2410c", "#0f7b53", "#7a3fb0"],
    "dark": ["#6cb0ff", "#ff9e64", "#5bd1a0", "#c9a0f5"],
}


def dressed(chart: Any, dress: Dress) -> dict[str, Any]:
    """A chart's Vega-Lite specification, in colours that suit the page behind it."""
    ink, faint = INK[dress], FAINT[dress]
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    configured = (
        chart.configure(background="white" if dress == "light" else "#15191e", padding=12)
        .configure_axis(
            **text, gridColor=faint, domainColor=faint, tickColor=faint, titleFontWeight="normal"
        )
        .configure_legend(**text, orient="bottom", titleFontWeight="normal")
        .configure_header(**text, titleFontWeight="normal")
        .configure_title(color=ink, fontSize=13, anchor="start", fontWeight="normal")
        .configure_range(category=COLOURS[dress])
        .configure_view(stroke=None)
    )
    specification: dict[str, Any] = configured.to_dict()
    return specification


def hinge_figure(bits: int = 10) -> Any:
    """For each choice of hinges: the labels against z, and what Lemma 5's weights compute."""
    half, lines, points = bits // 2, [], []
    for name, hinges in HINGES.items():
        target = hinges.target(bits)
        biases, coefficients = hinges.biases(half), hinges.coefficients(half)
        for tenth in range(-10 * bits - 12, 10 * bits + 13):
            z = tenth / 10
            pairs = zip(coefficients, biases, strict=True)
            value = z + sum(nu * max(z + beta, 0.0) for nu, beta in pairs)
            lines.append({"biases": name, "z": z, "value": value})
        for flag, task in ((1, "Sum"), (-1, "Parity")):
            for s in target.active_sums():
                seen, label = float(s - target.offset * flag), float(target.label(flag, s))
                points.append({"biases": name, "z": seen, "value": label, "task": task})
    x = alt.X("z:Q", title="z, what a neuron sees, over p")
    y = alt.Y("value:Q", title="label, and network")
    line = alt.Chart().mark_line(strokeWidth=1.2, opacity=0.8, color="#8a949e").encode(x, y)
    dots = alt.Chart().mark_point(filled=True, size=45, opacity=1).encode(x, y, alt.Color("task:N"))
    layers = alt.layer(
        line.transform_filter("!isValid(datum.task)"), dots.transform_filter("isValid(datum.task)")
    )
    return layers.properties(
        width=230, height=220, data=alt.InlineData(values=lines + points)
    ).facet(column=alt.Column("biases:N", title=None, sort=list(HINGES)))


def curve_figure(outcomes: Sequence[Outcome]) -> Any:
    """Parity accuracy and the mixture's loss against updates, last iterate beside average; one
    line for each seed."""
    rows = [
        {
            "updates": point.updates,
            "iterate": iterate,
            "seed": outcome.settings.seed,
            "parity accuracy": scores.parity_accuracy,
            "mixture loss": scores.mix,
        }
        for outcome in outcomes
        for point in outcome.curve
        for iterate, scores in (("last", point.last), ("average", point.average))
        if scores is not None
    ]
    base = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("updates:Q"), color=alt.Color("iterate:N", title="parameters"), detail="seed:N"
        )
    )
    accuracy = base.encode(y=alt.Y("parity accuracy:Q", scale=alt.Scale(domain=[0.4, 1])))
    loss = base.encode(y=alt.Y("mixture loss:Q", scale=alt.Scale(type="log"), axis=_powers()))
    return alt.hconcat(
        accuracy.properties(width=330, height=240), loss.properties(width=330, height=240)
    )


def bounds_figure(asked: Sequence[Asked]) -> Any:
    """First batch and updates against n: stated, corrected and what works in practice."""
    rows = []
    for one in asked:
        for kind, bound in (("stated", stated(one)), ("corrected", corrected(one))):
            rows += [
                {"n": one.bits, "kind": kind, "what": "first batch", "value": bound.first_batch},
                {"n": one.bits, "kind": kind, "what": "updates", "value": bound.updates},
            ]
        measured = in_practice(one)
        rows += [
            {"n": one.bits, "kind": "in practice", "what": what, "value": measured[name]}
            for what, name in (("first batch", "first_batch"), ("updates", "updates"))
        ]
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=40))
        .encode(
            x=alt.X("n:Q", title="n, bits", scale=alt.Scale(zero=False)),
            y=alt.Y("value:Q", title="how many", scale=alt.Scale(type="log"), axis=_powers()),
            color=alt.Color("kind:N", title=None, sort=["stated", "corrected", "in practice"]),
        )
        .properties(width=320, height=240)
        .facet(column=alt.Column("what:N", title=None))
    )


def signal_figure(points: Sequence[SignalPoint]) -> Any:
    """The batch at which active bits stand out against n: a median with the range of the seeds."""
    rows = [
        {**point.model_dump(), "p": f"p = {point.sum_fraction:g}"}
        for point in points
        if point.batch is not None
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("bits:Q", title="n, bits", scale=alt.Scale(zero=False)), color=_fraction()
    )
    y, axis = "batch:Q", alt.Scale(type="log")
    title = "batch at which the signal equals the noise"
    line = base.mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=40)).encode(
        y=alt.Y(y, aggregate="median", scale=axis, title=title, axis=_powers())
    )
    band = base.mark_area(opacity=0.18).encode(
        y=alt.Y(y, aggregate="min", scale=axis, title=title),
        y2=alt.Y2("batch", aggregate="max"),
    )
    return (
        alt.layer(band, line)
        .properties(width=200, height=260)
        .facet(column=alt.Column("initialisation:N", title=None, sort=["he", "xavier", "mlp"]))
    )


def _fraction() -> Any:
    return alt.Color("p:N", title="fraction of Sum examples")


def _powers() -> Any:
    return alt.Axis(format="~e", tickCount=6)
