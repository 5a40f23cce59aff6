"""Whole numbers and arrangements drawn for many examples at once.

The examples lie along the last dimension, so that every operation runs over a whole batch.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from waymarks.randomness import Rng


def random_words(rows: int, count: int, rng: Rng) -> Int64[Tensor, "rows count"]:
    """Independent uniform words of 64 bits."""
    words = torch.empty(rows, count, dtype=torch.int64, device=rng.device)
    return words.random_(-(2**63), None, generator=rng.generator)


def fair_bits(width: int, count: int, rng: Rng) -> UInt8[Tensor, "width count"]:
    """Independent bits, 0 or 1 with equal chance; `width` is 64 at most."""
    bits = torch.arange(width, device=rng.device).unsqueeze(1)
    return (random_words(1, count, rng) >> bits).bitwise_and_(1).to(torch.uint8)


def numbers_below(bounds: Sequence[int], count: int, rng: Rng) -> Int64[Tensor, "bounds count"]:
    """Independent numbers: row i is uniform over 0 <= number < bounds[i].

    Each is the high half of 32 random bits times its bound, so that no number's chance is off by
    more than 2^-32; bounds are 2^31 at most.
    """
    words = random_words(-(-len(bounds) // 2), count, rng)
    halves = words.view(torch.int32).view(-1, count)[: len(bounds)].long()
    bound = torch.tensor(bounds, device=rng.device).unsqueeze(1)
    return halves.add_(2**31).mul_(bound).bitwise_right_shift_(32)


def arrangements(
    chosen: int, out_of: Sequence[int], count: int, rng: Rng
) -> UInt8[torch.Tensor, "chosen kinds count"]:
    """Ordered choices of `chosen` different numbers, each equally likely; with all of them chosen,
    permutations. The choice [:, k] is of numbers below out_of[k], 256 at most.

    The number in row i is drawn as its place among those that no earlier row has taken. Going
    from the last row to the first, a place at or after one that an earlier row took moves up.
    """
    bounds = [numbers - row for row in range(chosen) for numbers in out_of]
    drawn = numbers_below(bounds, count, rng).to(torch.uint8)
    places = drawn.view(chosen, len(out_of), count)
    rows = places.unbind()
    for row in range(chosen - 2, -1, -1):
        later = places[row + 1 :]
        later += (later >= rows[row]).view(torch.uint8)
    return places
