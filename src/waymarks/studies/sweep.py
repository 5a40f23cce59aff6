"""Sweeps: a study written in a file, as a base experiment plus axes.

    seed = "0..9"

    [experiment.task]
    type = "ParitySum"
    bits = 20

    [experiment.supervision]
    type = "AskOne"

    ...

    [axes]
    supervision.sum = [0, 0.1, 0.5]
    training.learning_rate = [1e-3, 3e-4]

`docs/sweeps.md` describes the file.
"""

import copy
import itertools
import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from waymarks.errors import UserError, from_validation, unknown_name
from waymarks.studies.claim import Claim
from waymarks.studies.experiment import Experiment
from waymarks.studies.run import read_json, read_record
from waymarks.studies.study import Arm, Study
from waymarks.supervision import Supervision
from waymarks.tasks import Task

FIELDS = ("name", "question", "seed", "experiment", "axes", "arms", "learning_rates", "claim")
ARM_FIELDS = ("name", "set")
MOST_RUNS = 100_000
SEED_RANGE = re.compile(r"\s*(\d+)\s*\.\.\s*(\d+)\s*")

Table = dict[str, Any]


@dataclass(frozen=True)
class Varied:
    """One axis of a sweep.

    Attributes:
        paths: the fields that it sets together, dotted: mostly one.
        points: for each place on the axis, a value of each path.
    """

    paths: tuple[str, ...]
    points: tuple[tuple[Any, ...], ...]


