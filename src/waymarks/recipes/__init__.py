"""Studies by name, as Python functions: `paper.fig1_left()` is the recipe `fig1-left`."""

import importlib
import inspect
from collections.abc import Callable
from typing import Literal, get_args

from waymarks.errors import UserError, unknown_name
from waymarks.studies import Study

Scale = Literal["paper", "laptop"]
SCALES: tuple[Scale, ...] = get_args(Scale)

Recipe = Callable[[tuple[int, ...]], Study]


def recipes(scale: Scale) -> dict[str, Recipe]:
    """Every recipe at a scale, by its name on the command line: each public function of the
    module that is named like the scale."""
    module = importlib.import_module(f"waymarks.recipes.{scale}")
    return {
        name.replace("_", "-"): function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def study_named(name: str, scale: str, seeds: tuple[int, ...]) -> Study:
    """The study of a recipe.

    Raises:
        UserError: there is no such recipe, or not at this scale.
    """
    if scale not in SCALES:
        raise UserError(unknown_name("scale", scale, SCALES))
    known = recipes("paper" if scale == "paper" else "laptop")
    if name not in known:
        raise UserError(unknown_name(f"recipe at scale {scale}", name, known))
    return known[name](seeds)


__all__ = ["SCALES", "Recipe", "Scale", "recipes", "study_named"]
