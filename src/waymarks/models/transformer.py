"""One compact transformer, in the shape of GPT-2: causal, pre-norm, learned positions.

Legend of shape letters: r rows (one per position that is computed), w width, b batch,
p positions, h heads.

Linear maps, norms and the MLP act on each position by itself, so a block sees a plain matrix of
rows; only attention knows how the rows make up sequences. That is what lets a beginning that
many examples share be computed once: it is simply a row that is there once.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from waymarks.formats import Inputs, Layout, PrefixedVectors
from waymarks.models.base import Network

GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715 * GELU_SLOPE


class _GeluTanh(torch.autograd.Function):
    """`gelu(x, approximate="tanh")` as x * sigmoid(SLOPE x + CUBIC x^3), which is the same
    function; outside `torch.compile`, a sigmoid costs a third of a tanh on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gate = (x * x).mul_(GELU_CUBIC).add_(GELU_SLOPE).mul_(x).sigmoid_()
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        x, gate = ctx.saved_tensors
        slope = (x * x).mul_(3 * GELU_CUBIC).add_(GELU_SLOPE).mul_(x)
        gradient: Tensor = slope.mul_(1 - gate).add_(1).mul_(gate).mul_(upstream[0])
        return gradient


def gelu(x: Float[Tensor, "r hidden"]) -> Float[Tensor, "r hidden"]:
    """GPT-2's activation: `torch.nn.functional.gelu(x, approximate="tanh")`."""
    if torch.compiler.is_compiling():
        return x * torch.sigmoid(x * (GELU_SLOPE + GELU_CUBIC * x * x))
    activated: Tensor = _GeluTanh.apply(x)  # type: ignore[no-untyped-call]
    return activated


@runtime_checkable
class Mixing(Protocol):
    """How rows make up sequences, which is all that attention needs to know."""

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor: ...


@dataclass(frozen=True)
class WholeSequences:
    """Causal attention where rows are [batch * positions], each example with all its own."""

    positions: int

    def __call__(
        self,
        queries: Float[Tensor, "r w"],
        keys: Float[Tensor, "r w"],
        values: Float[Tensor, "r w"],
        heads: int,
    ) -> Float[Tensor, "r w"]:
        width = queries.shape[1]

        def split(rows: Tensor) -> Tensor:
            return rows.view(-1, self.positions, heads, width // heads).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(
            split(queries), split(keys), split(values), is_causal=True
        )
        return mixed.transpose(1, 2).reshape(-1, width)


@dataclass(frozen=True)
class SharedBeginnings:
    """Causal attention over sequences of two whose first position takes few values.

    The first rows are those values, once each; then comes one row per example. A beginning sees
    itself alone. An example's second position sees two keys, its beginning's and its own, and a
    softmax over two scores is a sigmoid of their difference.

    Attributes:
        one_hot: [batch, choices], which beginning each example has. Multiplying by it gathers a
            beginning's keys, and its transpose adds up their gradients.
    """

    one_hot: Float[Tensor, "b choices"]

    def __call__(
        self,
        queries: Float[Tensor, "r w"],
        keys: Float[Tensor, "r w"],
        values: Float[Tensor, "r w"],
        heads: int,
    ) -> Float[Tensor, "r w"]:
        batch, choices = self.one_hot.shape
        width = queries.shape[1]
        head_width = width // heads
        first_key, first_value = (self.one_hot @ rows[:choices] for rows in (keys, values))
        difference = queries[choices:] * (keys[choices:] - first_key)
        scores = difference.view(batch, heads, head_width).sum(2, keepdim=True)
        own_weight = torch.sigmoid(scores / math.sqrt(head_width))
        step_aside = (values[choices:] - first_value).view(batch, heads, head_width)
        mixed = first_value + (own_weight * step_aside).view(batch, width)
        return torch.cat([values[:choices], mixed])


class Block(nn.Module):
    """Attention and an MLP, each added to the stream, each reading it through a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = nn.Linear(4 * width, width)

    def forward(self, stream: Float[Tensor, "r w"], mixing: Mixing) -> Float[Tensor, "r w"]:
        queries, keys, values = self.attention_in(self.attention_norm(stream)).chunk(3, dim=1)
        stream = stream + self.attention_out(mixing(queries, keys, values, self.heads))
        after: Tensor = stream + self.mlp_out(gelu(self.mlp_in(self.mlp_norm(stream))))
        return after


class Transformer(Network):
    """Reads vectors through a linear map, and answers at the last position.

    Args:
        layout: what is read and put out.
        width: of the stream, a multiple of `heads`.
        depth: how many blocks.
        heads: of attention, in each block.
    """

    def __init__(self, layout: Layout, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.layout = layout
        self.width, self.depth = width, depth
        self.read_in = nn.Linear(layout.features, width)
        self.positions = nn.Parameter(torch.empty(layout.positions, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_norm = nn.LayerNorm(width)
        self.readouts = nn.ModuleList(nn.Linear(width, size) for size in layout.outputs)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """As GPT-2 is: N(0, 0.02^2), biases 0, and the maps that write into the stream scaled
        down by the square root of their number, 2 * depth (Radford et al. 2019, section 2.3)."""
        for name, parameter in self.named_parameters():
            if "norm" in name:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                writes_into_stream = name.endswith(("attention_out.weight", "mlp_out.weight"))
                scale = math.sqrt(2 * self.depth) if writes_into_stream else 1.0
                parameter.normal_(std=0.02 / scale, generator=generator)

    def forward(self, inputs: Inputs) -> list[Float[Tensor, "b _"]]:
        if isinstance(inputs, PrefixedVectors):
            last = self._last_with_shared_beginnings(inputs)
        else:
            batch, positions, _ = inputs.vectors.shape
            embedded = self.read_in(inputs.vectors) + self.positions
            rows = embedded.view(batch * positions, self.width)
            last = self.stream(rows, WholeSequences(positions))[positions - 1 :: positions]
        answer = self.final_norm(last)
        return [readout(answer) for readout in self.readouts]

    def _last_with_shared_beginnings(self, inputs: PrefixedVectors) -> Float[Tensor, "b w"]:
        choices = inputs.beginnings.shape[0]
        firsts = self.read_in(inputs.beginnings) + self.positions[0]
        seconds = self.read_in(inputs.rest) + self.positions[1]
        one_hot = F.one_hot(inputs.choice, choices).to(seconds.dtype)
        return self.stream(torch.cat([firsts, seconds]), SharedBeginnings(one_hot))[choices:]

    def stream(self, rows: Float[Tensor, "r w"], mixing: Mixing) -> Float[Tensor, "r w"]:
        """The rows after all blocks, before the final norm."""
        for block in self.blocks:
            rows = block(rows, mixing)
        return rows

    def flops_per_example(self) -> int:
        """Of one row per example through every linear map: what is shared costs nothing more."""
        weights = self.layout.features * self.width + 12 * self.depth * self.width**2
        return 2 * (weights + sum(size * self.width for size in self.layout.outputs))
