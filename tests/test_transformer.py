"""The compact transformer is GPT-2: the same function, the same gradients, the same weights."""

import copy
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from tests.builders import built, layout_of, network_of, tokens_layout_of, tokens_of
from tests.comparing import assert_all_close, assert_close, gradients, gradients_inside

from waymarks.errors import UserError
from waymarks.formats import PrefixedVectors, Vectors
from waymarks.models import BERT, GPT2
from waymarks.models.huggingface import (
    READ_IN_AND_OUT,
    load_pretrained,
    load_transformers,
    save_pretrained,
    to_transformers,
)
from waymarks.models.transformer import Transformer, WholeSequences, gelu

SIZES = [(32, 1, 1), (32, 2, 4), (128, 6, 4), (48, 3, 2)]


def vectors_of(network: Transformer, batch: int = 5) -> Vectors:
    shape = (batch, network.layout.positions, network.layout.features)
    return Vectors(torch.randn(shape, generator=torch.Generator().manual_seed(1)))


def prefixed_of(network: Transformer, choices: int, batch: int = 9) -> PrefixedVectors:
    generator = torch.Generator().manual_seed(1)
    features = network.layout.features
    return PrefixedVectors(
        beginnings=torch.randn(choices, features, generator=generator),
        choice=torch.randint(choices, (batch,), generator=generator),
        rest=torch.randn(batch, features, generator=generator),
    )


@pytest.mark.parametrize("positions", [2, 7])
@pytest.mark.parametrize(("width", "depth", "heads"), SIZES)
def test_outputs_and_gradients_equal_those_of_hugging_face(
    width: int, depth: int, heads: int, positions: int
) -> None:
    network = network_of(width, depth, heads, layout_of(positions, 5, 2, 2), spread=0.1)
    gpt2 = to_transformers(network)
    inputs = vectors_of(network)

    ours = network(inputs)
    of_ours = gradients(network, ours)
    last = gpt2(inputs_embeds=network.read_in(inputs.vectors)).last_hidden_state[:, -1]
    theirs = network.readout(last).view(ours.shape)
    of_theirs = gradients(network, theirs) | gradients_inside(gpt2, network)

    assert_close(ours, theirs)
    assert_all_close(of_ours, of_theirs)
    assert all(gradient.count_nonzero() for gradient in of_ours.values())


@pytest.mark.parametrize(("width", "depth", "heads"), SIZES)
def test_of_tokens_too_outputs_and_gradients_equal_those_of_hugging_face(
    width: int, depth: int, heads: int
) -> None:
    network = network_of(width, depth, heads, tokens_layout_of(9, reads=3), spread=0.1)
    gpt2 = to_transformers(network)
    inputs = tokens_of(network)

    ours = network(inputs)
    of_ours = gradients(network, ours)
    states = gpt2(input_ids=inputs.tokens).last_hidden_state
    theirs = network.readout(states[torch.arange(len(states))[:, None], inputs.read_at])
    of_theirs = gradients(network, theirs) | gradients_inside(gpt2, network)

    assert_close(ours, theirs)
    assert_all_close(of_ours, of_theirs)


@pytest.mark.parametrize("choices", [1, 2, 3])
@pytest.mark.parametrize(("width", "depth", "heads"), SIZES)
def test_sharing_beginnings_changes_the_cost_and_not_the_function(
    width: int, depth: int, heads: int, choices: int
) -> None:
    network = network_of(width, depth, heads, layout_of(outputs=2, steps=2), spread=0.1)
    inputs = prefixed_of(network, choices)
    shared, written_out = network(inputs), network(inputs.written_out())
    assert_close(shared, written_out)
    assert_all_close(gradients(network, shared), gradients(network, written_out))


def test_what_is_shared_is_computed_once_per_beginning_and_not_per_example() -> None:
    network = network_of()
    rows: list[int] = []
    network.blocks[0].register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    inputs = prefixed_of(network, choices=2, batch=9)
    network(inputs)
    network(inputs.written_out())
    assert rows == [2 + 9, 2 * 9]


