"""Colours and fonts of charts: black on white for paper, and on the page those of its style."""

from collections.abc import Sequence
from typing import Any

from waymarks.reports.palette import palette


def theme(arms: Sequence[str]) -> dict[str, Any]:
    """For paper."""
    return _theme("#222222", "#666666", "#E4E4E4", "#F0F0F0", palette(arms, "light"), "#FFFFFF")


def page_theme(arms: int) -> dict[str, Any]:
    """Left to the page's style sheet, so that light, dark and print follow it."""
    colours = [f"var(--arm-{number})" for number in range(arms)]
    return _theme("var(--ink)", "var(--soft)", "var(--line)", "var(--card)", colours, None)


def _theme(
    ink: str, soft: str, line: str, empty: str, arms: Sequence[str], background: str | None
) -> dict[str, Any]:
    words = {"labelColor": soft, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 12}
    return {
        "background": background,
        "font": "system-ui, 'Liberation Sans', Arial, sans-serif",
        "range": {"category": list(arms)},
        "view": {"stroke": None},
        "axis": {
            **words,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelPadding": 4,
            "gridColor": line,
            "domainColor": soft,
            "tickColor": soft,
            "tickSize": 4,
        },
        "axisY": {"domain": False, "ticks": False},
        "header": {"labelColor": ink, "title": None, "labelFontSize": 12},
        "legend": {**words, "labelColor": ink, "rowPadding": 4},
        "style": {
            "chance": {"stroke": None, "color": soft, "fill": soft, "fontSize": 11},
            "empty": {"fill": empty},
            "nothing": {"fill": soft},
        },
    }
