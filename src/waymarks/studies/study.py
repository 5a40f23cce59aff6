"""A study: a question, arms that differ in one thing, seeds, and a claim."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from waymarks.axes import Frozen
from waymarks.errors import UserError, from_validation, unknown_name
from waymarks.studies.claim import Claim, Verdict
from waymarks.studies.experiment import SCHEMA, Experiment
from waymarks.studies.run import Run, read_json, write_json

STUDY, RUNS = "study.json", "runs"


class Arm(Frozen):
    """One side of a study.

    Attributes:
        name: as it appears in tables and legends.
        experiment: what is run, once for each seed of the study; its own seed plays no part.
    """

    name: Annotated[str, Field(min_length=1)]
    experiment: Experiment


class Study(Frozen):
    """A question: several arms x seeds, and a claim that the outcome bears out or does not.

    Attributes:
        name: short, as on the command line.
        question: as the title of its report.
        arms: with different names.
        seeds: every arm is run with each.
        claim: judged from the outcome.
    """

    name: Annotated[str, Field(min_length=1)]
    question: str
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], Field(min_length=1)]
    claim: Claim | None = None

    @model_validator(mode="after")
    def _names_are_consistent(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("two arms have the same name")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is there twice")
        for condition in self.claim.conditions if self.claim else ():
            for arm in condition.arms:
                if arm not in names:
                    raise ValueError(f"the claim: {unknown_name('arm', arm, names)}")
        return self

    def experiments(self) -> Iterator[tuple[str, Experiment]]:
        """Every arm's name and experiment, seed by seed, so that early seeds show every arm."""
        for seed in self.seeds:
            for arm in self.arms:
                yield arm.name, arm.experiment.model_copy(update={"seed": seed})

    def arm_of(self, experiment: Experiment) -> str | None:
        """The name of the first arm that `experiment` belongs to, None if it belongs to none."""
        same_seed = {"seed": experiment.seed}
        for arm in self.arms:
            if arm.experiment.model_copy(update=same_seed) == experiment:
                return arm.name
        return None

    def with_field(self, path: str, value: Any) -> Self:
        """The same study with one field of every arm's experiment changed.

        Raises:
            UserError: as `Experiment.with_field` does.
        """
        arms = tuple(
            Arm(name=arm.name, experiment=arm.experiment.with_field(path, value))
            for arm in self.arms
        )
        return self.model_copy(update={"arms": arms})

    def write(self, folder: Path) -> None:
        """Writes `study.json` into `folder`, which is made where it is missing.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            (folder / RUNS).mkdir(parents=True, exist_ok=True)
            write_json(folder / STUDY, {"schema": SCHEMA, "study": self.model_dump(mode="json")})
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error


@dataclass(frozen=True)
class Outcome:
    """What has come of a study so far.

    Attributes:
        study: the question.
        runs: of each arm, in the order of the seeds; those not begun yet included.
    """

    study: Study
    runs: dict[str, list[Run]]

    @classmethod
    def of(cls, study: Study, folder: Path) -> "Outcome":
        """What has come of `study` in `folder`."""
        runs: dict[str, list[Run]] = {arm.name: [] for arm in study.arms}
        for arm, experiment in study.experiments():
            runs[arm].append(Run(folder / RUNS / experiment.identity))
        return cls(study, runs)

    @classmethod
    def open(cls, folder: Path) -> "Outcome":
        """The study in `folder`, and what has come of it.

        Raises:
            UserError: there is none, or its file is damaged or from a newer version.
        """
        path = folder / STUDY
        content = read_json(path)
        if not isinstance(content, dict) or "study" not in content:
            raise UserError(f"{path}: is not the file of a study")
        if content.get("schema", SCHEMA) != SCHEMA:
            raise UserError(f"{path}: was written by another version (schema {content['schema']})")
        try:
            return cls.of(Study.model_validate(content["study"]), folder)
        except ValidationError as error:
            raise UserError(f"{path}: {from_validation(error)}") from error

    def verdict(self) -> Verdict | None:
        """What the outcome says of the claim, if the study makes one."""
        return self.study.claim.judge(self.runs) if self.study.claim else None
