"""A self-contained page: one HTML file that needs no network, and its figures beside it."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from pydantic import Field

from waymarks.axes import Frozen
from waymarks.errors import UserError
from waymarks.theory.charts import Dress, dressed


class Section(Frozen):
    """One part of a page: a heading, a paragraph, and a table and figure if there are any.

    Attributes:
        figure: the name of a figure, a key of what `write_page` is given.
        says: what the figure shows, for who cannot see it.
    """

    heading: str
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    figure: str | None = None
    says: str = ""


class Page(Frozen):
    """A page's words; `made` says where its numbers come from: name and value."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    made: Mapping[str, str] = Field(default_factory=dict)


def write_page(folder: Path, page: Page, figures: Mapping[str, Any]) -> Path:
    """Writes `report.html`, and for each figure `NAME.svg` and `NAME.png`.

    Args:
        figures: charts by name.

    Returns:
        The page.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {name: _picture(folder, name, chart) for name, chart in figures.items()}
        environment = Environment(autoescape=True, undefined=StrictUndefined)
        html = environment.from_string(TEMPLATE).render(page=page, pictures=pictures)
        path = folder / "report.html"
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the report to {folder}: {error.strerror}") from error
    return path


def _picture(folder: Path, name: str, chart: Any) -> Mapping[Dress, Markup]:
    svg = {dress: vl_convert.vegalite_to_svg(dressed(chart, dress)) for dress in ("light", "dark")}
    (folder / f"{name}.svg").write_text(svg["light"], encoding="utf-8")
    png = vl_convert.vegalite_to_png(dressed(chart, "light"), scale=2)
    (folder / f"{name}.png").write_bytes(png)
    return {"light": _inline(svg["light"]), "dark": _inline(svg["dark"])}


def _inline(svg: str) -> Markup:
    encoded = base64.b64encode(svg.encode()).decode()
    return Markup("data:image/svg+xml;base64,") + encoded


def cells(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[tuple[str, ...], ...]:
    """Rows as text, numbers with three or four digits.

    Raises:
        ValueError: a row is not as long as the columns are many.
    """
    if any(len(row) != len(columns) for row in rows):
        raise ValueError("every row needs one cell for each column")
    return tuple(tuple(shown(cell) for cell in row) for row in rows)


def shown(value: object) -> str:
    """A cell as a person reads it; None, where no number suffices, is `none`."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.1e}" if value >= 1e5 or 0 < abs(value) < 1e-3 else f"{value:.4g}"
    return str(value)


TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ page.title }}</title>
<style>
:root { --page: #fff; --ink: #24292f; --soft: #59636e; --line: #d8dde3; --stripe: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --page: #15191e; --ink: #d8dee6; --soft: #97a3b0; --line: #3a424c; --stripe: #1c2128 }
}
body { background: var(--page); color: var(--ink); margin: 0 auto; max-width: 60rem;
  padding: 2.5rem 1.25rem 4rem; font: 1rem/1.55 system-ui, sans-serif }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem }
p { max-width: 44rem }
.lead, footer { color: var(--soft) }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0;
  border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 600 }
img { max-width: 100%; height: auto }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; font-size: .85rem }
footer code { overflow-wrap: anywhere }
</style>
<h1>{{ page.title }}</h1>
<p class="lead">{{ page.lead }}</p>
{% for section in page.sections %}
<h2>{{ section.heading }}</h2>
{% if section.text %}<p>{{ section.text }}</p>{% endif %}
{% if section.figure %}
<picture>
<source media="(prefers-color-scheme: dark)" srcset="{{ pictures[section.figure].dark }}">
<img src="{{ pictures[section.figure].light }}" alt="{{ section.says }}">
</picture>
{% endif %}
{% if section.columns %}
<div class="wide"><table>
<tr>{% for column in section.columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in section.rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% endif %}
{% endfor %}
<footer>
{% for name, value in page.made.items() %}{{ name }}: <code>{{ value }}</code><br>{% endfor %}
</footer>
</html>
"""
