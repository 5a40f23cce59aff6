"""One compact transformer with learned positions: GPT-2's or BERT's, by its `Architecture`.

Legend of shape letters: r rows (one per position that is computed), w width, b batch,
p positions, h heads, q rows of which attention asks (all, or those that are read).

Linear maps, norms and the MLP act on each position by itself, so a block sees a plain matrix of
rows; only attention knows how the rows make up sequences. That is what lets a beginning that
many examples share be computed once: it is simply a row that is there once.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from waymarks.formats import Inputs, Layout, PrefixedVectors, Tokens, Vectors
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


SHORT = 48
"""Up to how many positions the scores of a sequence are best written out on a CPU."""


def _short_attention(
    queries: Float[Tensor, "b h q head"],
    keys: Float[Tensor, "b h p head"],
    values: Float[Tensor, "b h p head"],
) -> Float[Tensor, "b h q head"]:
    """`scaled_dot_product_attention` as two products, at two thirds of its time where sequences
    are short."""
    scores = queries @ (keys * keys.shape[-1] ** -0.5).transpose(2, 3)
    mixed: Tensor = scores.softmax(-1).to(values.dtype) @ values
    return mixed


@runtime_checkable
class Mixing(Protocol):
    """How rows make up sequences, which is all that attention needs to know."""

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor: ...


@dataclass(frozen=True)
class WholeSequences:
    """Attention where rows are [batch * positions], each example with all its own.

    Attributes:
        positions: how long a sequence is.
        causal: whether a position sees only itself and those before it.
    """

    positions: int
    causal: bool = True

    def __call__(
        self,
        queries: Float[Tensor, "q w"],
        keys: Float[Tensor, "r w"],
        values: Float[Tensor, "r w"],
        heads: int,
    ) -> Float[Tensor, "q w"]:
        width = queries.shape[1]
        batch = keys.shape[0] // self.positions

        def split(rows: Tensor) -> Tensor:
            return rows.view(batch, -1, heads, width // heads).transpose(1, 2)

        apart = split(queries), split(keys), split(values)
        if self.causal or self.positions > SHORT or queries.device.type != "cpu":
            mixed = F.scaled_dot_product_attention(*apart, is_causal=self.causal)
        else:
            mixed = _short_attention(*apart)
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


@dataclass(frozen=True)
class Architecture:
    """What tells one transformer from another.

    Attributes:
        width: of the stream, a multiple of `heads`.
        depth: how many blocks a position goes through.
        heads: of attention, in each block.
        causal: whether a position sees only itself and those before it.
        pre_norm: whether a block reads the stream through a norm (and a last norm stands before
            the read-out), or norms the stream after each addition (and before the first block).
        gelu: GPT-2's approximation by a tanh, or BERT's exact one.
        epsilon: of the norms.
        shared: whether all blocks have the same weights.
        spread: standard deviation of the weights at the start.
        scaled: whether maps that write into the stream are initialised smaller, as GPT-2's.
    """

    width: int
    depth: int
    heads: int
    causal: bool
    pre_norm: bool
    gelu: Literal["tanh", "exact"]
    epsilon: float
    shared: bool = False
    spread: float = 0.02
    scaled: bool = False


class Block(nn.Module):
    """Attention and an MLP, each added to the stream, with a norm before or after each."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width, epsilon = architecture.width, architecture.epsilon
        self.heads = architecture.heads
        self.pre_norm = architecture.pre_norm
        self.activation = gelu if architecture.gelu == "tanh" else F.gelu
        self.attention_norm = nn.LayerNorm(width, epsilon)
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, epsilon)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = nn.Linear(4 * width, width)

    def forward(
        self,
        stream: Float[Tensor, "r w"],
        mixing: Mixing,
        wanted: Int[Tensor, " q"] | None = None,
    ) -> Float[Tensor, "q w"]:
        """The stream after the block, of the `wanted` rows alone where they are given."""
        seen = self.attention_norm(stream) if self.pre_norm else stream
        if wanted is None:
            queries, keys, values = self.attention_in(seen).chunk(3, dim=1)
        else:
            width = stream.shape[1]
            weight, bias = self.attention_in.weight, self.attention_in.bias
            keys, values = F.linear(seen, weight[width:], bias[width:]).chunk(2, dim=1)
            queries = F.linear(seen[wanted], weight[:width], bias[:width])
            stream = stream[wanted]
        attended = stream + self.attention_out(mixing(queries, keys, values, self.heads))
        if self.pre_norm:
            after: Tensor = attended + self._mlp(self.mlp_norm(attended))
        else:
            attended = self.attention_norm(attended)
            after = self.mlp_norm(attended + self._mlp(attended))
        return after

    def _mlp(self, rows: Float[Tensor, "q w"]) -> Float[Tensor, "q w"]:
        out: Tensor = self.mlp_out(self.activation(self.mlp_in(rows)))
        return out


