"""What the recipes about parities have in common."""

from waymarks.formats import TaskVector
from waymarks.models import GPT2, Model
from waymarks.studies import Experiment
from waymarks.supervision import AskOne, FinalOnly
from waymarks.tasks import ParitySum
from waymarks.training import Training


def parity_experiment(
    bits: int, p: float, model: Model | None = None, training: Training | None = None
) -> Experiment:
    """A parity of half of `bits`, where a share `p` of the examples asks for the sum instead.

    Args:
        bits: n, even.
        p: in [0, 1]; the paper's p.
        model: the paper's GPT-2 (section B.1) unless given.
        training: the paper's (section B.1) unless given.
    """
    return Experiment(
        task=ParitySum(bits=bits),
        supervision=AskOne(sum=p, parity=round(1 - p, 12)) if p else FinalOnly(),
        format=TaskVector(),
        model=model or GPT2(width=128, depth=6, heads=4),
        training=training or Training(),
    )
