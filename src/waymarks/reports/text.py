"""Numbers, durations and names as a person reads them."""

import re
import unicodedata
from typing import Any

NOTHING = "–"  # noqa: RUF001 - an en dash, for a cell that has no value


def count(number: float | None) -> str:
    """`12,500`."""
    return NOTHING if number is None else f"{number:,.0f}"


def large(number: float | None) -> str:
    """A number of which the first three digits matter: `950`, `12.5k`, `1.92M`."""
    if number is None:
        return NOTHING
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / min(size, 1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{number:,.0f}"


def percent(share: float | None) -> str:
    """`98.4%`; 100.0% is said only of what is exactly 1."""
    if share is None:
        return NOTHING
    return "99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def small(number: float | None) -> str:
    """A loss, to three digits: `0.00213`, `3.1e-07`."""
    return NOTHING if number is None else f"{number:.3g}"


def rate(number: float | None) -> str:
    """Updates per second: `27.3`, `410`."""
    return NOTHING if number is None else f"{number:.{0 if number >= 100 else 1}f}"


def duration(seconds: float | None) -> str:
    """`48 s`, `12 min`, `3 h 20 min`."""
    if seconds is None:
        return NOTHING
    if seconds < 100:
        return f"{seconds:.{0 if seconds >= 10 else 1}f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def plural(number: int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def value(data: Any) -> str:
    """A field of an experiment: `0.0002`, `float32`, `yes`."""
    if isinstance(data, bool):
        return "yes" if data else "no"
    if isinstance(data, float):
        return f"{data:g}"
    if isinstance(data, int) and data >= 10_000:
        return f"{data:,}"
    return NOTHING if data is None else str(data)


def slug(name: str) -> str:
    """A name that is safe as a file's on any system: `fig1-left`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "study"
