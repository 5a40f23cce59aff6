"""A study: a question, arms that differ in one thing, seeds, and a claim."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from waymarks.axes import Frozen
from waymarks.errors import UserError, from_validation, unknown_name
from waymarks.studies.claim import Claim, Verdict
from waymarks.studies.experiment import SCHEMA, Experiment
from waymarks.studies.run import Run, read_json, write_json
from waymarks.studies.selection import chosen_learning_rate

STUDY, RUNS = "study.json", "runs"


class Arm(Frozen):
    """One side of a study.

    Attributes:
        name: as it appears in tables and legends.
        experiment: what is run, once for each seed of the study; its own seed plays no part.
        learning_rates: candidates; every one is run with every seed, and the arm stands for the
            one that does best on held-out examples (`chosen_learning_rate`). The experiment's
            own unless given.
    """

    name: Annotated[str, Field(min_length=1)]
    experiment: Experiment
    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = ()

    def candidates(self) -> dict[float, Experiment]:
        """What is run with each seed, by learning rate."""
        own = self.experiment.training.learning_rate
        return {
            rate: self.experiment
            if rate == own
            else self.experiment.with_field("training.learning_rate", rate)
            for rate in self.learning_rates or (own,)
        }


class Contrast(Frozen):
    """Two arms of which the one is told more, for a study's controls (`with_controls`).

    Attributes:
        helped: the name of the arm with intermediate labels.
        alone: the name of the arm with final labels only.
        accuracy: of the final step, which is reached sooner or later.
    """

    helped: str
    alone: str
    accuracy: Annotated[float, Field(gt=0, le=1)] = 0.95


class Study(Frozen):
    """A question: several arms x seeds, and a claim that the outcome bears out or does not.

    Attributes:
        name: short, as on the command line.
        question: as the title of its report.
        arms: with different names.
        seeds: every arm is run with each.
        claim: judged from the outcome.
        reference: what the paper shows, to be read beside the outcome.
        contrasts: which arms are compared as helped and alone.
    """

    name: Annotated[str, Field(min_length=1)]
    question: str
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], Field(min_length=1)]
    claim: Claim | None = None
    reference: str = ""
    contrasts: tuple[Contrast, ...] = ()

    @model_validator(mode="after")
    def _names_are_consistent(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("two arms have the same name")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is there twice")
        conditions = self.claim.conditions if self.claim else ()
        meant = [arm for condition in conditions for arm in condition.arms]
        meant += [arm for contrast in self.contrasts for arm in (contrast.helped, contrast.alone)]
        for name in meant:
            if name not in names:
                raise ValueError(f"the study speaks of an {unknown_name('arm', name, names)}")
        return self

    def experiments(self) -> Iterator[tuple[str, Experiment]]:
        """Every arm's name and experiments, seed by seed, so that early seeds show every arm."""
        candidates = {arm.name: arm.candidates().values() for arm in self.arms}
        for seed in self.seeds:
            for name, experiments in candidates.items():
                for experiment in experiments:
                    yield name, experiment.model_copy(update={"seed": seed})

    def arm_of(self, experiment: Experiment) -> str | None:
        """The name of the first arm that `experiment` belongs to, None if it belongs to none."""
        same_seed = {"seed": experiment.seed}
        for arm in self.arms:
            if any(e.model_copy(update=same_seed) == experiment for e in arm.candidates().values()):
                return arm.name
        return None

    def with_field(self, path: str, value: Any) -> Self:
        """The same study with one field of every arm's experiment changed; a learning rate that
        is given is not chosen.

        Raises:
            UserError: as `Experiment.with_field` does.
        """
        arms = []
        for arm in self.arms:
            changed: dict[str, Any] = {"experiment": arm.experiment.with_field(path, value)}
            if path == "training.learning_rate":
                changed["learning_rates"] = ()
            arms.append(arm.model_copy(update=changed))
        return self.model_copy(update={"arms": tuple(arms)})

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The study in `folder`.

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
            return cls.model_validate(content["study"])
        except ValidationError as error:
            raise UserError(f"{path}: {from_validation(error)}") from error

    def write(self, folder: Path) -> None:
        """Writes `study.json` into `folder`, which is made where it is missing.

        Raises:
            UserError: the folder cannot be written.
        """
        content = {"schema": SCHEMA, "study": self.model_dump(mode="json")}
        try:
            (folder / RUNS).mkdir(parents=True, exist_ok=True)
            if not _is_written(folder / STUDY, content):
                write_json(folder / STUDY, content)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error


def _is_written(path: Path, content: object) -> bool:
    """Whether the file says so already, as where several drivers work on one folder."""
    try:
        return bool(json.loads(path.read_text()) == json.loads(json.dumps(content)))
    except (OSError, ValueError):
        return False


def _run(experiment: Experiment, seed: int, folder: Path) -> Run:
    return Run.of(experiment.model_copy(update={"seed": seed}), folder / RUNS)


@dataclass(frozen=True)
class Outcome:
    """What has come of a study so far.

    Attributes:
        study: the question.
        runs: of each arm, in the order of the seeds; those not begun yet included. Of an arm
            with several learning rates, those of the one chosen so far.
        trials: all runs of the arms with several learning rates, by learning rate.
    """

    study: Study
    runs: dict[str, list[Run]]
    trials: dict[str, dict[float, list[Run]]] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study, folder: Path) -> "Outcome":
        """What has come of `study` in `folder`."""
        runs: dict[str, list[Run]] = {}
        trials: dict[str, dict[float, list[Run]]] = {}
        for arm in study.arms:
            tried = {
                rate: [_run(experiment, seed, folder) for seed in study.seeds]
                for rate, experiment in arm.candidates().items()
            }
            if len(tried) > 1:
                trials[arm.name] = tried
            runs[arm.name] = tried[chosen_learning_rate(tried) if len(tried) > 1 else min(tried)]
        return cls(study, runs, trials)

    @classmethod
    def open(cls, folder: Path) -> "Outcome":
        """The study in `folder`, and what has come of it.

        Raises:
            UserError: there is none, or its file is damaged or from a newer version.
        """
        return cls.of(Study.open(folder), folder)

    def verdict(self) -> Verdict | None:
        """What the outcome says of the claim, if the study makes one."""
        return self.study.claim.judge(self.runs) if self.study.claim else None
