"""Trackers: other people's tools that are shown what a run's folder records.

A module here with a subclass of `Tracker` is a tracker that `--track` knows by name.
"""

from importlib.util import find_spec

from waymarks.axes import concrete_subclasses, import_modules_of
from waymarks.errors import UserError, unknown_name
from waymarks.trackers.base import Metrics, Subject, Tracker
from waymarks.trackers.tracking import Tracking

import_modules_of(__name__, __path__)


def trackers() -> dict[str, type[Tracker]]:
    """Every tracker, by its name."""
    return {tracker.name: tracker for tracker in concrete_subclasses(Tracker)}


def tracker_named(name: str) -> type[Tracker]:
    """The tracker called `name`.

    Raises:
        ValueError: there is none; names the nearest that there are.
    """
    known = trackers()
    if name not in known:
        raise ValueError(unknown_name("tracker", name, known))
    return known[name]


def require_libraries(names: tuple[str, ...]) -> None:
    """Makes sure that the libraries of some trackers are there, without importing them.

    Raises:
        UserError: one is not installed; says how to.
    """
    for name in names:
        if find_spec(tracker_named(name).library) is None:
            raise UserError(
                f"tracker {name}: its library is not installed; pip install 'waymarks[{name}]'"
            )


__all__ = [
    "Metrics",
    "Subject",
    "Tracker",
    "Tracking",
    "require_libraries",
    "tracker_named",
    "trackers",
]
