"""The compact transformer is BERT too: the same function, the same gradients, the same weights."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from tests.builders import built, tokens_layout_of, tokens_of
from tests.comparing import assert_all_close, assert_close, gradients, gradients_inside
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from waymarks.errors import UserError
from waymarks.formats import Layout, PrefixedVectors, Tokens
from waymarks.models import BERT
from waymarks.models.huggingface import (
    load_pretrained,
    load_transformers,
    save_pretrained,
    to_transformers,
)
from waymarks.models.transformer import SHORT, Block, Transformer, WholeSequences

SIZES = [(32, 1, 1, 4), (32, 2, 4, 9), (48, 3, 2, SHORT + 2), (64, 6, 4, 18)]
"""Width, depth, heads, positions: attention is computed in two ways, by how many there are."""

TINY = BERT(width=32, depth=2, heads=4)
PLACES = {"at any positions": (3, 1), "at the first": (1, 3)}
"""How many positions are read, and how many answers at each."""


def bert_of(
    model: BERT = TINY, positions: int = 9, reads: int = 3, per_read: int = 1
) -> Transformer:
    layout = tokens_layout_of(positions, reads=reads, per_read=per_read)
    return built(model, layout, spread=0.1)


def rows_of(network: Transformer, states: Tensor, inputs: Tokens) -> Tensor:
    """What the network answers from a stream over all positions, [batch, positions, width]."""
    read = states[torch.arange(len(states))[:, None], inputs.read_at]
    layout = network.layout
    return network.readout(read).view(-1, layout.answers, layout.outputs)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("width", "depth", "heads", "positions"), SIZES)
def test_outputs_and_gradients_equal_those_of_hugging_face(
    width: int, depth: int, heads: int, positions: int, place: str
) -> None:
    network = bert_of(BERT(width=width, depth=depth, heads=heads), positions, *PLACES[place])
    bert = to_transformers(network)
    inputs = tokens_of(network, start=place == "at the first")

    ours = network(inputs)
    of_ours = gradients(network, ours)
    theirs = rows_of(network, bert(input_ids=inputs.tokens).last_hidden_state, inputs)
    of_theirs = gradients(network, theirs) | gradients_inside(bert, network)

    assert_close(ours, theirs)
    assert_all_close(of_ours, of_theirs)
    assert all(gradient.count_nonzero() for gradient in of_ours.values())


def test_of_vectors_too_it_is_the_same_function() -> None:
    layout = Layout(positions=2, features=5, outputs=1, answer_of_step=(0, 0))
    network = built(TINY, layout, spread=0.1)
    inputs = PrefixedVectors(torch.eye(2, 5), torch.tensor([0, 1, 1]), torch.randn(3, 5))
    read = network.read_in(inputs.written_out().vectors)
    last = to_transformers(network)(inputs_embeds=read).last_hidden_state[:, -1:]
    assert_close(network(inputs), network.readout(last))


def every_row(network: Transformer, inputs: Tokens) -> Tensor:
    """The network's answers, from a stream of which all rows are computed in every block."""
    embedded = network.embedding(inputs.tokens) + network.positions
    states = network.stream(embedded.flatten(0, 1), WholeSequences(embedded.shape[1], causal=False))
    if network.architecture.pre_norm:
        states = network.final_norm(states)
    return rows_of(network, states.view(embedded.shape), inputs)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("place", PLACES)
def test_skipping_rows_that_nobody_reads_changes_the_cost_and_not_the_function(
    norm: str, place: str
) -> None:
    model = TINY.model_copy(update={"norm": norm})
    network = bert_of(model, 9, *PLACES[place])
    inputs = tokens_of(network, start=place == "at the first")
    skipping, computed = network(inputs), every_row(network, inputs)
    assert_close(skipping, computed)
    assert_all_close(gradients(network, skipping), gradients(network, computed))


def test_the_last_mlp_sees_the_rows_that_are_read_and_the_others_all() -> None:
    network, rows = bert_of(reads=2), []
    for block in network.layers:
        block.mlp_in.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    network(tokens_of(network, batch=5))
    assert rows == [5 * 9, 5 * 2]