class Transformer(Network):
    """Reads vectors through a linear map, or tokens, and answers where the layout says.

    Args:
        layout: what is read and put out.
        architecture: of the blocks.
    """

    def __init__(self, layout: Layout, architecture: Architecture) -> None:
        super().__init__()
        self.layout, self.architecture = layout, architecture
        width, epsilon = architecture.width, architecture.epsilon
        if layout.tokens:
            self.embedding = nn.Embedding(layout.features, width)
        else:
            self.read_in = nn.Linear(layout.features, width)
        self.positions = nn.Parameter(torch.empty(layout.positions, width))
        if not architecture.pre_norm:
            self.first_norm = nn.LayerNorm(width, epsilon)
        different = 1 if architecture.shared else architecture.depth
        self.blocks = nn.ModuleList(Block(architecture) for _ in range(different))
        if architecture.pre_norm:
            self.final_norm = nn.LayerNorm(width, epsilon)
        self.readout = nn.Linear(width, layout.answers_per_read * layout.outputs)

    @property
    def layers(self) -> list[Block]:
        """The blocks in the order in which a row goes through them; all the same if shared."""
        different = [cast(Block, block) for block in self.blocks]
        return different * self.architecture.depth if self.architecture.shared else different

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """N(0, spread^2), biases 0, norms the identity, as GPT-2 and BERT are; where `scaled`, the
        maps that write into the stream smaller by the square root of their number, 2 * depth
        (Radford et al. 2019, section 2.3)."""
        smaller = math.sqrt(2 * self.architecture.depth) if self.architecture.scaled else 1.0
        for name, parameter in self.named_parameters():
            if "norm" in name:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                writes_into_stream = name.endswith(("attention_out.weight", "mlp_out.weight"))
                scale = smaller if writes_into_stream else 1.0
                parameter.normal_(std=self.architecture.spread / scale, generator=generator)

    def forward(self, inputs: Inputs) -> Float[Tensor, "b answers outputs"]:
        if isinstance(inputs, PrefixedVectors):
            read = self._second_with_shared_beginnings(inputs)
        else:
            read = self._read_rows(inputs)
        if self.architecture.pre_norm:
            read = self.final_norm(read)
        answers: Tensor = self.readout(read)
        return answers.view(-1, self.layout.answers, self.layout.outputs)

    def _read_rows(self, inputs: Vectors | Tokens) -> Float[Tensor, "q w"]:
        """The rows at the positions that are read, after all blocks.

        Where every position sees all others, the last block computes no other rows.
        """
        if isinstance(inputs, Tokens):
            embedded = self.embedding(inputs.tokens) + self.positions
            read_at = inputs.read_at
        else:
            embedded = self.read_in(inputs.vectors) + self.positions
            read_at = torch.full_like(embedded[:, :1, 0], embedded.shape[1] - 1, dtype=torch.int64)
        batch, positions, width = embedded.shape
        starts = torch.arange(0, batch * positions, positions, device=embedded.device)
        wanted = (starts[:, None] + read_at).flatten()
        rows = embedded.view(batch * positions, width)
        causal = self.architecture.causal
        if causal:
            return self.stream(rows, WholeSequences(positions))[wanted]
        return self.stream(rows, WholeSequences(positions, causal), wanted)

    def _second_with_shared_beginnings(self, inputs: PrefixedVectors) -> Float[Tensor, "b w"]:
        choices = inputs.beginnings.shape[0]
        if not self.architecture.causal:
            return self._read_rows(inputs.written_out())
        firsts = self.read_in(inputs.beginnings) + self.positions[0]
        seconds = self.read_in(inputs.rest) + self.positions[1]
        one_hot = F.one_hot(inputs.choice, choices).to(seconds.dtype)
        return self.stream(torch.cat([firsts, seconds]), SharedBeginnings(one_hot))[choices:]

    def stream(
        self,
        rows: Float[Tensor, "r w"],
        mixing: Mixing,
        wanted: Int[Tensor, " q"] | None = None,
    ) -> Float[Tensor, "q w"]:
        """The rows after all blocks, or the `wanted` ones, before the final norm."""
        if not self.architecture.pre_norm:
            rows = self.first_norm(rows)
        *earlier, last = self.layers
        for block in earlier:
            rows = block(rows, mixing)
        after: Tensor = last(rows, mixing, wanted)
        return after

    def flops_per_example(self) -> int:
        """What is shared between examples costs nothing more, and where every position sees all
        others a row that nobody reads nothing in the last block. Of vectors in the two positions
        of a `PrefixedVectors`, a causal attention's own products are left out: they are one in a
        thousand."""
        layout, width, depth = self.layout, self.architecture.width, self.architecture.depth
        causal, positions = self.architecture.causal, layout.positions
        head = layout.answers * layout.outputs * width
        read_in = 0 if layout.tokens else layout.features * width
        if causal and not layout.tokens:
            return 2 * (read_in + 12 * depth * width**2 + head)
        asked = positions if causal else layout.reads
        maps = 12 * (depth - 1) * positions + 2 * positions + 10 * asked
        attention = 2 * positions * ((depth - 1) * positions + asked)
        return 2 * (positions * read_in + maps * width**2 + attention * width + head)
