"""The paper's figures at the paper's sizes. Every public function here is a recipe."""

from waymarks.recipes.parity import parity_experiment
from waymarks.studies import Arm, Claim, Solves, StaysBelow, Study


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
    )
