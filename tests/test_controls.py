"""Controls: arms that would do as well if something other than the steps' labels helped."""

import pytest
from tests.builders import tiny_experiment

from waymarks.errors import UserError
from waymarks.formats import ClsToken
from waymarks.models import BERT
from waymarks.recipes import study_named
from waymarks.studies import Arm, Contrast, Study, with_controls
from waymarks.studies.controls import equal_compute, more_final_labels, shuffled_labels
from waymarks.supervision import EveryStep, FinalOnly, Shuffled, SparseSteps


def told(supervision: EveryStep | SparseSteps | FinalOnly, **changed: int) -> Arm:
    model = BERT(width=32, depth=1, heads=2)
    experiment = tiny_experiment(supervision=supervision, format=ClsToken(), model=model, **changed)
    return Arm(name=type(supervision).__name__, experiment=experiment)


def contrast_of(helped: EveryStep | SparseSteps) -> Study:
    arms = (told(FinalOnly()), told(helped))
    return Study(
        name="trial",
        question="Does it help?",
        arms=arms,
        seeds=(0, 1),
        contrasts=(Contrast(helped=arms[1].name, alone=arms[0].name),),
    )


def test_shuffled_labels_change_nothing_but_whose_they_are() -> None:
    helped = told(EveryStep()).experiment
    control = shuffled_labels(helped)
    assert control.supervision == Shuffled(of=EveryStep())
    assert control.model_copy(update={"supervision": EveryStep()}) == helped


@pytest.mark.parametrize(
    ("supervision", "labels"), [(EveryStep(), 2.0), (SparseSteps(rate=0.5), 1.5)]
)
def test_more_final_labels_are_as_many_as_those_of_all_steps(
    supervision: EveryStep | SparseSteps, labels: float
) -> None:
    helped = told(supervision, batch_size=64, dataset_examples=640).experiment
    control = more_final_labels(helped)
    assert control.supervision == FinalOnly()
    assert control.training.batch_size == 64 * labels
    assert control.training.dataset_examples == 640 * labels
    assert control.training.updates == helped.training.updates


def test_equal_compute_is_as_many_updates_of_as_many_examples() -> None:
    helped = told(EveryStep()).experiment
    control = equal_compute(helped)
    assert control.supervision == FinalOnly()
    assert control.training == helped.training


def test_a_study_gains_three_arms_and_what_they_must_show() -> None:
    study = contrast_of(EveryStep())
    controlled = with_controls(study)
    names = [arm.name for arm in controlled.arms]
    assert names == [
        "FinalOnly",
        "EveryStep",
        "EveryStep, labels shuffled",
        "as many labels as EveryStep, final only",
        "as much compute as EveryStep, final only",
    ]
    assert controlled.claim is not None
    assert {condition.arm for condition in controlled.claim.conditions} == {names[1], names[2]}
    assert Study.model_validate(controlled.model_dump(mode="json")) == controlled


def test_what_is_the_same_experiment_as_another_arm_is_trained_once() -> None:
    controlled = with_controls(contrast_of(EveryStep()))
    identities = {experiment.identity for _, experiment in controlled.experiments()}
    assert len(identities) == 4 * len(controlled.seeds)


@pytest.mark.parametrize("scale", ["paper", "laptop"])
@pytest.mark.parametrize("name", ["fig1-right", "fig2-left", "fig3-left", "fig3-right"])
def test_every_recipe_that_says_that_labels_helped_has_controls(name: str, scale: str) -> None:
    study = study_named(name, scale, (0,))
    assert len(with_controls(study).arms) == len(study.arms) + 3


def test_a_study_that_compares_nothing_has_no_controls() -> None:
    with pytest.raises(UserError, match="has no controls"):
        with_controls(contrast_of(EveryStep()).model_copy(update={"contrasts": ()}))


def test_a_contrast_names_arms_that_there_are() -> None:
    with pytest.raises(ValueError, match="unknown arm 'EverySteps'; did you mean EveryStep"):
        Study.model_validate(
            contrast_of(EveryStep()).model_dump()
            | {"contrasts": [{"helped": "EverySteps", "alone": "FinalOnly"}]}
        )
