"""What experiments have in common, and the fields in which they differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from waymarks.reports.text import value
from waymarks.studies import Experiment

Fields = dict[str, Any]


def fields_of(experiment: Experiment) -> Fields:
    """Every field by its dotted path (`task.bits`), the seed left out."""
    return _flat(experiment.model_dump(mode="json", exclude={"seed"}))


def _flat(data: Mapping[str, Any], prefix: str = "") -> Fields:
    flat: Fields = {}
    for name, item in data.items():
        flat |= _flat(item, f"{prefix}{name}.") if isinstance(item, dict) else {prefix + name: item}
    return flat


def shared_and_different(experiments: Sequence[Experiment]) -> tuple[Fields, list[str]]:
    """The fields that all experiments share, with their values, and the paths of the others."""
    every = [fields_of(experiment) for experiment in experiments]
    paths = list(dict.fromkeys(path for fields in every for path in fields))
    shared = {
        path: every[0][path]
        for path in paths
        if all(path in fields and fields[path] == every[0][path] for fields in every)
    }
    return shared, [path for path in paths if path not in shared]


def arm_names_for(experiments: Sequence[Experiment]) -> list[str]:
    """Names experiments by the fields in which they differ: `supervision=FinalOnly`, `bits=30`.

    A field that follows from others of the same axis (the subset from the bits, one share from
    the other) is left out. A single experiment is named by its supervision.

    Args:
        experiments: that differ from each other in more than the seed.

    Returns:
        As many different names.
    """
    every = [fields_of(experiment) for experiment in experiments]
    _, paths = shared_and_different(experiments)
    axes = list(dict.fromkeys(path.split(".")[0] for path in paths)) or ["supervision"]
    parts = [
        _axis_names(axis, every, [p for p in paths if p.split(".")[0] == axis]) for axis in axes
    ]
    return [", ".join(part for part in name if part) for name in zip(*parts, strict=True)]


def _axis_names(axis: str, every: Sequence[Fields], paths: Sequence[str]) -> list[str]:
    """What each experiment's name says of one axis."""
    typed = f"{axis}.type"
    if paths and typed not in paths:
        telling = _telling(every, paths)
        return [", ".join(_assignments(axis, fields, telling)) for fields in every]
    names = []
    for fields in every:
        alike = [other for other in every if other[typed] == fields[typed]]
        varied = [p for p in paths if p != typed and len({repr(o.get(p)) for o in alike}) > 1]
        inner = ", ".join(_assignments(axis, fields, _telling(alike, varied)))
        names.append(f"{axis}={fields[typed]}" + (f"({inner})" if inner else ""))
    return names


def _telling(every: Sequence[Fields], paths: Sequence[str]) -> list[str]:
    """The paths, without those whose values follow from the ones before."""
    kept: list[str] = []
    for path in paths:
        before = {repr([fields.get(p) for p in kept]) for fields in every}
        after = {repr([fields.get(p) for p in [*kept, path]]) for fields in every}
        if len(after) > len(before):
            kept.append(path)
    return kept


def _assignments(axis: str, fields: Fields, paths: Sequence[str]) -> list[str]:
    return [
        f"{path.removeprefix(axis + '.')}={value(fields[path])}" for path in paths if path in fields
    ]


def sweep_fields(
    experiments: Sequence[Experiment],
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The fields that span a sweep: those in which experiments differ, but for what follows.

    Where one kind of an axis has no such field (`FinalOnly` has no shares), the kind stands for
    its value.

    Returns:
        Of each field, by its dotted path, the value of each experiment; and its different values
        in order: words first, then rising numbers.
    """
    every = [fields_of(experiment) for experiment in experiments]
    _, paths = shared_and_different(experiments)
    paths = sorted(paths, key=lambda path: path.endswith(".type"))
    filled = [
        {path: fields.get(path, fields.get(f"{path.split('.')[0]}.type")) for path in paths}
        for fields in every
    ]
    telling = sorted(_telling(filled, paths), key=paths.index)
    values = {path: [value(fields[path]) for fields in filled] for path in telling}
    order = {
        path: list(
            dict.fromkeys(value(item) for item in sorted((f[path] for f in filled), key=_rank))
        )
        for path in telling
    }
    return values, order


def _rank(item: Any) -> tuple[bool, float, str]:
    is_number = isinstance(item, int | float) and not isinstance(item, bool)
    return is_number, float(item) if is_number else 0.0, str(item)
