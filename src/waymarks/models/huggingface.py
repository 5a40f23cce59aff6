"""Weights to and from the same function in `transformers`: `GPT2Model` and `BertModel`.

Both have the positions, the blocks and the norms of a `Transformer`, and an embedding of tokens;
the linear maps that read vectors in and answers out have no place in them. Of vectors, with
`inputs_embeds=network.read_in(vectors)`, and of tokens, with `input_ids=tokens`, the rows of the
`last_hidden_state` at the positions that are read are what `network.readout` reads.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from waymarks.errors import UserError
from waymarks.formats import Layout
from waymarks.models.transformer import Architecture, Block, Transformer

if TYPE_CHECKING:
    import transformers

READ_IN_AND_OUT = "read_in_and_out.safetensors"
"""The file beside an exported network that holds what `transformers` has no place for."""

Pairs = Iterator[tuple[Tensor, Tensor]]
"""Each parameter, or part of one, beside a view of its counterpart that has the same shape."""


def to_transformers(network: Transformer) -> "transformers.PreTrainedModel":
    """A `GPT2Model` or a `BertModel` with the weights of `network`, copied, on the CPU.

    Layers that are shared become layers that are equal. Where `network` reads vectors, the one
    token of the model's vocabulary is unused.

    Raises:
        UserError: `transformers` is not installed, or has no model that is the same function.
    """
    counterpart = _counterpart_of(network.architecture)
    model = counterpart.build(network)
    with torch.no_grad():
        counterpart.clear(model)
        for ours, theirs in counterpart.pairs(network, model):
            theirs.copy_(ours)
    return model


def load_transformers(network: Transformer, model: "transformers.PreTrainedModel") -> None:
    """Replaces the embedding, positions, blocks and norms of `network` by those of `model`.

    The maps that read vectors in and answers out stay. A `model` for longer sequences gives its
    first positions.

    Args:
        network: of any layout.
        model: a `GPT2Model` or a `BertModel`, whichever has the architecture of `network`.

    Raises:
        UserError: it has another shape, computes another function, or has layers that differ
            where those of `network` are shared; `network` is then unchanged.
    """
    counterpart = _counterpart_of(network.architecture)
    counterpart.check(network, model)
    with torch.no_grad():
        counterpart.load(network, model)


def save_pretrained(network: Transformer, folder: Path) -> None:
    """Writes a folder that `GPT2Model.from_pretrained` or `BertModel.from_pretrained` opens; the
    architecture and the maps that read in and out are beside it.

    Raises:
        UserError: `transformers` is not installed or has no model that is the same function, or
            the folder cannot be written.
    """
    model = to_transformers(network)
    beside = {name: tensor.cpu() for name, tensor in _read_in_and_out(network).items()}
    architecture = {"architecture": json.dumps(asdict(network.architecture))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        save_file(beside, folder / READ_IN_AND_OUT, architecture)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write to {folder}: {error}") from error


def load_pretrained(folder: Path, layout: Layout) -> Transformer:
    """The network that `save_pretrained` wrote.

    Raises:
        UserError: `transformers` is not installed, the folder is not such a one, or its network
            reads another layout.
    """
    _transformers()
    if not (folder / READ_IN_AND_OUT).is_file():
        raise UserError(f"{folder} has no {READ_IN_AND_OUT}: save_pretrained did not write it")
    try:
        with safe_open(folder / READ_IN_AND_OUT, framework="pt") as file:
            architecture = Architecture(**json.loads(file.metadata()["architecture"]))
            beside = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = _counterpart_of(architecture).open(folder)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder} holds no whole network: {error}") from error
    network = Transformer(layout, architecture)
    load_transformers(network, model)
    wanted = _read_in_and_out(network)
    shapes = {name: tuple(tensor.shape) for name, tensor in beside.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
        raise UserError(f"{folder} is of another layout: its read-in and read-out are {shapes}")
    for name, tensor in wanted.items():
        tensor.copy_(beside[name])
    return network


class _Counterpart(ABC):
    """A model of `transformers`, and where in it the parameters of a `Transformer` are.

    Attributes:
        name: what people call it.
        length: the name of its setting for how long a sequence can be.
    """

    name: str
    length: str

    @abstractmethod
    def computes(self, architecture: Architecture) -> bool:
        """Whether it is the same function."""

    @abstractmethod
    def settings(self, network: Transformer) -> dict[str, Any]:
        """Those of its configuration that make it compute what `network` does."""

    @abstractmethod
    def build(self, network: Transformer) -> Any:
        """One that computes what `network` does, but for the weights."""

    @abstractmethod
    def open(self, folder: Path) -> Any:
        """The one in a folder."""

    @abstractmethod
    def embedding(self, model: Any) -> Tensor:
        """[tokens, width]"""

    @abstractmethod
    def around(self, network: Transformer, model: Any) -> Pairs:
        """The positions, and the norm that stands before or after the blocks."""

    @abstractmethod
    def layers(self, model: Any) -> Any:
        """What the blocks are there."""

    @abstractmethod
    def inside(self, block: Block, layer: Any) -> Pairs:
        """The parameters of a block."""

    def clear(self, model: Any) -> None:
        """Zeroes what `pairs` does not reach."""
        self.embedding(model).zero_()

    def pairs(self, network: Transformer, model: Any) -> Pairs:
        """All that both have."""
        if network.layout.tokens:
            yield network.embedding.weight, self.embedding(model)
        yield from self.around(network, model)
        for block, layer in zip(network.layers, self.layers(model), strict=True):
            yield from self.inside(block, layer)

    def load(self, network: Transformer, model: Any) -> None:
        """Copies what both have."""
        for ours, theirs in self.pairs(network, model):
            ours.copy_(theirs)

    def check(self, network: Transformer, model: Any) -> None:
        """Refuses a model that is not of the network's shape.

        Raises:
            UserError: it is not.
        """
        needed = self.settings(network)
        if not network.layout.tokens:
            del needed["vocab_size"]
        for name, value in needed.items():
            found = getattr(model.config, name, "nothing")
            fits = found == value
            if name == self.length:
                fits = found != "nothing" and found >= value
            if not fits:
                raise UserError(f"this {self.name} has {name}={found}, the network needs {value}")
        if network.architecture.shared:
            self._check_equal_layers(network, model)

    def _check_equal_layers(self, network: Transformer, model: Any) -> None:
        block = network.layers[0]
        first, *others = (
            [theirs for _, theirs in self.inside(block, layer)] for layer in self.layers(model)
        )
        for number, layer in enumerate(others, start=2):
            if not all(map(torch.equal, first, layer)):
                raise UserError(
                    f"the network's layers are shared, and layer {number} of this {self.name} "
                    f"differs from the first"
                )


class _GPT2(_Counterpart):
    name = "GPT-2"
    length = "n_positions"

    def computes(self, architecture: Architecture) -> bool:
        return architecture.causal and architecture.pre_norm and architecture.gelu == "tanh"

    def settings(self, network: Transformer) -> dict[str, Any]:
        architecture, layout = network.architecture, network.layout
        return {
            "n_embd": architecture.width,
            "n_layer": architecture.depth,
            "n_head": architecture.heads,
            "n_positions": layout.positions,
            "n_inner": None,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": architecture.epsilon,
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "vocab_size": layout.features if layout.tokens else 1,
        }

    def build(self, network: Transformer) -> Any:
        no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        no_special_tokens = {"bos_token_id": None, "eos_token_id": None}
        library = _transformers()
        config = library.GPT2Config(**self.settings(network), **no_dropout, **no_special_tokens)
        return library.GPT2Model(config)

    def open(self, folder: Path) -> Any:
        model = _transformers().GPT2Model
        return model.from_pretrained(folder, local_files_only=True, use_safetensors=True)

    def embedding(self, model: Any) -> Tensor:
        weight: Tensor = model.wte.weight
        return weight

    def around(self, network: Transformer, model: Any) -> Pairs:
        yield network.positions, model.wpe.weight[: network.layout.positions]
        yield from _both(network.final_norm, model.ln_f)

    def layers(self, model: Any) -> Any:
        return model.h

    def inside(self, block: Block, layer: Any) -> Pairs:
        yield from _both(block.attention_norm, layer.ln_1)
        yield from _both(block.mlp_norm, layer.ln_2)
        for ours, theirs in (
            (block.attention_in, layer.attn.c_attn),
            (block.attention_out, layer.attn.c_proj),
            (block.mlp_in, layer.mlp.c_fc),
            (block.mlp_out, layer.mlp.c_proj),
        ):
            yield ours.weight, theirs.weight.t()  # theirs are [in, out]
            yield ours.bias, theirs.bias


class _BERT(_Counterpart):
    name = "BERT"
    length = "max_position_embeddings"

    def computes(self, architecture: Architecture) -> bool:
        bidirectional_and_post_norm = not (architecture.causal or architecture.pre_norm)
        return bidirectional_and_post_norm and architecture.gelu == "exact"

    def settings(self, network: Transformer) -> dict[str, Any]:
        architecture, layout = network.architecture, network.layout
        return {
            "hidden_size": architecture.width,
            "num_hidden_layers": architecture.depth,
            "num_attention_heads": architecture.heads,
            "max_position_embeddings": layout.positions,
            "intermediate_size": 4 * architecture.width,
            "hidden_act": "gelu",
            "layer_norm_eps": architecture.epsilon,
            "is_decoder": False,
            "vocab_size": layout.features if layout.tokens else 1,
        }

    def build(self, network: Transformer) -> Any:
        no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        library = _transformers()
        # a padding token would have no gradient
        config = library.BertConfig(**self.settings(network), **no_dropout, pad_token_id=None)
        return library.BertModel(config, add_pooling_layer=False)

    def open(self, folder: Path) -> Any:
        return _transformers().BertModel.from_pretrained(
            folder, add_pooling_layer=False, local_files_only=True, use_safetensors=True
        )

    def embedding(self, model: Any) -> Tensor:
        weight: Tensor = model.embeddings.word_embeddings.weight
        return weight

    def around(self, network: Transformer, model: Any) -> Pairs:
        positions = model.embeddings.position_embeddings.weight
        yield network.positions, positions[: network.layout.positions]
        yield from _both(network.first_norm, model.embeddings.LayerNorm)

    def layers(self, model: Any) -> Any:
        return model.encoder.layer

    def inside(self, block: Block, layer: Any) -> Pairs:
        attention = layer.attention
        apart = (attention.self.query, attention.self.key, attention.self.value)
        together = block.attention_in
        yield from zip(together.weight.chunk(3), (map_.weight for map_ in apart), strict=True)
        yield from zip(together.bias.chunk(3), (map_.bias for map_ in apart), strict=True)
        for ours, theirs in (
            (block.attention_out, attention.output.dense),
            (block.attention_norm, attention.output.LayerNorm),
            (block.mlp_in, layer.intermediate.dense),
            (block.mlp_out, layer.output.dense),
            (block.mlp_norm, layer.output.LayerNorm),
        ):
            yield from _both(ours, theirs)

    def load(self, network: Transformer, model: Any) -> None:
        super().load(network, model)
        network.positions.add_(model.embeddings.token_type_embeddings.weight[0])

    def clear(self, model: Any) -> None:
        super().clear(model)
        model.embeddings.token_type_embeddings.weight.zero_()


_COUNTERPARTS: tuple[_Counterpart, ...] = (_GPT2(), _BERT())


def _counterpart_of(architecture: Architecture) -> _Counterpart:
    for counterpart in _COUNTERPARTS:
        if counterpart.computes(architecture):
            return counterpart
    direction = "causal" if architecture.causal else "bidirectional"
    norm = "pre" if architecture.pre_norm else "post"
    raise UserError(
        f"transformers has no counterpart of a {direction} network with norm={norm!r} and a "
        f"{architecture.gelu} gelu: only of GPT2, and of BERT with norm='post'"
    )


def _both(ours: Any, theirs: Any) -> Pairs:
    yield ours.weight, theirs.weight
    yield ours.bias, theirs.bias


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            "exchanging weights with Hugging Face needs transformers: "
            "pip install waymarks[transformers]"
        ) from error
    return transformers


def _read_in_and_out(network: Transformer) -> dict[str, Tensor]:
    return {
        name: parameter.detach()
        for name, parameter in network.named_parameters()
        if name.startswith(("read_in.", "readout."))
    }
