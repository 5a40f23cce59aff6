"""What a model of an experiment is: a description that builds a torch module."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from waymarks.axes import Axis
from waymarks.formats import Inputs, Layout


class Network(nn.Module):
    """A module that reads a format's inputs and puts out every answer of the layout.

    `forward(inputs)` returns [batch, answers, outputs].
    """

    @abstractmethod
    def forward(self, inputs: Inputs) -> Tensor: ...

    @abstractmethod
    def flops_per_example(self) -> int:
        """The floating-point operations of the matrix products of one forward pass over one
        example: those that are needed, a multiplication and an addition counted as two. A
        training update needs three times as many (forward, and two products backward)."""


class Model(Axis):
    """Who learns: frozen data from which a network is built."""

    def check(self, layout: Layout) -> None:
        """Whether it can read this layout.

        Raises:
            UserError: it cannot; says what can.
        """

    @abstractmethod
    def build(self, layout: Layout, generator: torch.Generator) -> Network:
        """Builds and initialises the network, on the CPU, from `generator` alone."""


def check_heads(width: int, heads: int) -> None:
    """Refuses heads that cannot share a width.

    Raises:
        ValueError: the width is not a multiple of the heads.
    """
    if width % heads:
        raise ValueError(f"width ({width}) is not a multiple of heads ({heads})")
