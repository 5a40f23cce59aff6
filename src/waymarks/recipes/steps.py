"""What the recipes about LEGO chains and programs have in common."""

from fractions import Fraction

from waymarks.formats import ClsToken, TokenClassification
from waymarks.models import Model
from waymarks.studies import (
    Arm,
    Claim,
    Contrast,
    Experiment,
    ReachesAtLeast,
    SolvedInOrder,
    Sooner,
    StaysBelow,
    Study,
)
from waymarks.supervision import EveryStep, FinalOnly, SparseSteps
from waymarks.tasks import Code, Lego
from waymarks.training import Training

SINGLE, MULTI = "single-label", "multi-label"

Rates = tuple[float, ...]


def lego_study(
    name: str,
    base: Experiment,
    seeds: tuple[int, ...],
    learning_rates: Rates = (),
    reference: str = "",
) -> Study:
    """Chains of signed variables: only the last told, against all of them (Figure 2, left)."""
    final = base.task.steps[-1].name
    return Study(
        name=name,
        question="Is the end of a chain of signed variables learned once all are told?",
        arms=_single_and_multi(base, learning_rates),
        seeds=seeds,
        claim=Claim(
            text="Told every variable, the network answers every one of them; told only the "
            "last, with the same budget, it stays near chance.",
            conditions=(
                ReachesAtLeast(arm=MULTI, accuracy=0.99, at="best"),
                StaysBelow(arm=SINGLE, step=final, accuracy=0.65),
            ),
        ),
        contrasts=(Contrast(helped=MULTI, alone=SINGLE),),
        reference=reference,
    )


def curriculum_study(
    name: str,
    base: Experiment,
    seeds: tuple[int, ...],
    learning_rates: Rates = (),
    reference: str = "",
) -> Study:
    """In which order the variables of a chain are learned when all are told (Figure 2, right)."""
    return Study(
        name=name,
        question="In which order are the variables of a chain learned?",
        arms=_single_and_multi(base, learning_rates)[1:],
        seeds=seeds,
        claim=Claim(
            text="A variable is learned no later than those that depend on it.",
            conditions=(SolvedInOrder(arm=MULTI, step=base.task.steps[-1].name),),
        ),
        reference=reference,
    )


def sparse_study(
    name: str,
    base: Experiment,
    rate: Fraction,
    seeds: tuple[int, ...],
    learning_rates: Rates = (),
    reference: str = "",
) -> Study:
    """Programs read at `[CLS]`: few intermediate labels, against none (Figure 3, left)."""
    sparse = SparseSteps(rate=float(rate))
    total = sparse.intermediate_per_example(base.task)
    others = len(base.task.steps) - 1
    none, few = "p = 0", f"p = {total:.1%}: {rate} of each of {others}"
    final = base.task.steps[-1].name
    arms = {none: FinalOnly(), few: sparse}
    return Study(
        name=name,
        question="Are programs learned sooner when a few labels of a hundred are intermediate?",
        arms=tuple(
            Arm(
                name=arm,
                experiment=base.model_copy(update={"supervision": supervision}),
                learning_rates=learning_rates,
            )
            for arm, supervision in arms.items()
        ),
        seeds=seeds,
        claim=Claim(
            text=f"With {rate} of each intermediate label, {total:.1%} in total, the result of a "
            "program is learned from fewer examples than without.",
            conditions=(Sooner(arm=few, than=none, step=final, accuracy=0.95),),
        ),
        contrasts=(Contrast(helped=few, alone=none),),
        reference=reference,
    )


def code_study(
    name: str,
    base: Experiment,
    factor: float,
    seeds: tuple[int, ...],
    learning_rates: Rates = (),
    reference: str = "",
) -> Study:
    """Programs read at each statement: only the result told, or every value (Figure 3, right)."""
    final = base.task.steps[-1].name
    sooner = Sooner(arm=MULTI, than=SINGLE, step=final, factor=factor, accuracy=0.95)
    return Study(
        name=name,
        question="Are programs learned sooner when the value after every statement is told?",
        arms=_single_and_multi(base, learning_rates),
        seeds=seeds,
        claim=Claim(
            text="Told the value after every statement, the network predicts the result of a "
            f"program with 95% accuracy from at most 1/{factor:g} of the examples that it needs "
            "when it is told the result alone.",
            conditions=(sooner,),
        ),
        contrasts=(Contrast(helped=MULTI, alone=SINGLE),),
        reference=reference,
    )


def _single_and_multi(base: Experiment, learning_rates: Rates) -> tuple[Arm, ...]:
    arms = {SINGLE: FinalOnly(), MULTI: EveryStep()}
    return tuple(
        Arm(
            name=name,
            experiment=base.model_copy(update={"supervision": supervision}),
            learning_rates=learning_rates,
        )
        for name, supervision in arms.items()
    )


def lego_experiment(
    task: Lego, model: Model, training: Training, punctuation: bool = False
) -> Experiment:
    """A chain of variables, each read at its own clause."""
    return Experiment(
        task=task,
        supervision=FinalOnly(),
        format=TokenClassification(punctuation=punctuation),
        model=model,
        training=training,
    )


def code_experiment(
    statements: int, model: Model, training: Training, at_cls: bool = False
) -> Experiment:
    """A program, each value read at its own statement, or all at `[CLS]`."""
    return Experiment(
        task=Code(statements=statements),
        supervision=FinalOnly(),
        format=ClsToken() if at_cls else TokenClassification(),
        model=model,
        training=training,
    )
