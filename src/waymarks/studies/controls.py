"""Controls: what else could explain that intermediate labels helped."""

from waymarks.errors import UserError
from waymarks.studies.claim import Claim, Condition, NoSooner, Sooner
from waymarks.studies.experiment import Experiment
from waymarks.studies.study import Arm, Contrast, Study
from waymarks.supervision import FinalOnly, Shuffled

SHUFFLED = "{}, labels shuffled"
MORE_FINAL = "as many labels as {}, final only"
EQUAL_COMPUTE = "as much compute as {}, final only"


def with_controls(study: Study) -> Study:
    """The study with three more arms for each of its contrasts, and what they must show.

    - Shuffled intermediate labels: as many, of the wrong examples. They must not help.
    - More final labels instead: as many labels in an update, all of them final, of more
      examples. Telling the steps must need fewer labels.
    - Equal compute: final labels alone, for as many floating-point operations. Telling the
      steps must need less.

    Raises:
        UserError: the study does not say which of its arms is helped.
    """
    if not study.contrasts:
        raise UserError(f"{study.name} has no controls: it does not compare telling with not")
    arms, conditions = list(study.arms), list(study.claim.conditions if study.claim else ())
    named = {arm.name: arm for arm in study.arms}
    for contrast in study.contrasts:
        added = _controls(named[contrast.helped])
        arms += [arm for arm in added if arm.name not in {known.name for known in arms}]
        conditions += _conditions(contrast, named[contrast.helped].experiment)
    text = study.claim.text if study.claim else study.question
    claim = Claim(text=f"{text} No control explains it.", conditions=tuple(conditions))
    return Study.model_validate(
        study.model_dump() | {"arms": [arm.model_dump() for arm in arms], "claim": claim}
    )


def _controls(helped: Arm) -> list[Arm]:
    made = {
        SHUFFLED: shuffled_labels(helped.experiment),
        MORE_FINAL: more_final_labels(helped.experiment),
        EQUAL_COMPUTE: equal_compute(helped.experiment),
    }
    return [
        Arm(
            name=name.format(helped.name),
            experiment=experiment,
            learning_rates=helped.learning_rates,
        )
        for name, experiment in made.items()
    ]


def _conditions(contrast: Contrast, experiment: Experiment) -> list[Condition]:
    helped, step = contrast.helped, experiment.task.steps[-1].name
    return [
        NoSooner(
            arm=SHUFFLED.format(helped),
            than=contrast.alone,
            step=step,
            accuracy=contrast.accuracy,
            unit="examples",
        ),
        Sooner(
            arm=helped,
            than=MORE_FINAL.format(helped),
            step=step,
            accuracy=contrast.accuracy,
            unit="labels",
        ),
        Sooner(
            arm=helped,
            than=EQUAL_COMPUTE.format(helped),
            step=step,
            accuracy=contrast.accuracy,
            unit="flops",
        ),
    ]


def shuffled_labels(experiment: Experiment) -> Experiment:
    """The same, told as many intermediate labels, each of them another example's."""
    return experiment.model_copy(update={"supervision": Shuffled(of=experiment.supervision)})


def more_final_labels(experiment: Experiment) -> Experiment:
    """Final labels only, as many in an update as the experiment tells labels of any step."""
    training = experiment.training
    labels = experiment.supervision.labels_per_example(experiment.task)
    more = {"batch_size": round(training.batch_size * labels)}
    if training.dataset_examples is not None:
        more["dataset_examples"] = round(training.dataset_examples * labels)
    return experiment.model_copy(
        update={"supervision": FinalOnly(), "training": training.model_copy(update=more)}
    )


def equal_compute(experiment: Experiment) -> Experiment:
    """Final labels only, for as many floating-point operations as the experiment has.

    A format reads every step whatever is told, so an update costs the same with and without
    intermediate labels: this is as many updates of as many examples.
    """
    return experiment.model_copy(update={"supervision": FinalOnly()})