def unshared(network: Transformer) -> Transformer:
    """The same function, each layer with weights of its own."""
    model = BERT(
        width=32, depth=3, heads=4, norm="pre" if network.architecture.pre_norm else "post"
    )
    copied = model.build(network.layout, torch.Generator())
    shared_weights = network.state_dict()
    with torch.no_grad():
        for name, parameter in copied.named_parameters():
            for number in range(1, 3):
                name = name.replace(f"blocks.{number}.", "blocks.0.")
            parameter.copy_(shared_weights[name])
    return copied


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_shared_layers_are_equal_layers_of_which_the_gradients_add_up(norm: Any) -> None:
    network = bert_of(BERT(width=32, depth=3, heads=4, norm=norm, shared_layers=True))
    copied, inputs = unshared(network), tokens_of(network)
    ours, theirs = network(inputs), copied(inputs)
    assert_close(ours, theirs)
    summed: dict[str, Tensor] = {}
    for name, gradient in gradients(copied, theirs).items():
        shared = name
        for number in range(1, 3):
            shared = shared.replace(f"blocks.{number}.", "blocks.0.")
        summed[shared] = summed.get(shared, torch.zeros(())) + gradient
    assert_all_close(gradients(network, ours), summed)


def test_shared_layers_are_stored_once() -> None:
    def parameters(shared: bool, depth: int) -> int:
        network = bert_of(BERT(width=32, depth=depth, heads=4, shared_layers=shared))
        return sum(parameter.numel() for parameter in network.parameters())

    assert parameters(True, depth=6) == parameters(True, depth=1) == parameters(False, depth=1)


def written_out(network: Transformer, inputs: Tokens) -> Tensor:
    """A pre-norm encoder as its equations say, an example, a head and a position at a time."""

    def norm(x: Tensor, by: nn.LayerNorm) -> Tensor:
        centred = x - x.mean()
        return centred / (x.var(correction=0) + by.eps).sqrt() * by.weight + by.bias

    def attend(seen: list[Tensor], position: int, block: Block) -> Tensor:
        maps = zip(
            block.attention_in.weight.chunk(3), block.attention_in.bias.chunk(3), strict=True
        )
        query, key, value = ([weight @ x + bias for x in seen] for weight, bias in maps)
        heads = []
        for part in torch.arange(len(seen[0])).chunk(block.heads):
            scores = [query[position][part] @ k[part] / math.sqrt(len(part)) for k in key]
            weights = [score.exp() for score in scores]
            mixed = sum(w * v[part] for w, v in zip(weights, value, strict=True))
            heads.append(mixed / sum(weights))
        return block.attention_out(torch.cat(heads))

    def mlp(x: Tensor, block: Block) -> Tensor:
        hidden = block.mlp_in(x)
        return block.mlp_out(hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2)

    answers = []
    for tokens, read_at in zip(inputs.tokens, inputs.read_at, strict=True):
        stream = [
            network.embedding.weight[token] + position
            for token, position in zip(tokens, network.positions, strict=True)
        ]
        for block in network.layers:
            seen = [norm(x, block.attention_norm) for x in stream]
            stream = [x + attend(seen, place, block) for place, x in enumerate(stream)]
            stream = [x + mlp(norm(x, block.mlp_norm), block) for x in stream]
        answers += [network.readout(norm(stream[place], network.final_norm)) for place in read_at]
    return torch.stack(answers).view(len(inputs.tokens), network.layout.answers, -1)


@pytest.mark.parametrize("place", PLACES)
def test_with_norms_before_it_is_what_is_written_out_here(place: str) -> None:
    network = bert_of(BERT(width=32, depth=2, heads=4, norm="pre"), 5, *PLACES[place])
    inputs = tokens_of(network, batch=2, start=place == "at the first")
    ours, expected = network(inputs), written_out(network, inputs)
    assert_close(ours, expected)
    assert_all_close(gradients(network, ours), gradients(network, expected))


@pytest.mark.parametrize("positions", [9, SHORT + 1])
def test_in_bfloat16_it_is_the_same_function_but_for_rounding(positions: int) -> None:
    network = bert_of(positions=positions)
    inputs = tokens_of(network)
    exact = network(inputs)
    of_exact = gradients(network, exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = network(inputs)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)
    for name, gradient in gradients(network, rounded.float()).items():
        difference = (gradient - of_exact[name]).norm() / of_exact[name].norm()
        assert difference < 0.1 or of_exact[name].norm() < 1e-3, name


