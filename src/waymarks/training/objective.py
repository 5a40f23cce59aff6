"""What is minimised: the mean loss of the labels that were revealed."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from waymarks.formats import Layout
from waymarks.tasks import Step


def revealed_loss(
    outputs: Sequence[Tensor],
    answers: Float[Tensor, "batch steps"],
    mask: Bool[Tensor, "batch steps"],
    steps: tuple[Step, ...],
    layout: Layout,
) -> Float[Tensor, ""]:
    """The mean over revealed labels of each label's own loss.

    The loss of a hidden label is exactly zero, and so is its gradient.

    Args:
        outputs: one [batch, outputs] per read-out of the layout.
        answers: the whole trace, hidden labels included.
        mask: which labels may be seen.
    """
    total = answers.new_zeros(())
    for number, step in enumerate(steps):
        seen = mask[:, number]
        output = outputs[layout.readout_of_step[number]].float()
        losses = step.kind.loss(output, torch.where(seen, answers[:, number], 0.0))
        total = total + torch.where(seen, losses, 0.0).sum()
    return total / mask.sum().clamp(min=1)
