"""GPT-2, of any size."""

from typing import Annotated

import torch
from pydantic import Field, model_validator

from waymarks.formats import Layout
from waymarks.models.base import Model
from waymarks.models.transformer import Transformer

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
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) is not a multiple of heads ({self.heads})")
        return self

    def build(self, layout: Layout, generator: torch.Generator) -> Transformer:
        network = Transformer(layout, self.width, self.depth, self.heads)
        network.initialise(generator)
        return network
