"""The paper's figures at the paper's sizes. Every public function here is a recipe."""

from fractions import Fraction

from waymarks.models import BERT
from waymarks.recipes.parity import parity_experiment
from waymarks.recipes.steps import (
    code_experiment,
    code_study,
    curriculum_study,
    lego_experiment,
    lego_study,
    sparse_study,
)
from waymarks.studies import Arm, Claim, Contrast, Experiment, Solves, StaysBelow, Study
from waymarks.tasks import Lego
from waymarks.training import Training

LEARNING_RATES = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4)
"""Of which the best is taken (sections B.2 and B.3)."""


def fig1_left(seeds: tuple[int, ...] = (0, 1, 2)) -> Study:
    """Parity alone, for growing n: learned when n is small, not at all from n = 30 on."""
    sizes = (10, 20, 30, 50)
    return Study(
        name="fig1-left",
        question="How many bits can a parity have and still be learned from its answers alone?",
        arms=tuple(Arm(name=f"n = {n}", experiment=parity_experiment(n, p=0)) for n in sizes),
        seeds=seeds,
        claim=Claim(
            text="A parity of n/2 bits is learned from its answers alone at n = 10, "
            "and stays at chance at n = 30 and n = 50.",
            conditions=(
                Solves(arm="n = 10", step="parity"),
                StaysBelow(arm="n = 30", step="parity"),
                StaysBelow(arm="n = 50", step="parity"),
            ),
        ),
        reference="Small n is learned; at n = 30, k = 15 the accuracy stays at 50%.",
    )


def fig1_right(seeds: tuple[int, ...] = (0, 1, 2)) -> Study:
    """Parity of 25 of 50 bits with a share p of sums: learned for p from .1 to .5, not at 0."""
    shares = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    names = {p: f"p = {p:g}" for p in shares}
    return Study(
        name="fig1-right",
        question="Is a parity of 25 of 50 bits learned once some examples ask for the sum?",
        arms=tuple(
            Arm(name=name, experiment=parity_experiment(50, p)) for p, name in names.items()
        ),
        seeds=seeds,
        claim=Claim(
            text="With p from 0.1 to 0.5 the parity is learned within 100,000 updates; "
            "with p = 0 it stays at chance.",
            conditions=(
                *(Solves(arm=names[p], step="parity") for p in shares if p),
                StaysBelow(arm=names[0.0], step="parity"),
            ),
        ),
        contrasts=(Contrast(helped=names[0.5], alone=names[0.0]),),
        reference="With p from 0.1 to 0.5 the parity reaches full accuracy; with p = 0 it stays "
        "at 50%.",
    )


def fig2_left(seeds: tuple[int, ...] = (0, 1, 2)) -> Study:
    """LEGO chains of 12 variables with BERT-Base: single-label against multi-label."""
    return lego_study(
        "fig2-left",
        _lego(),
        seeds,
        LEARNING_RATES,
        reference="Multi-label reaches almost perfect accuracy; single-label stays at chance.",
    )


def fig2_right(seeds: tuple[int, ...] = (0, 1, 2)) -> Study:
    """The order in which BERT-Base learns the variables of LEGO chains."""
    return curriculum_study(
        "fig2-right",
        _lego(),
        seeds,
        LEARNING_RATES,
        reference="The first variables are learned one after the other; the fourth to the "
        "twelfth at a similar rate.",
    )


def fig3_left(seeds: tuple[int, ...] = (0, 1, 2)) -> Study:
    """Programs of 10 statements with BERT-Base, read at [CLS]: p = 0 against about 3%."""
    return sparse_study(
        "fig3-left",
        code_experiment(10, BERT(), _code_training(), at_cls=True),
        Fraction(1, 320),
        seeds,
        LEARNING_RATES,
        reference="With p of about 3% programs are learned much sooner than with p = 0; both "
        "arrive at high accuracy in the end.",
    )


def fig3_right(seeds: tuple[int, ...] = (0, 1, 2)) -> Study:
    """Programs of 10 statements with BERT-Base: single-label against multi-label."""
    return code_study(
        "fig3-right",
        code_experiment(10, BERT(), _code_training()),
        factor=1,
        seeds=seeds,
        learning_rates=LEARNING_RATES,
        reference="Multi-label converges sooner; single-label arrives at high accuracy later.",
    )


def _lego() -> Experiment:
    """Section B.2; 200 epochs of 120,000 examples are 23,438 updates. The chains have the
    lengths of those in the paper's printed example."""
    training = Training(
        updates=23_438,
        batch_size=1024,
        dataset_examples=120_000,
        weight_decay=0.01,
        schedule="cosine",
        warmup=1000,
        evaluate_every=117,
        evaluation_examples=4096,
        stop_when_solved=False,
        keep_best=True,
        test_examples=16_384,
    )
    return lego_experiment(Lego(variables=12, chains=(8, 4)), BERT(), training, punctuation=True)


def _code_training() -> Training:
    """Section B.3."""
    return Training(
        updates=24_000,
        batch_size=1024,
        schedule="cosine",
        evaluate_every=200,
        evaluation_examples=4096,
        stop_when_solved=False,
        keep_best=True,
        test_examples=16_384,
    )