def test_flops_are_counted_as_by_hand() -> None:
    """Width 4, two blocks, 3 positions of which one is read, 2 answers of 5 numbers there."""
    layout = tokens_layout_of(3, outputs=5, per_read=2)
    first = 3 * (3 * 4 * 4) + 2 * 3 * 3 * 4 + 3 * (4 * 4) + 3 * (2 * 4 * 16)
    last = (1 + 2 * 3) * (4 * 4) + 2 * 1 * 3 * 4 + 1 * (4 * 4) + 1 * (2 * 4 * 16)
    network = built(BERT(width=4, depth=2, heads=2), layout)
    assert network.flops_per_example() == 2 * (first + last + 4 * 2 * 5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("tokens", [False, True])
def test_flops_are_those_that_torch_counts(shared: bool, tokens: bool) -> None:
    network = bert_of(BERT(width=32, depth=3, heads=4, shared_layers=shared))
    inputs: Any = tokens_of(network, batch=1)
    if not tokens:
        network = built(TINY, Layout(2, 5, 1, (0,)))
        inputs = PrefixedVectors(torch.eye(2, 5), torch.tensor([1]), torch.randn(1, 5))
    with FlopCounterMode(display=False) as counted:
        network(inputs)
    assert network.flops_per_example() == counted.get_total_flops()


def test_bert_base_has_85_million_parameters_in_its_blocks() -> None:
    with torch.device("meta"):
        network = Transformer(tokens_layout_of(36), BERT().architecture)
    count = sum(parameter.numel() for parameter in network.blocks.parameters())
    assert round(count / 1e6) == 85


@pytest.mark.parametrize("shared", [False, True])
def test_an_exported_network_comes_back_bit_for_bit(tmp_path: Path, shared: bool) -> None:
    network = bert_of(BERT(width=32, depth=3, heads=4, shared_layers=shared))
    save_pretrained(network, tmp_path)
    again = load_pretrained(tmp_path, network.layout)
    assert again.architecture == network.architecture
    for (name, parameter), other in zip(
        network.named_parameters(), again.parameters(), strict=True
    ):
        assert torch.equal(parameter, other), name


def test_what_was_trained_here_opens_in_transformers(tmp_path: Path) -> None:
    network = bert_of(BERT(width=32, depth=3, heads=4, shared_layers=True))
    save_pretrained(network, tmp_path)
    opened = transformers.BertModel.from_pretrained(tmp_path, add_pooling_layer=False)
    inputs = tokens_of(network)
    states = opened(input_ids=inputs.tokens).last_hidden_state
    assert_close(rows_of(network, states, inputs), network(inputs))


def test_a_bert_that_tells_segments_apart_keeps_its_function_where_there_is_one() -> None:
    config = transformers.BertConfig(
        vocab_size=7, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=20, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, initializer_range=0.3,
    )  # fmt: skip
    bert = transformers.BertModel(config).eval()
    network = bert_of()
    load_transformers(network, bert)
    inputs = tokens_of(network)
    states = bert(input_ids=inputs.tokens).last_hidden_state
    assert_close(network(inputs), rows_of(network, states, inputs))


def test_layers_that_differ_cannot_be_shared() -> None:
    network = bert_of(BERT(width=32, depth=3, heads=4, shared_layers=True))
    before = copy.deepcopy(network.state_dict())
    bert = to_transformers(network)
    with torch.no_grad():
        bert.encoder.layer[2].output.dense.bias[3] += 1e-3
    with pytest.raises(UserError, match="layer 3 of this BERT differs from the first"):
        load_transformers(network, bert)
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())


@pytest.mark.parametrize(
    ("changed", "what_is_said"),
    [
        ({"hidden_size": 64}, "hidden_size=64, the network needs 32"),
        ({"num_hidden_layers": 3}, "num_hidden_layers=3, the network needs 2"),
        ({"num_attention_heads": 2}, "num_attention_heads=2, the network needs 4"),
        ({"max_position_embeddings": 8}, "max_position_embeddings=8, the network needs 9"),
        ({"vocab_size": 8}, "vocab_size=8, the network needs 7"),
        ({"intermediate_size": 64}, "intermediate_size=64, the network needs 128"),
        ({"hidden_act": "relu"}, "hidden_act=relu"),
        ({"layer_norm_eps": 1e-3}, "layer_norm_eps=0.001"),
        ({"is_decoder": True}, "is_decoder=True"),
    ],
)
def test_a_bert_that_does_not_fit_is_refused(changed: dict[str, Any], what_is_said: str) -> None:
    config = to_transformers(bert_of()).config.to_dict() | changed
    bert = transformers.BertModel(transformers.BertConfig(**config))
    with pytest.raises(UserError, match=what_is_said):
        load_transformers(bert_of(), bert)


def test_a_gpt2_is_no_bert() -> None:
    gpt2 = transformers.GPT2Model(transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4))
    with pytest.raises(UserError, match="this BERT has"):
        load_transformers(bert_of(), gpt2)


def test_norms_before_have_no_counterpart_elsewhere(tmp_path: Path) -> None:
    network = bert_of(BERT(width=32, depth=2, heads=4, norm="pre"))
    with pytest.raises(
        UserError, match="no counterpart of a bidirectional network with norm='pre'"
    ):
        save_pretrained(network, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_gelu_is_the_exact_one() -> None:
    x = torch.linspace(-4, 4, 101).view(-1, 1)
    assert torch.equal(bert_of().layers[0].activation(x), F.gelu(x))
