"""The network of section 2.2, g(x) = u'Wx + v'relu(Wx + b), and the ways to initialise it.

Legend: k width, n bits, inputs = n + 1 (the flag x0 comes first).
"""

import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from waymarks.errors import UserError, unknown_name
from waymarks.randomness import Rng
from waymarks.theory.hinges import drawn_biases, hinges_named


class DenseNetwork(nn.Module):
    """g(x) = u'Wx + v'relu(Wx + b) in double precision.

    The paper writes W as k x (n+1) and calls row j of it `W_j`: what neuron j sees.

    Args:
        bits: n >= 1.
        width: k >= 1.
        skip: whether there is a term u'Wx; without it this is a plain two-layer MLP.

    Raises:
        UserError: `bits` or `width` is below 1.
    """

    def __init__(self, bits: int, width: int, skip: bool = True) -> None:
        super().__init__()
        if bits < 1 or width < 1:
            raise UserError(f"bits and width must be at least 1, not {bits} and {width}")
        self.bits, self.width, self.skip = bits, width, skip
        self.W = nn.Parameter(torch.zeros(width, bits + 1, dtype=torch.float64))
        self.u = nn.Parameter(torch.zeros(width, dtype=torch.float64), requires_grad=skip)
        self.v = nn.Parameter(torch.zeros(width, dtype=torch.float64))
        self.b = nn.Parameter(torch.zeros(width, dtype=torch.float64))

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, " batch"]:
        seen = x @ self.W.T
        hinged = torch.relu(seen + self.b) @ self.v
        return seen @ self.u + hinged if self.skip else hinged


def half_squared_error(
    outputs: Float[Tensor, " batch"], labels: Float[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """The loss of section 2.2, (1/2)(g - y)^2, averaged over the batch."""
    return (outputs - labels).square().mean() / 2


def special(bits: int, width: int, fraction: float, seed: int, hinges: str) -> DenseNetwork:
    """The initialisation of appendix A: u = 1, W = 0, v = 0, biases by name.

    Args:
        fraction: p, by which the biases are scaled, above 0.
        hinges: `"paper"`, `"data-kink"` or `"exact"`.
    """
    network = DenseNetwork(bits, width)
    values, place = drawn_biases(hinges_named(hinges), bits, fraction, width, seed)
    with torch.no_grad():
        network.u.fill_(1.0)
        network.b.copy_(torch.from_numpy(values[place]))
    return network


@torch.no_grad()
def _gaussian(network: DenseNetwork, first: float, second: float, seed: int) -> DenseNetwork:
    generator = Rng.of(seed, "theory/initialisation", 0).generator
    network.W.normal_(std=first, generator=generator)
    network.v.normal_(std=second, generator=generator)
    if network.skip:
        network.u.normal_(std=second, generator=generator)
    return network


def he(bits: int, width: int, seed: int) -> DenseNetwork:
    """He et al. 2015: variance 2 over the number of inputs of each layer, biases 0."""
    return _gaussian(
        DenseNetwork(bits, width), math.sqrt(2 / (bits + 1)), math.sqrt(2 / width), seed
    )


def xavier(bits: int, width: int, seed: int) -> DenseNetwork:
    """Glorot and Bengio 2010: variance 2 over inputs plus outputs of each layer, biases 0."""
    first, second = math.sqrt(2 / (bits + 1 + width)), math.sqrt(2 / (width + 1))
    return _gaussian(DenseNetwork(bits, width), first, second, seed)


def plain_mlp(bits: int, width: int, seed: int) -> DenseNetwork:
    """v'relu(Wx + b) without the term u'Wx, initialised as `he`."""
    network = DenseNetwork(bits, width, skip=False)
    return _gaussian(network, math.sqrt(2 / (bits + 1)), math.sqrt(2 / width), seed)


def _special_with_data_kinks(bits: int, width: int, seed: int) -> DenseNetwork:
    return special(bits, width, 0.5, seed, "data-kink")


INITIALISATIONS: Mapping[str, Callable[[int, int, int], DenseNetwork]] = {
    "special": _special_with_data_kinks,
    "he": he,
    "xavier": xavier,
    "mlp": plain_mlp,
}
"""Networks by the name of their initialisation, from (bits, width, seed). In `"special"` v = 0,
so its biases have no part in the first gradient of W."""


def initialised(name: str, bits: int, width: int, seed: int) -> DenseNetwork:
    """A network by the name of its initialisation.

    Raises:
        UserError: there is none of this name.
    """
    if name not in INITIALISATIONS:
        raise UserError(unknown_name("initialisation", name, INITIALISATIONS))
    return INITIALISATIONS[name](bits, width, seed)
