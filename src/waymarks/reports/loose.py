"""Runs that no study asked for, reported as if one had."""

from collections.abc import Sequence

from waymarks.errors import UserError
from waymarks.reports.configuration import arm_names_for
from waymarks.studies import Arm, Outcome, Run, Study


def outcome_of_runs(runs: Sequence[Run], title: str) -> Outcome:
    """Runs that no study asked for, as if one had: those that differ only in the seed are an arm.

    Of two runs of the very same experiment the one that came further counts.

    Raises:
        UserError: there are no runs, or one of the folders holds none.
    """
    if not runs:
        raise UserError(f"{title}: there are no runs to report")
    further: dict[str, Run] = {}
    for run in runs:
        identity = run.experiment.identity
        if identity not in further or _progress(run) > _progress(further[identity]):
            further[identity] = run
    arms: dict[str, list[Run]] = {}
    for run in sorted(further.values(), key=lambda run: run.experiment.seed):
        arms.setdefault(run.experiment.model_copy(update={"seed": 0}).identity, []).append(run)
    experiments = [alike[0].experiment.model_copy(update={"seed": 0}) for alike in arms.values()]
    names = arm_names_for(experiments)
    study = Study(
        name=title,
        question=title,
        arms=tuple(
            Arm(name=name, experiment=e) for name, e in zip(names, experiments, strict=True)
        ),
        seeds=tuple(sorted({run.experiment.seed for run in further.values()})),
    )
    return Outcome(study, dict(zip(names, arms.values(), strict=True)))


def _progress(run: Run) -> tuple[bool, int]:
    return run.is_finished, len(run.metrics())
