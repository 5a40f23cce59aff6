"""Tables of the page, which a reader sorts, filters and takes away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

SHOWN_ROWS = 20
"""So many rows stand in the page itself; the others come when they are asked for."""


@dataclass(frozen=True)
class Cell:
    """What stands in one place.

    Attributes:
        text: as it is read.
        note: beneath it, smaller.
        rank: what it is sorted by; its text unless given.
        link: where it leads.
        arm: the number of the arm whose colour it has.
    """

    text: str
    note: str = ""
    rank: float | None = None
    link: str = ""
    arm: int | None = None


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, its kind and its cells."""

    title: str
    cells: Sequence[Cell]
    is_number: bool = False
    is_code: bool = False

    def content(self) -> dict[str, Any]:
        """For the page's script; what occurs often is numbered."""
        content: dict[str, Any] = {"title": self.title}
        for flag in ("is_number", "is_code"):
            if getattr(self, flag):
                content[flag] = True
        content["text"] = _numbered([cell.text for cell in self.cells])
        for name, empty in (("note", ""), ("link", "")):
            values = [getattr(cell, name) for cell in self.cells]
            if any(value != empty for value in values):
                content[name] = _numbered(values)
        for name in ("rank", "arm"):
            values = [getattr(cell, name) for cell in self.cells]
            if any(value is not None for value in values):
                content[name] = values
        return content


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        key: short, as in the name of its download.
        title: what it is, for who cannot see it.
        columns: all as long; the first names the row.
    """

    key: str
    title: str
    columns: Sequence[Column]

    @property
    def first_rows(self) -> list[tuple[Cell, ...]]:
        """Those that stand in the page itself."""
        shown = (column.cells[:SHOWN_ROWS] for column in self.columns)
        return list(zip(*shown, strict=True))

    def content(self) -> dict[str, Any]:
        """For the page's script."""
        return {"key": self.key, "columns": [column.content() for column in self.columns]}


def _numbered(values: Sequence[str]) -> dict[str, Any]:
    codes, names = pd.factorize(pd.Series(values, dtype=object))
    return {"codes": codes.tolist(), "names": names.tolist()}
