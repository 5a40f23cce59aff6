"""The procedure on the k-neuron network itself, every gradient by autograd."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from waymarks.theory.distributions import Examples, Mixture
from waymarks.theory.first_gradient import population_gradients
from waymarks.theory.network import half_squared_error, special
from waymarks.theory.procedure import Form, Iterate, Labels
from waymarks.theory.settings import Settings


class FullNetwork(Form):
    """The network of section 2.2 in the procedure of Theorem 1.

    Attributes:
        network: the network with its current parameters.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.network = special(
            settings.bits, settings.width, settings.bias_fraction, settings.seed, settings.biases
        )
        self._step_size = 0.0
        self._later = [self.network.u, self.network.v]
        self._velocity = [torch.zeros_like(parameter) for parameter in self._later]
        self._totals = [torch.zeros_like(parameter) for parameter in self._later]
        self._averaged = 0

    def first_step(self, batches: Iterator[tuple[Examples, Labels]]) -> None:
        trained = [self.network.W, self.network.v]
        totals, count = [torch.zeros_like(parameter) for parameter in trained], 0
        for examples, labels in batches:
            gradients = self._gradients(examples, labels, trained)
            for total, gradient in zip(totals, gradients, strict=True):
                total += gradient * examples.count
            count += examples.count
        self._stepped(*(total / count for total in totals))

    def population_first_step(self, mixture: Mixture) -> None:
        gradients = population_gradients(self.network, mixture)
        self._stepped(gradients["W"], gradients["v"])

    @torch.no_grad()
    def _stepped(self, of_first: Tensor, of_v: Tensor) -> None:
        self.network.W.sub_(of_first)
        if not self.settings.freeze_v_first:
            self.network.v.sub_(of_v)
        if self.settings.reset_u:
            self.network.u.zero_()
        self.network.W.requires_grad_(False)
        self.network.b.requires_grad_(False)

    def _gradients(
        self, examples: Examples, labels: Labels, parameters: list[torch.nn.Parameter]
    ) -> tuple[Tensor, ...]:
        outputs = self.network(torch.from_numpy(examples.inputs()))
        loss = half_squared_error(outputs, torch.from_numpy(labels))
        return torch.autograd.grad(loss, parameters)

    @torch.no_grad()
    def choose_step_size(self, examples: Examples) -> None:
        seen = torch.from_numpy(examples.inputs()) @ self.network.W.T
        features = torch.cat([seen, torch.relu(seen + self.network.b)], dim=1)
        largest = torch.linalg.matrix_norm(features, 2).square() / len(features)
        self._step_size = self.settings.step_scale / float(largest)

    def descend(self, examples: Examples, labels: Labels, averaged_from: int) -> None:
        batch, count = self.settings.batch, examples.count
        inputs, of_inputs = torch.from_numpy(examples.inputs()), torch.from_numpy(labels)
        for number, begin in enumerate(range(0, count, batch)):
            outputs = self.network(inputs[begin : begin + batch])
            loss = half_squared_error(outputs, of_inputs[begin : begin + batch])
            self._update(torch.autograd.grad(loss, self._later))
            if number >= averaged_from:
                self._averaged += 1
                for total, parameter in zip(self._totals, self._later, strict=True):
                    total += parameter.detach()

    @torch.no_grad()
    def _update(self, gradients: tuple[Tensor, ...]) -> None:
        moved = zip(self._later, self._velocity, gradients, strict=True)
        for parameter, velocity, gradient in moved:
            velocity.mul_(self.settings.momentum).sub_(gradient, alpha=self._step_size)
            parameter.add_(velocity)

    def row(self) -> Float[np.ndarray, " inputs"]:
        return self.network.W.detach().mean(0).numpy()

    @torch.no_grad()
    def outputs(self, examples: Examples, iterate: Iterate) -> Float[np.ndarray, " count"]:
        if iterate == "last":
            u, v = self.network.u.detach(), self.network.v.detach()
        else:
            u, v = (total / max(self._averaged, 1) for total in self._totals)
        seen = torch.from_numpy(examples.inputs()) @ self.network.W.T
        return (seen @ u + torch.relu(seen + self.network.b) @ v).numpy()
