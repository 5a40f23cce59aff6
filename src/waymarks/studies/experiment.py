"""An experiment: one value of each axis, a training budget and a seed."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, SerializeAsAny, ValidationError, model_validator

from waymarks.axes import Frozen
from waymarks.errors import UserError, from_validation, unknown_name
from waymarks.formats import Format
from waymarks.models import Model
from waymarks.supervision import Supervision
from waymarks.tasks import Task
from waymarks.training import Training

if TYPE_CHECKING:
    from waymarks.studies.run import Run

SCHEMA = 1
"""The version of the file's layout; a file from a newer one is refused."""


class Experiment(Frozen):
    """One value of each axis, a training budget and a seed: frozen data that fits in a file.

    Attributes:
        task: what is computed.
        supervision: which answers the learner is told.
        format: how problems are written down.
        model: who learns.
        training: for how long and how.
        seed: fixes every draw, the hidden subset of a parity included.
    """

    task: SerializeAsAny[Task]
    supervision: SerializeAsAny[Supervision]
    format: SerializeAsAny[Format]
    model: SerializeAsAny[Model]
    training: Training = Training()
    seed: Annotated[int, Field(ge=0, strict=True)] = 0

    @model_validator(mode="after")
    def _axes_fit_together(self) -> Self:
        try:
            self.supervision.check(self.task)
            self.model.check(self.format.layout(self.task))
        except UserError as error:
            raise ValueError(str(error)) from error
        if self.format.asks_one_step and not self.supervision.reveals_one_step:
            raise ValueError(
                f"format {type(self.format).__name__} answers one step of each example, and "
                f"supervision {type(self.supervision).__name__} reveals more; use FinalOnly, "
                "AskOne, or a format that answers all steps, such as ClsToken"
            )
        return self

    @classmethod
    def parse(cls, data: object, source: str = "the experiment") -> Self:
        """Reads an experiment from plain data.

        Args:
            data: as `json.load` gives it.
            source: what to call it in an error.

        Raises:
            UserError: it is no experiment; says where and what would be right.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UserError(f"{source}: {_explained(error, data)}") from error

    @property
    def identity(self) -> str:
        """16 hexadecimal digits, a hash of everything but what is left at its default."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        canonical = json.dumps([SCHEMA, content], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def with_field(self, path: str, value: Any) -> Self:
        """The same experiment with one field changed.

        Args:
            path: dotted, such as `training.learning_rate`.
            value: plain data.

        Raises:
            UserError: there is no such field, or the value does not suit it.
        """
        data = self.model_dump(mode="json")
        *parents, last = path.split(".")
        place = data
        for depth, part in enumerate([*parents, last]):
            is_open = place.get("type") == "AskOne"
            if part not in place and not is_open:
                where = ".".join(parents[:depth]) or "an experiment"
                raise UserError(f"{path}: {unknown_name(f'field of {where}', part, place)}")
            if depth < len(parents):
                if not isinstance(place[part], dict):
                    raise UserError(f"{path}: {part} has no fields of its own")
                place = place[part]
        place[last] = value
        return type(self).parse(data, f"{path}={value}")

    def run(self, out: str | Path = "runs", **execution: Any) -> "Run":
        """Trains it, or finds it trained; shows nothing.

        Args:
            out: the folder that holds runs; this one's is named by its identity.
            execution: fields of `Execution`: `device`, `compile`, `threads`, `track`.

        Returns:
            The run; its `curves` is a DataFrame.

        Raises:
            UserError: it cannot be run here.
            RunFailed: it diverged or could not be written.
        """
        from waymarks.studies.execution import Execution, carry_out

        return carry_out(self, Path(out), Execution.of(**execution))


def _explained(error: ValidationError, data: object) -> str:
    """pydantic's complaint, with the names of the fields that would have been accepted."""
    model: type[Frozen] = Experiment
    for part in error.errors(include_url=False)[0]["loc"][:-1]:
        data = data.get(part, {}) if isinstance(data, dict) else {}
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type):
            break
        model = field.annotation
        if issubclass(model, Task | Supervision | Format | Model) and isinstance(data, dict):
            model = model.named(data.get("type"))
    return str(from_validation(error, list(model.model_fields)))
