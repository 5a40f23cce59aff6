"""BERT, of any size."""

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator

from waymarks.formats import Layout
from waymarks.models.base import Model, check_heads
from waymarks.models.transformer import Architecture, Transformer

Size = Annotated[int, Field(ge=1, strict=True)]


class BERT(Model):
    """A BERT without dropout (paper, sections B.2 and B.3: BERT-Base, 85M parameters in blocks).

    Attributes:
        width: of the stream, a multiple of `heads`.
        depth: how many blocks a position goes through.
        heads: of attention, in each block.
        norm: `post`, after each addition to the stream, as BERT's are; or `pre`, before each
            block's parts, as GPT-2's.
        shared_layers: whether all blocks have the same weights (Lan et al. 2020).
        initializer_range: standard deviation of the weights at the start. BERT's own suits its
            width, being 0.55 / sqrt(width); a narrow network learns to match names sooner from
            about 1 / sqrt(width).
    """

    width: Size = 768
    depth: Size = 12
    heads: Size = 12
    norm: Literal["post", "pre"] = "post"
    shared_layers: bool = False
    initializer_range: Annotated[float, Field(gt=0)] = 0.02

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "BERT":
        check_heads(self.width, self.heads)
        return self

    @property
    def architecture(self) -> Architecture:
        """Of the transformer that is built."""
        return Architecture(
            self.width,
            self.depth,
            self.heads,
            causal=False,
            pre_norm=self.norm == "pre",
            gelu="exact",
            epsilon=1e-12,
            shared=self.shared_layers,
            spread=self.initializer_range,
        )

    def build(self, layout: Layout, generator: torch.Generator) -> Transformer:
        network = Transformer(layout, self.architecture)
        network.initialise(generator)
        return network
