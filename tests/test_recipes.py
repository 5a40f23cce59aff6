"""Recipes: every figure of the paper is a study by name, at the paper's sizes and at a laptop's."""

import inspect

import pytest

from waymarks.errors import UserError
from waymarks.recipes import SCALES, recipes, study_named
from waymarks.recipes.paper import LEARNING_RATES
from waymarks.studies import Study

FIGURES = {"fig1-left", "fig1-right", "fig2-left", "fig2-right", "fig3-left", "fig3-right"}

EVERY = [(scale, name) for scale in SCALES for name in recipes(scale)]


@pytest.mark.parametrize("scale", SCALES)
def test_every_figure_of_the_paper_has_a_recipe_at_every_scale(scale: str) -> None:
    assert set(recipes("paper" if scale == "paper" else "laptop")) >= FIGURES


@pytest.mark.parametrize(("scale", "name"), EVERY)
def test_a_recipe_is_a_study_with_a_claim_that_survives_being_written_down(
    scale: str, name: str
) -> None:
    study = study_named(name, scale, (0, 1))
    assert study.seeds == (0, 1)
    assert study.claim is not None
    assert Study.model_validate(study.model_dump(mode="json")) == study
    assert inspect.getdoc(recipes("paper" if scale == "paper" else "laptop")[name])


@pytest.mark.parametrize("name", ["fig2-left", "fig2-right", "fig3-left", "fig3-right"])
def test_at_the_papers_scale_the_learning_rate_is_chosen_from_its_grid(name: str) -> None:
    study = study_named(name, "paper", (0,))
    for arm in study.arms:
        assert tuple(arm.candidates()) == LEARNING_RATES
        assert arm.experiment.training.test_examples > 0


def test_lego_at_the_papers_scale_has_its_numbers() -> None:
    """Section B.2: 120,000 examples, 200 epochs, batches of 1,024, 1,000 updates of warm-up."""
    single, multi = (arm.experiment for arm in study_named("fig2-left", "paper", (0,)).arms)
    training = multi.training
    assert training.updates * training.batch_size >= 200 * 120_000
    assert (training.updates - 1) * training.batch_size < 200 * 120_000
    assert (training.dataset_examples, training.batch_size) == (120_000, 1024)
    assert (training.weight_decay, training.schedule, training.warmup) == (0.01, "cosine", 1000)
    assert multi.model.model_dump() == {
        "type": "BERT",
        "width": 768,
        "depth": 12,
        "heads": 12,
        "norm": "post",
        "shared_layers": False,
        "initializer_range": 0.02,
    }
    assert single.model_copy(update={"supervision": multi.supervision}) == multi


def test_programs_at_the_papers_scale_have_its_numbers() -> None:
    """Section B.3: 24,000 updates of new examples, batches of 1,024, no warm-up, 1/320."""
    none, few = (arm.experiment for arm in study_named("fig3-left", "paper", (0,)).arms)
    assert few.supervision.model_dump() == {"type": "SparseSteps", "rate": 1 / 320}
    assert few.training.updates == 24_000
    assert few.training.dataset_examples is None
    assert (few.training.schedule, few.training.warmup) == ("cosine", 0)
    assert none.model_copy(update={"supervision": few.supervision}) == few


def test_the_sparse_study_names_both_the_rate_of_a_label_and_their_sum() -> None:
    """Nine intermediate labels of ten statements, 1/320 each: 2.8% in total."""
    assert study_named("fig3-left", "paper", (0,)).arms[1].name == "p = 2.8%: 1/320 of each of 9"


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean fig3-left"):
        study_named("fig3left", "paper", (0,))