def test_no_position_sees_a_later_one() -> None:
    network = network_of(layout=layout_of(positions=5), spread=0.1)
    inputs = vectors_of(network)
    changed = inputs.vectors.clone()
    changed[:, 3:] += 1
    streams = []
    for vectors in (inputs.vectors, changed):
        rows = (network.read_in(vectors) + network.positions).flatten(0, 1)
        streams.append(network.stream(rows, WholeSequences(5)).unflatten(0, (-1, 5)))
    assert_close(streams[1][:, :3], streams[0][:, :3])
    assert (streams[1][:, 3:] - streams[0][:, 3:]).abs().min() > 0


def test_the_gelu_is_torchs_in_value_and_slope() -> None:
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64).view(-1, 1).requires_grad_()
    theirs = F.gelu(x, approximate="tanh")
    torch.testing.assert_close(gelu(x), theirs, rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(gelu(x).sum(), x)
    (their_slope,) = torch.autograd.grad(theirs.sum(), x)
    torch.testing.assert_close(slope, their_slope, rtol=1e-12, atol=1e-12)


def test_the_gelus_slope_is_that_of_its_value() -> None:
    x = torch.linspace(-6, 6, 25, dtype=torch.float64).view(-1, 1).requires_grad_()
    assert torch.autograd.gradcheck(gelu, (x,))


@pytest.mark.parametrize("x", [-1e10, -100.0, 0.0, 100.0, 1e10])
def test_the_gelu_of_a_huge_number_is_finite(x: float) -> None:
    given = torch.tensor([[x]], requires_grad=True)
    value = gelu(given)
    value.sum().backward()
    assert given.grad is not None
    assert value.item() == max(x, 0)
    assert given.grad.item() == {-1: 0, 0: 0.5, 1: 1}[(x > 0) - (x < 0)]


def test_weights_begin_as_those_of_gpt2_do() -> None:
    """N(0, .02^2); what writes into the stream is scaled down by the root of 2 * depth."""
    depth = 8
    network = network_of(width=128, depth=depth, heads=4, layout=layout_of(2, 50))
    for name, parameter in network.named_parameters():
        if "norm" in name:
            assert parameter.eq(1 if name.endswith("weight") else 0).all(), name
        elif name.endswith("bias"):
            assert parameter.eq(0).all(), name
        else:
            into_stream = name.endswith(("attention_out.weight", "mlp_out.weight"))
            std = 0.02 / math.sqrt(2 * depth) if into_stream else 0.02
            slack = 5 / math.sqrt(parameter.numel())
            assert abs(float(parameter.detach().mean())) < slack * std, name
            assert float(parameter.detach().std()) == pytest.approx(std, rel=slack), name


def test_the_initial_spread_of_each_kind_of_weight_is_that_of_hugging_face() -> None:
    depth = 4
    ours = network_of(width=128, depth=depth, heads=4)
    theirs = copy.deepcopy(ours)
    config = to_transformers(ours).config
    load_transformers(theirs, transformers.GPT2Model(config))
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if mine.numel() > 1000:
            spreads = float(mine.detach().std()), float(other.detach().std())
            assert spreads[0] == pytest.approx(spreads[1], rel=0.1), name


def test_the_papers_model_has_one_point_two_million_parameters() -> None:
    network = GPT2().build(layout_of(features=50), torch.Generator())
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 1_196_801
    assert round(count / 1e6, 1) == 1.2


def test_flops_are_those_of_the_matrix_products_that_are_needed() -> None:
    """With shared beginnings a row an example, so as many as weights are multiplied with it."""
    network = network_of(width=32, depth=2, layout=layout_of(features=6, outputs=2, steps=2))
    matrices = [p for name, p in network.named_parameters() if p.dim() == 2 and name != "positions"]
    assert network.flops_per_example() == 2 * sum(matrix.numel() for matrix in matrices)


def compiled_equals_eager() -> None:
    torch.set_num_threads(1)
    gpt2 = network_of(depth=1, spread=0.1)
    bert = built(BERT(width=32, depth=1, heads=2), tokens_layout_of(9, reads=3), spread=0.1)
    for network, inputs in ((gpt2, prefixed_of(gpt2, choices=2)), (bert, tokens_of(bert))):
        expected = network(inputs)
        of_expected = gradients(network, expected)
        compiled = torch.compile(network)(inputs)
        assert_close(compiled, expected)
        assert_all_close(gradients(network, compiled), of_expected)


@pytest.mark.timeout(0)
def test_compiled_it_is_the_same_function_with_the_same_gradients() -> None:
    """In a process of its own: what is compiled is the code that a user runs, without the checks
    of shapes that hold in tests. How long a C compiler takes is not what is tested."""
    check = "from tests import test_transformer; test_transformer.compiled_equals_eager()"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", check], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_was_trained_here_opens_in_transformers(tmp_path: Path) -> None:
    network = network_of(spread=0.1)
    save_pretrained(network, tmp_path / "exported")
    opened = transformers.GPT2Model.from_pretrained(tmp_path / "exported")
    beside = load_file(tmp_path / "exported" / READ_IN_AND_OUT)
    inputs = vectors_of(network)
    read = F.linear(inputs.vectors, beside["read_in.weight"], beside["read_in.bias"])
    last = opened(inputs_embeds=read).last_hidden_state[:, -1]
    answer = F.linear(last, beside["readout.weight"], beside["readout.bias"])
    assert_close(answer, network(inputs)[:, 0])


def test_an_exported_network_comes_back_bit_for_bit(tmp_path: Path) -> None:
    network = network_of(
        width=48, depth=3, heads=4, layout=layout_of(outputs=2, steps=2), spread=0.1
    )
    save_pretrained(network, tmp_path)
    again = load_pretrained(tmp_path, network.layout)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name)), name
    assert again.architecture == network.architecture


