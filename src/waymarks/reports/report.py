"""Writing a report: the page, and each figure for a paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waymarks.errors import UserError
from waymarks.reports.text import slug
from waymarks.studies import Outcome
from waymarks.training.checkpoints import write_atomically


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page: `report.html`.
        figures: `figures/<study>-<figure>.png` and `.svg`.
        arms: the rows of each study's table of arms, see `arm_table`.
    """

    page: Path
    figures: list[Path]
    arms: list[list[dict[str, Any]]]


def write_report(outcomes: Sequence[Outcome], folder: Path) -> Report:
    """Writes one page about some outcomes, and each of its figures as PNG and SVG.

    Args:
        outcomes: one section each; they may be incomplete.
        folder: made where it is missing; a former report in it is replaced.

    Raises:
        UserError: there is nothing to report, a run's record is damaged, or the folder cannot be
            written.
    """
    from waymarks.reports.page import Section, render  # Altair takes a second to import

    if not outcomes:
        raise UserError("there is nothing to report")
    sections = [Section.of(outcome) for outcome in outcomes]
    names = _different([slug(outcome.study.name) for outcome in outcomes])
    page = folder / "report.html"
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        figures: list[Path] = []
        for name, section in zip(names, sections, strict=True):
            for figure in section.figures:
                for kind, data in figure.images().items() if figure.pictured else ():
                    figures.append(folder / "figures" / f"{name}-{slug(figure.key)}.{kind}")
                    write_atomically(figures[-1], data)
        write_atomically(page, render(sections, folder).encode())
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
    return Report(page, figures, [section.rows for section in sections])


def _different(names: Sequence[str]) -> list[str]:
    """The names, those that came before numbered from 2."""
    return [
        name if name not in names[:place] else f"{name}-{names[:place].count(name) + 1}"
        for place, name in enumerate(names)
    ]
