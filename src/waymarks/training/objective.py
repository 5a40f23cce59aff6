"""What is minimised: the mean loss of the labels that were revealed."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from waymarks.formats import Layout
from waymarks.tasks import Kind, Step

Average = Literal["labels", "steps"]


@lru_cache(maxsize=64)
def steps_by_kind(steps: tuple[Step, ...]) -> dict[Kind, list[int]]:
    """The numbers of the steps of each kind, which are scored together."""
    numbers: dict[Kind, list[int]] = {}
    for number, step in enumerate(steps):
        numbers.setdefault(step.kind, []).append(number)
    return numbers


def answered(
    outputs: Float[Tensor, "batch answers outputs"], steps: tuple[Step, ...], layout: Layout
) -> Iterator[tuple[Kind, list[int], Float[Tensor, "batch alike numbers"]]]:
    """What a network put out, for the steps of each kind together.

    Yields:
        The kind, the numbers of its steps, and the numbers that answer each of them.
    """
    for kind, numbers in steps_by_kind(steps).items():
        places = [layout.answer_of_step[number] for number in numbers]
        yield kind, numbers, outputs[:, places, : kind.outputs].float()


def revealed_loss(
    outputs: Float[Tensor, "batch answers outputs"],
    labels: Float[Tensor, "batch steps"],
    mask: Bool[Tensor, "batch steps"],
    steps: tuple[Step, ...],
    layout: Layout,
    average: Average = "labels",
) -> Float[Tensor, ""]:
    """The mean over revealed labels of each label's own loss.

    The loss of a hidden label is exactly zero, and so is its gradient.

    Args:
        outputs: every answer of the layout.
        labels: of every step, hidden ones included.
        mask: which labels may be seen.
        average: over all revealed labels alike, `labels`; or of each step by itself, and then
            over the steps that have any, `steps`: a step that is seldom told weighs as much.
    """
    total = labels.new_zeros(())
    for kind, numbers, output in answered(outputs, steps, layout):
        seen = mask[:, numbers]
        losses = kind.loss(output, torch.where(seen, labels[:, numbers], 0.0))
        revealed = torch.where(seen, losses, 0.0)
        if average == "labels":
            total = total + revealed.sum()
        else:
            total = total + (revealed.sum(0) / seen.sum(0).clamp(min=1)).sum()
    told = mask if average == "labels" else mask.any(0)
    return total / told.sum().clamp(min=1)
