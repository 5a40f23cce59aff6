"""Studies that two cores finish in minutes. Every public function here is a recipe."""

from waymarks.models import GPT2
from waymarks.recipes.parity import parity_experiment
from waymarks.studies import Arm, Claim, Experiment, Solves, StaysBelow, Study
from waymarks.training import Training


def demo(seeds: tuple[int, ...] = (0, 1, 2)) -> Study:
    """Parity of 10 of 20 bits, alone and with sums: under three minutes on two cores."""
    alone, with_sums = "parity alone", "parity with sums"
    return Study(
        name="demo",
        question="Does a network that cannot learn a parity learn it with the help of sums?",
        arms=(
            Arm(name=alone, experiment=_small(bits=20, p=0, updates=2000)),
            Arm(name=with_sums, experiment=_small(bits=20, p=0.5, updates=2000)),
        ),
        seeds=seeds,
        claim=Claim(
            text="Alone, the parity of 10 of 20 bits stays at chance for 2,000 updates; "
            "when half of the examples ask for the sum of the same bits, it is solved.",
            conditions=(
                StaysBelow(arm=alone, step="parity"),
                Solves(arm=with_sums, step="parity"),
            ),
        ),
    )


def _small(bits: int, p: float, updates: int) -> Experiment:
    """A parity learned by a transformer that takes about 8 ms an update on one core."""
    return parity_experiment(
        bits,
        p,
        model=GPT2(width=96, depth=2, heads=4),
        training=Training(updates=updates, learning_rate=5e-4, evaluate_every=100),
    )