def read_sweep(path: Path) -> Study:
    """Reads the study that a sweep's file describes.

    Args:
        path: a `.toml` file, or a `.json` file of the same content.

    Raises:
        UserError: it cannot be read, or describes no study; says where and what would be right.
    """
    content = _read(path)
    try:
        return _study(content, path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _read(path: Path) -> Table:
    if path.suffix not in (".toml", ".json"):
        raise UserError(f"{path}: a sweep is a .toml file (or .json)")
    if path.suffix == ".json":
        content = read_json(path)
        if not isinstance(content, dict):
            raise UserError(f"{path}: a sweep is a JSON object, not a {type(content).__name__}")
        return content
    try:
        text = path.read_bytes().decode("utf-8")
        return tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not text; a sweep is a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: {error}{_toml_hint(text, str(error))}") from error


def _toml_hint(text: str, complaint: str) -> str:
    """What TOML wants instead, for the two mistakes that mathematics invites."""
    found = re.search(r"at line (\d+)", complaint)
    line = text.splitlines()[int(found[1]) - 1] if found else ""
    if re.search(r"\d\s*\.\.\s*\d", line):
        return '; a range is written in quotes: "0..9"'
    if re.search(r"(?<![\w.])\.\d", line):
        return "; a number begins with a digit: 0.5, not .5"
    return ""


def _study(content: Table, path: Path) -> Study:
    for field in content:
        if field not in FIELDS:
            raise UserError(unknown_name("field of a sweep", field, FIELDS))
    base = _base(content, path)
    axes = _axes(content)
    seeds = _seeds(content, axes, base.pop("seed", None))
    axes.pop("seed", None)
    arms = _arms(base, list(axes.values()), _named_arms(content), content.get("name", path.stem))
    if len(arms) * len(seeds) > MOST_RUNS:
        raise UserError(f"asks for {len(arms) * len(seeds):,} runs; at most {MOST_RUNS:,} will do")
    rates = content.get("learning_rates", ())
    varied = " and ".join(axes) or "the arm"
    fields = {
        "name": content.get("name", path.stem),
        "question": content.get("question", f"What depends on {varied}?"),
        "arms": [
            {"name": arm.name, "experiment": arm.experiment, "learning_rates": rates}
            for arm in arms
        ],
        "seeds": seeds,
    }
    try:
        claim = Claim.model_validate(content["claim"]) if "claim" in content else None
        study = Study(**fields, claim=claim)
    except ValidationError as error:
        raise from_validation(error, FIELDS) from error
    _check_claim(study)
    return study


def _base(content: Table, path: Path) -> Table:
    """The plain data of the base experiment, written here or in a file of its own."""
    base = content.get("experiment")
    if isinstance(base, str):
        base = read_record(path.parent / base)["experiment"]
    if not isinstance(base, dict):
        raise UserError("needs [experiment], the base of every arm, or the name of its file")
    _check_roots(base, "experiment.")
    return copy.deepcopy(base)


def _check_roots(paths: Collection[str], where: str) -> None:
    for path in paths:
        root = path.split(".")[0]
        if root not in Experiment.model_fields:
            name = unknown_name("field of an experiment", root, Experiment.model_fields)
            raise UserError(f"{name} (at {where}{path})")


def _axes(content: Table) -> dict[str, Varied]:
    """The axes by their paths, in the order of the file."""
    table = content.get("axes", {})
    if not isinstance(table, dict):
        raise UserError("axes: is a table of lists, such as training.learning_rate = [1e-3, 3e-4]")
    axes: dict[str, Varied] = {}
    for key, values in _leaves(table):
        paths = tuple(part.strip() for part in key.split(","))
        _check_roots(paths, "axes.")
        if paths == ("seed",):
            axes["seed"] = Varied(paths, ((values,),))
            continue
        if not isinstance(values, list) or not values:
            raise UserError(f"axes.{key}: needs a list of values, not {_text(values)}")
        points = [value if len(paths) > 1 else [value] for value in values]
        for value in points:
            if not isinstance(value, list) or len(value) != len(paths):
                raise UserError(f"axes.{key}: {_text(value)} is not {len(paths)} values")
        axes[key] = Varied(paths, tuple(map(tuple, points)))
    taken = Counter(path for axis in axes.values() for path in axis.paths)
    for path, count in taken.items():
        if count > 1:
            raise UserError(f"axes: {path} is there twice")
    return axes


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted paths of a table, down to lists, plain values and tables that have a type."""
    for key, value in table.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and "type" not in value and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _seeds(content: Table, axes: Mapping[str, Varied], of_base: Any) -> tuple[Any, ...]:
    """The seeds: `"0..9"`, both ends included, or a list, or one."""
    if "seed" in content and "seed" in axes:
        raise UserError("seed is there twice: by itself and in [axes]")
    given = axes["seed"].points[0][0] if "seed" in axes else content.get("seed", of_base)
    if given is None:
        return (0, 1, 2)
    if isinstance(given, str) and (found := SEED_RANGE.fullmatch(given)):
        first, last = int(found[1]), int(found[2])
        if last < first or last - first >= MOST_RUNS:
            raise UserError(f"seed: {given!r} names no seeds, or too many")
        return tuple(range(first, last + 1))
    numbers = given if isinstance(given, list) else [given]
    if not numbers or any(type(number) is not int for number in numbers):
        raise UserError(f'seed: write "0..9" or [0, 1, 2], not {_text(given)}')
    return tuple(numbers)


def _named_arms(content: Table) -> list[tuple[str, dict[str, Any]]]:
    """The arms that the file names, and what each of them sets."""
    arms = content.get("arms", [])
    if not isinstance(arms, list) or not all(isinstance(arm, dict) for arm in arms):
        raise UserError("arms: write [[arms]], each with a name and what it sets")
    named = []
    for arm in arms:
        for field in arm:
            if field not in ARM_FIELDS:
                raise UserError(unknown_name("field of an arm", field, ARM_FIELDS))
        name, sets = arm.get("name"), arm.get("set", {})
        if not isinstance(name, str) or not name:
            raise UserError(f"arms: an arm needs a name, not {_text(name)}")
        if not isinstance(sets, dict):
            raise UserError(f"arm {name!r}: set is a table, such as {{training.updates = 100}}")
        changes = dict(_leaves(sets))
        _check_roots(changes, f"arm {name!r}: ")
        if "seed" in changes:
            raise UserError(f"arm {name!r}: every arm is run with the same seeds")
        named.append((name, changes))
    return named


def _arms(
    base: Table, axes: Sequence[Varied], named: list[tuple[str, Table]], alone: str
) -> list[Arm]:
    """Every named arm at every place on the axes that it does not set itself."""
    if not named and not axes:
        named = [(alone, {})]
    shorts = _short_names(axes)
    arms: dict[str, Arm] = {}
    count = max(1, len(named)) * math.prod(len(axis.points) for axis in axes)
    if count > MOST_RUNS:
        raise UserError(f"asks for {count:,} arms; at most {MOST_RUNS:,} will do")
    for name, sets in named or [("", {})]:
        varied = [axis for axis in axes if not _touches(sets, axis)]
        for places in itertools.product(*(axis.points for axis in varied)):
            pairs = [
                pair
                for axis, place in zip(varied, places, strict=True)
                for pair in zip(axis.paths, place, strict=True)
            ]
            parts = [f"{shorts[path]} = {_text(value)}" for path, value in pairs]
            arm = _arm(", ".join([name] * bool(name) + parts), base, [*sets.items(), *pairs])
            identity = arm.experiment.identity
            if identity in arms:
                raise UserError(f"{arms[identity].name!r} and {arm.name!r} are the same experiment")
            arms[identity] = arm
    return list(arms.values())


def _touches(sets: Collection[str], axis: Varied) -> bool:
    """Whether an arm sets what the axis varies, or something around it or within it."""
    return any(
        f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
        for one in sets
        for other in axis.paths
    )


def _arm(name: str, base: Table, changes: Sequence[tuple[str, Any]]) -> Arm:
    data = copy.deepcopy(base)
    for path, value in changes:
        _assign(data, path, value)
    _complete_supervision(data, [path for path, _ in changes])
    return Arm(name=name, experiment=Experiment.parse(data, f"arm {name!r}"))


def _assign(data: Table, path: str, value: Any) -> None:
    """Sets a field; a table that has no type of its own changes the fields that it names."""
    *parents, last = path.split(".")
    place = data
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise UserError(f"{path}: {parent} has no fields of its own")
    if isinstance(value, dict) and "type" not in value:
        for key, item in value.items():
            _assign(data, f"{path}.{key}", item)
    else:
        place[last] = copy.deepcopy(value)


def _complete_supervision(data: Table, changed: Sequence[str]) -> None:
    """Lets the supervision fill in what follows from the fields of it that were changed."""
    told = [path.split(".")[1] for path in changed if path.startswith("supervision.")]
    if not told:
        return
    try:
        kind = Supervision.named(data["supervision"].get("type"))
        task = Task.model_validate(data["task"])
    except (KeyError, ValueError):
        return  # the experiment as a whole is about to be refused, with a better reason
    data["supervision"] = kind.completed(data["supervision"], told, task)


def _short_names(axes: Sequence[Varied]) -> dict[str, str]:
    """The last part of each path where no other path has the same, else the path."""
    paths = [path for axis in axes for path in axis.paths]
    lasts = Counter(path.split(".")[-1] for path in paths)
    return {path: last if lasts[last := path.split(".")[-1]] == 1 else path for path in paths}


def _text(value: Any) -> str:
    """A value as it appears in an arm's name: `0.1`, `FinalOnly`, `AskOne(sum=0.1, parity=0.9)`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "type" in value:
        fields = [f"{key}={_text(item)}" for key, item in value.items() if key != "type"]
        return f"{value['type']}({', '.join(fields)})" if fields else str(value["type"])
    return json.dumps(value, default=str)


def _check_claim(study: Study) -> None:
    arms = {arm.name: arm for arm in study.arms}
    for condition in study.claim.conditions if study.claim else ():
        steps = [step.name for step in arms[condition.arm].experiment.task.steps]
        fields = condition.model_dump()
        for step in [*fields.get("steps", ()), fields.get("step", steps[0])]:
            if step not in steps:
                raise UserError(f"the claim: {unknown_name('step', step, steps)}")
