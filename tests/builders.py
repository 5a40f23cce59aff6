"""Small things that several tests are about."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from waymarks.formats import Layout, TaskVector, Tokens
from waymarks.models import BERT, GPT2
from waymarks.models.transformer import Transformer
from waymarks.randomness import Rng
from waymarks.studies import Experiment
from waymarks.supervision import AskOne
from waymarks.tasks import Classes, ParitySum, Problems, Statements, Step, Task
from waymarks.training import Learner, Training

CPU = torch.device("cpu")


class RunningTotal(Task):
    """Digits with names, `b = 3; a = 1;` in any order: step i is the sum, in the order of the
    names, of the digits of the first i + 1, modulo `modulus`."""

    names: int = 3
    modulus: int = 4

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(Step(f"up to {name}", Classes(self.modulus)) for name in self._letters)

    @property
    def _letters(self) -> str:
        return "abcdefghij"[: self.names]

    @property
    def distinct_inputs(self) -> int:
        return self.modulus**self.names

    @property
    def notation(self) -> Statements:
        digits = (str(digit) for digit in range(self.modulus))
        symbols = (*self._letters, *digits)
        return Statements(symbols, self.names, tokens=2, own=True, punctuated=(0, "=", 1, ";"))

    def sample(self, count: int, rng: Rng) -> Problems:
        shape = (count, self.names)
        keys = torch.rand(shape, device=rng.device, generator=rng.generator)
        digits = torch.randint(self.modulus, shape, device=rng.device, generator=rng.generator)
        return self.problems(keys.argsort(1), digits)

    def problems(self, written: Int[Tensor, "b names"], digits: Int[Tensor, "b names"]) -> Problems:
        """Problems of which the statements give, in turn, the names `written`."""
        statements = torch.stack([written, self.names + digits.gather(1, written)], dim=2)
        given = {"statements": statements, "statement_of_step": written.argsort(1)}
        return Problems(given, (digits.cumsum(1) % self.modulus).float())


def tiny_experiment(seed: int = 0, **changed: Any) -> Experiment:
    """An experiment that takes milliseconds; `changed` are axes, or fields of its training."""
    axes = {name: changed.pop(name) for name in Experiment.model_fields if name in changed}
    budget = {
        "updates": 20,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "evaluate_every": 10,
        "evaluation_examples": 64,
    }
    small = {
        "task": ParitySum(bits=6),
        "supervision": AskOne(sum=0.5, parity=0.5),
        "format": TaskVector(),
        "model": GPT2(width=32, depth=2, heads=2),
        "training": Training(**{**budget, **changed}),
        "seed": seed,
    }
    return Experiment(**{**small, **axes})


def learner_of(experiment: Experiment) -> Learner:
    """One that has not been trained."""
    return Learner(experiment, CPU)


def layout_of(positions: int = 2, features: int = 6, outputs: int = 1, steps: int = 1) -> Layout:
    """A layout of vectors with one answer per step, all read at the last position."""
    return Layout(positions, features, outputs, tuple(range(steps)), answers_per_read=steps)


def network_of(
    width: int = 32, depth: int = 2, heads: int = 2, layout: Layout | None = None, spread: float = 0
) -> Transformer:
    """A GPT-2 as `built` makes it."""
    return built(GPT2(width=width, depth=depth, heads=heads), layout or layout_of(), spread)


def built(model: GPT2 | BERT, layout: Layout, spread: float = 0) -> Transformer:
    """A transformer initialised from a fixed seed.

    Args:
        model, layout: its shape.
        spread: adds so much noise to every parameter, so that none of them, and no mistake made
            in handling one, is without effect.
    """
    generator = torch.Generator().manual_seed(0)
    network = model.build(layout, generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += spread * torch.randn(parameter.shape, generator=generator)
    return network


def tokens_layout_of(
    positions: int, symbols: int = 7, outputs: int = 2, reads: int = 1, per_read: int = 1
) -> Layout:
    """A layout of tokens with as many answers as there are steps."""
    steps = tuple(range(reads * per_read))
    return Layout(positions, symbols, outputs, steps, True, reads, per_read)


def tokens_of(network: Transformer, batch: int = 5, start: bool = False) -> Tokens:
    """Random tokens read at random positions that differ, or at the start."""
    layout, generator = network.layout, torch.Generator().manual_seed(1)
    tokens = torch.randint(layout.features, (batch, layout.positions), generator=generator)
    order = torch.rand(batch, layout.positions, generator=generator).argsort(1)
    return Tokens(tokens, torch.zeros_like(order[:, :1]) if start else order[:, : layout.reads])
