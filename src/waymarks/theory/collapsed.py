"""The collapsed simulation: one weight for all neurons of one bias.

After the first step all rows of W are equal, since they began equal and had equal gradients; so
u_j stays the same for all j, and v_j for all j of one bias. With m_i neurons of bias beta_i, the
k-neuron network is linear in

    features(z) = (sqrt(k) z, sqrt(m_0) relu(z + beta_0), sqrt(m_1) relu(z + beta_1), ...)

with weights (sqrt(k) u, sqrt(m_0) v_0, sqrt(m_1) v_1, ...), and gradient descent on those weights
moves every neuron's u and v as gradient descent on the network does. The square roots are what
makes that so: m neurons that each move by a step d move their sum by m d.
"""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from waymarks.theory.distributions import Examples, Mixture
from waymarks.theory.first_gradient import as_floats, closed_form
from waymarks.theory.hinges import drawn_biases
from waymarks.theory.procedure import Form, Iterate, Labels
from waymarks.theory.settings import Settings


class Collapsed(Form):
    """The network with equal neurons counted instead of repeated.

    Attributes:
        weights: [1 + groups], the current ones; groups are the distinct biases that were drawn.
    """

    def __init__(self, settings: Settings) -> None:
        values, place = drawn_biases(
            settings.hinges, settings.bits, settings.bias_fraction, settings.width, settings.seed
        )
        drawn, counts = np.unique(place, return_counts=True)
        self.settings = settings
        self._biases = np.concatenate([[0.0], values[drawn]])
        self._scales = np.sqrt(np.concatenate([[settings.width], counts]))
        self._floors = np.where(np.arange(len(self._scales)) == 0, -np.inf, 0.0)
        self._row = np.zeros(settings.bits + 1)
        self._step_size = 0.0
        self.weights = np.zeros(len(self._scales))
        self._velocity = np.zeros_like(self.weights)
        self._total, self._averaged = np.zeros_like(self.weights), 0

    def features(
        self, z: Float[np.ndarray, " count"], share: float = 1.0
    ) -> Float[np.ndarray, "count features"]:
        """Those of the module's docstring, for what every neuron sees, times `share`."""
        lines = share * np.stack([self._scales, self._scales * self._biases])
        features: Float[np.ndarray, "count features"] = np.stack([z, np.ones_like(z)], 1) @ lines
        np.maximum(features, self._floors, out=features)
        return features

    def first_step(self, batches: Iterator[tuple[Examples, Labels]]) -> None:
        total, label_total, count = np.zeros_like(self._row), 0.0, 0
        for examples, labels in batches:
            total += examples.weighted_total(labels)
            label_total += float(labels.sum())
            count += examples.count
        self._stepped(total / count, label_total / count)

    def population_first_step(self, mixture: Mixture) -> None:
        gradient, p = closed_form(mixture.target), mixture.sum_fraction
        of_sum, of_parity = as_floats(gradient.of_sum), as_floats(gradient.of_parity)
        row = -(p * of_sum + (1 - p) * of_parity)
        self._stepped(row, -p * float(mixture.target.offset))

    def _stepped(self, row: Float[np.ndarray, " inputs"], mean_label: float) -> None:
        self._row = row
        if not self.settings.reset_u:
            self.weights[0] = self._scales[0]
        if not self.settings.freeze_v_first:
            self.weights[1:] = self._scales[1:] * mean_label * np.maximum(self._biases[1:], 0)

    def choose_step_size(self, examples: Examples) -> None:
        features = self.features(examples.project(self._row))
        largest = np.linalg.norm(features, 2) ** 2 / len(features)
        self._step_size = self.settings.step_scale / float(largest)

    def descend(self, examples: Examples, labels: Labels, averaged_from: int) -> None:
        batch, momentum = self.settings.batch, self.settings.momentum
        share = math.sqrt(self._step_size / batch)
        features = self.features(examples.project(self._row), share)
        by_update = features.reshape(-1, batch, len(self.weights))
        labels_by_update = (share * labels).reshape(-1, batch)
        path = np.empty((len(by_update), len(self.weights)))
        weights, velocity = self.weights, self._velocity
        for seen, label, reached in zip(by_update, labels_by_update, path, strict=True):
            errors = np.dot(seen, weights)
            errors -= label
            velocity *= momentum
            velocity -= np.dot(errors, seen)
            weights = np.add(weights, velocity, out=reached)
        self.weights = weights.copy()
        self._total += path[averaged_from:].sum(0)
        self._averaged += len(path[averaged_from:])

    def row(self) -> Float[np.ndarray, " inputs"]:
        return self._row

    def outputs(self, examples: Examples, iterate: Iterate) -> Float[np.ndarray, " count"]:
        weights = self.weights if iterate == "last" else self._total / max(self._averaged, 1)
        outputs: Float[np.ndarray, " count"] = self.features(examples.project(self._row)) @ weights
        return outputs
