"""Colours of arms that the colour-blind can tell apart, on white and on near-black."""

import re
from collections.abc import Sequence
from itertools import pairwise

UNORDERED = {
    # Okabe and Ito's, without black and with their yellow left to the dark page
    "light": ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777"],
    "dark": ["#56B4E9", "#E69F00", "#2BC79B", "#E79AC4", "#F0E442", "#F4793B", "#A8A8A8"],
}
ORDERED = {
    # stretches of matplotlib's plasma that stand out from the page
    "light": ["#0D0887", "#5601A4", "#900DA4", "#BF3984", "#DB5C68", "#ED7953", "#F48849"],
    "dark": ["#A82296", "#C6417D", "#DD5E66", "#EE7B51", "#FA9B3D", "#FDC328", "#F0F921"],
}
NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")


def are_ordered(names: Sequence[str]) -> bool:
    """Whether names differ in one rising number alone, as `p = 0`, `p = 0.1` do."""
    numbers = [NUMBER.findall(name) for name in names]
    if len(names) < 3 or any(len(found) != 1 for found in numbers):
        return False
    values = [float(found[0]) for found in numbers]
    rising = all(lower < higher for lower, higher in pairwise(values))
    return rising and len({NUMBER.sub("#", name) for name in names}) == 1


def palette(names: Sequence[str], page: str) -> list[str]:
    """A colour for each name.

    Args:
        names: of the arms, in order.
        page: "light" or "dark".
    """
    if not are_ordered(names) and len(names) <= len(UNORDERED[page]):
        return UNORDERED[page][: len(names)]
    return ordered(len(names), page)


def ordered(number: int, page: str) -> list[str]:
    """So many colours in an order that can be seen."""
    return [_between(ORDERED[page], place / max(number - 1, 1)) for place in range(number)]


def _between(colours: Sequence[str], share: float) -> str:
    """The colour at `share` of the way from the first to the last."""
    place = share * (len(colours) - 1)
    before = min(int(place), len(colours) - 2)
    ends = [[int(colours[i][c : c + 2], 16) for c in (1, 3, 5)] for i in (before, before + 1)]
    mixed = (a + (b - a) * (place - before) for a, b in zip(*ends, strict=True))
    return "#" + "".join(f"{round(part):02X}" for part in mixed)
