"""Weights to and from `transformers.GPT2Model`, the same function in another library.

`GPT2Model` has the positions, the blocks and the final norm of a `Transformer`; the linear maps
before and after them have no place in it. With `inputs_embeds=network.read_in(vectors)`, the
`last_hidden_state` at the last position is what the read-outs of the `Transformer` read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from waymarks.errors import UserError
from waymarks.formats import Layout
from waymarks.models.transformer import Block, Transformer

if TYPE_CHECKING:
    import transformers

READ_IN_AND_OUT = "read_in_and_out.safetensors"
"""The file beside an exported GPT-2 that holds what `GPT2Model` has no place for."""


def to_gpt2(network: Transformer) -> "transformers.GPT2Model":
    """A `GPT2Model` with the weights of `network`, copied, on the CPU; its one token is unused.

    Raises:
        UserError: `transformers` is not installed.
    """
    library = _transformers()
    no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    no_words = {"vocab_size": 1, "bos_token_id": None, "eos_token_id": None}
    config = library.GPT2Config(**_settings(network), **no_dropout, **no_words)
    gpt2: transformers.GPT2Model = library.GPT2Model(config)
    with torch.no_grad():
        gpt2.wte.weight.zero_()
        for ours, theirs in _pairs(network, gpt2):
            theirs.copy_(ours)
    return gpt2


def load_gpt2(network: Transformer, gpt2: "transformers.GPT2Model") -> None:
    """Replaces the positions, blocks and final norm of `network` by those of `gpt2`.

    The read-in and the read-outs stay. A `gpt2` for longer sequences gives its first positions.

    Raises:
        UserError: it has another shape, or computes another function.
    """
    for name, needed in _settings(network).items():
        found = getattr(gpt2.config, name)
        fits = found >= needed if name == "n_positions" else found == needed
        if not fits:
            raise UserError(f"this GPT-2 has {name}={found}, the network needs {needed}")
    with torch.no_grad():
        for ours, theirs in _pairs(network, gpt2):
            ours.copy_(theirs)


def save_pretrained(network: Transformer, folder: Path) -> None:
    """Writes a folder that `GPT2Model.from_pretrained` opens, the read-in and read-outs beside.

    Raises:
        UserError: `transformers` is not installed, or the folder cannot be written.
    """
    gpt2 = to_gpt2(network)
    beside = {name: tensor.cpu() for name, tensor in _read_in_and_out(network).items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        gpt2.save_pretrained(folder)
        save_file(beside, folder / READ_IN_AND_OUT)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write to {folder}: {error}") from error


def load_pretrained(folder: Path, layout: Layout) -> Transformer:
    """The network that `save_pretrained` wrote.

    Raises:
        UserError: `transformers` is not installed, the folder is not such a one, or its network
            reads another layout.
    """
    library = _transformers()
    if not (folder / READ_IN_AND_OUT).is_file():
        raise UserError(f"{folder} has no {READ_IN_AND_OUT}: save_pretrained did not write it")
    try:
        gpt2 = library.GPT2Model.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
        beside = load_file(folder / READ_IN_AND_OUT)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder} holds no whole GPT-2: {error}") from error
    config = gpt2.config
    network = Transformer(layout, config.n_embd, config.n_layer, config.n_head)
    load_gpt2(network, gpt2)
    wanted = _read_in_and_out(network)
    shapes = {name: tuple(tensor.shape) for name, tensor in beside.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
        raise UserError(f"{folder} is of another layout: its read-in and read-outs are {shapes}")
    for name, tensor in wanted.items():
        tensor.copy_(beside[name])
    return network


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            "exchanging weights with Hugging Face needs transformers: "
            "pip install waymarks[transformers]"
        ) from error
    return transformers


def _settings(network: Transformer) -> dict[str, Any]:
    """Those of a `GPT2Config` that make it compute what `network` does."""
    return {
        "n_embd": network.width,
        "n_layer": network.depth,
        "n_head": cast(Block, network.blocks[0]).heads,
        "n_positions": network.layout.positions,
        "n_inner": None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": network.final_norm.eps,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
    }


def _pairs(network: Transformer, gpt2: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Each parameter beside a view of its counterpart that has the same shape."""
    yield network.positions, gpt2.wpe.weight[: network.layout.positions]
    modules: list[tuple[Any, Any]] = [(network.final_norm, gpt2.ln_f)]
    for module, layer in zip(network.blocks, gpt2.h, strict=True):
        block = cast(Block, module)
        modules += [
            (block.attention_norm, layer.ln_1),
            (block.attention_in, layer.attn.c_attn),
            (block.attention_out, layer.attn.c_proj),
            (block.mlp_norm, layer.ln_2),
            (block.mlp_in, layer.mlp.c_fc),
            (block.mlp_out, layer.mlp.c_proj),
        ]
    for ours, theirs in modules:
        yield ours.weight, theirs.weight.t()  # theirs are [in, out]; a norm's vector stays
        yield ours.bias, theirs.bias


def _read_in_and_out(network: Transformer) -> dict[str, Tensor]:
    return {
        name: parameter.detach()
        for name, parameter in network.named_parameters()
        if name.startswith(("read_in.", "readouts."))
    }