def test_a_gpt2_for_longer_sequences_gives_its_first_positions() -> None:
    long = to_transformers(network_of(layout=layout_of(positions=9), spread=0.1))
    network = network_of()
    load_transformers(network, long)
    assert torch.equal(network.positions, long.wpe.weight[:2])


@pytest.mark.parametrize(
    ("changed", "what_is_said"),
    [
        ({"n_embd": 64}, "n_embd=64, the network needs 32"),
        ({"n_layer": 3}, "n_layer=3, the network needs 2"),
        ({"n_head": 4}, "n_head=4, the network needs 2"),
        ({"n_positions": 1}, "n_positions=1, the network needs 2"),
        ({"n_inner": 64}, "n_inner=64"),
        ({"activation_function": "relu"}, "activation_function=relu"),
        ({"layer_norm_epsilon": 1e-3}, "layer_norm_epsilon=0.001"),
    ],
)
def test_a_gpt2_that_does_not_fit_is_refused_and_nothing_changed(
    changed: dict[str, Any], what_is_said: str
) -> None:
    network = network_of()
    before = copy.deepcopy(network.state_dict())
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 2, "vocab_size": 1}
    gpt2 = transformers.GPT2Model(transformers.GPT2Config(**(shape | changed)))
    with pytest.raises(UserError, match=what_is_said):
        load_transformers(network, gpt2)
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())


def test_a_folder_that_was_not_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="save_pretrained did not write it"):
        load_pretrained(tmp_path, layout_of())
    save_pretrained(network_of(), tmp_path)
    with pytest.raises(UserError, match="of another layout"):
        load_pretrained(tmp_path, layout_of(features=7))
    with pytest.raises(UserError, match="n_positions=2, the network needs 3"):
        load_pretrained(tmp_path, layout_of(positions=3))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="holds no whole network"):
        load_pretrained(tmp_path, layout_of())


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(UserError, match="cannot write to"):
        save_pretrained(network_of(), tmp_path / "a file")


def test_without_transformers_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install waymarks\[transformers\]"):
        to_transformers(network_of())
