"""Random streams: every draw comes from (seed, stream name, index), and from nothing else.

The three are hashed together by numpy's `SeedSequence`, so no two streams overlap because
their seeds happened to be near each other, and batch i can be drawn without drawing those
before it.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch


def _name_as_words(name: str) -> list[int]:
    digest = hashlib.sha256(name.encode()).digest()[:8]
    return [int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")]


def seed_sequence(seed: int, stream: str, index: int) -> np.random.SeedSequence:
    """The hash of (seed, stream, index), from which any generator can be seeded."""
    return np.random.SeedSequence([seed, *_name_as_words(stream), index])


@dataclass(frozen=True)
class Rng:
    """The draw numbered `index` of the stream `stream` of an experiment's `seed`.

    Attributes:
        generator: a torch generator on `device`, seeded for this draw alone.
    """

    seed: int
    stream: str
    index: int
    device: torch.device
    generator: torch.Generator

    @classmethod
    def of(cls, seed: int, stream: str, index: int, device: torch.device | str = "cpu") -> "Rng":
        """The generator of one draw.

        Args:
            seed: the experiment's seed, >= 0.
            stream: what the draw is for: `"train"`, `"evaluation"`, `"initialisation"`.
            index: which draw of that stream: for `"train"`, the number of the update.
            device: where the drawn tensors shall be.
        """
        device = torch.device(device)
        word = int(seed_sequence(seed, stream, index).generate_state(1, np.uint64)[0])
        generator = torch.Generator(device).manual_seed(word & (2**63 - 1))
        return cls(seed, stream, index, device, generator)

    def constant(self, name: str) -> np.random.Generator:
        """A generator that depends on the seed and `name` alone: for what a seed fixes once
        (the hidden subset of a parity), whichever stream and draw asks for it."""
        return np.random.default_rng(seed_sequence(self.seed, f"constant/{name}", 0))
