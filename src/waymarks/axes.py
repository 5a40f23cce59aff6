"""What the four axes share: a value is frozen data, tagged in a file by its class's name.

A subclass of an axis registers itself by being defined, so a new task, format, supervision
or model is one new file in its package and nothing else.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from waymarks.errors import unknown_name


class Frozen(BaseModel):
    """Plain frozen data: unknown fields and non-finite numbers are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def concrete_subclasses(base: type[Any]) -> Iterator[type[Any]]:
    """Every subclass of `base` that can be made, at any depth."""
    for subclass in base.__subclasses__():
        if not inspect.isabstract(subclass):
            yield subclass
        yield from concrete_subclasses(subclass)


class Axis(Frozen):
    """One of the four independent choices of an experiment.

    In a file, `{"type": "ParitySum", "bits": 50}` is `ParitySum(bits=50)`.
    """

    @classmethod
    def named(cls, name: object) -> type[Self]:
        """The subclass called `name`.

        Raises:
            ValueError: there is none; names the nearest that there are.
        """
        for subclass in concrete_subclasses(cls):
            if subclass.__name__ == name:
                return subclass
        known = [subclass.__name__ for subclass in concrete_subclasses(cls)]
        raise ValueError(unknown_name(cls.__name__.lower(), name, known))

    @model_validator(mode="wrap")
    @classmethod
    def _dispatch_on_type(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        is_axis_itself = Axis in cls.__bases__
        if not isinstance(value, Mapping):
            return handler(value)
        if "type" not in value:
            if is_axis_itself:
                raise ValueError(f"needs a 'type', the name of a {cls.__name__.lower()}")
            return handler(value)
        fields = {key: item for key, item in value.items() if key != "type"}
        if is_axis_itself:
            return cls.named(value["type"]).model_validate(fields)
        if value["type"] != cls.__name__:
            raise ValueError(f"type {value['type']!r} is not {cls.__name__}")
        return handler(fields)

    @model_serializer(mode="wrap")
    def _tag_with_type(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"type": type(self).__name__, **handler(self)}


def import_modules_of(package: str, path: list[str]) -> None:
    """Imports every module of a package, so that the classes in them are known by name."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
