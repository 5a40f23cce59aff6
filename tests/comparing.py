"""Whether two networks are the same function."""

import copy

import torch
import transformers
from torch import Tensor

from waymarks.models.huggingface import load_transformers
from waymarks.models.transformer import Transformer


def gradients(network: Transformer, outputs: Tensor) -> dict[str, Tensor]:
    """Of every parameter, of a sum of the outputs in which each has another weight."""
    network.zero_grad()
    numbers = outputs.flatten()
    (numbers * torch.linspace(1, 2, len(numbers))).sum().backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def gradients_inside(
    model: transformers.PreTrainedModel, network: Transformer
) -> dict[str, Tensor]:
    """Those of a model of `transformers`, by the names that its parameters have here."""
    named = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                # what is added to every position is no parameter here
                parameter.copy_(0 * parameter if "token_type" in name else parameter.grad)
    load_transformers(named, model)
    outside = ("read_in.", "readout.")
    return {
        name: parameter.detach()
        for name, parameter in named.named_parameters()
        if not name.startswith(outside)
    }


def assert_close(found: Tensor, expected: Tensor) -> None:
    """Equal to 1e-5, or to 1e-5 of the largest number where that is above 1."""
    scale = max(1.0, float(expected.detach().abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)


def assert_all_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert_close(found[name], tensor)
