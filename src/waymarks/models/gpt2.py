"""GPT-2, of any size."""

from typing import Annotated

import torch
from pydantic import Field, model_validator

from waymarks.errors import UserError
from waymarks.formats import Layout
from waymarks.models.base import Model, check_heads
from waymarks.models.transformer import Architecture, Transformer

Size = Annotated[int, Field(ge=1, strict=True)]


class GPT2(Model):
    """A GPT-2 without dropout (paper, section B.1: width 128, depth 6, 4 heads, 1.2M parameters).

    Attributes:
        width: of the stream, a multiple of `heads`.
        depth: how many blocks.
        heads: of attention, in each block.
    """

    width: Size = 128
    depth: Size = 6
    heads: Size = 4

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "GPT2":
        check_heads(self.width, self.heads)
        return self

    @property
    def architecture(self) -> Architecture:
        """Of the transformer that is built."""
        return Architecture(
            self.width,
            self.depth,
            self.heads,
            causal=True,
            pre_norm=True,
            gelu="tanh",
            epsilon=1e-5,
            scaled=True,
        )

    def check(self, layout: Layout) -> None:
        if layout.read_first:
            raise UserError(
                "model GPT2 looks back only, and the format is read before the problem is "
                "written; use BERT, or TokenClassification"
            )

    def build(self, layout: Layout, generator: torch.Generator) -> Transformer:
        network = Transformer(layout, self.architecture)
        network.initialise(generator)
        return network
