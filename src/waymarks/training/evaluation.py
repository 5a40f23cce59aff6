"""How well each step is answered on held-out examples."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from waymarks.formats import Format
from waymarks.models import Network
from waymarks.randomness import Rng
from waymarks.tasks import Problems, Task
from waymarks.training.objective import answered

CHUNK = 2048
"""Positions in one forward pass: large enough to be fast, small enough to stay in the cache."""

Stream = Literal["evaluation", "test"]


@dataclass(frozen=True)
class HeldOut:
    """Examples that are not trained on, drawn once.

    Those of the stream `evaluation` are looked at as a run goes on, and whatever is chosen (a
    learning rate, the weights that are kept) is chosen by them; those of `test` only at its end.
    """

    task: Task
    format: Format
    problems: Problems

    @classmethod
    def of(
        cls,
        task: Task,
        format: Format,
        examples: int,
        seed: int,
        device: torch.device,
        stream: Stream = "evaluation",
    ) -> "HeldOut":
        """Draws `examples` examples of `task` on `device`."""
        rng = Rng.of(seed, stream, 0, device)
        return cls(task, format, task.sample(examples, rng))

    @torch.no_grad()
    def evaluate(self, network: Network) -> dict[str, float]:
        """Every step's accuracy and mean loss, as `<step>.accuracy` and `<step>.<loss name>`.

        Where the input names the step that is asked, each step is asked of every example.
        """
        steps = self.task.steps
        asked = range(len(steps)) if self.format.asks_one_step else [len(steps) - 1]
        examples = self.problems.answers.shape[0]
        correct = self.problems.answers.new_zeros(len(steps))
        losses = self.problems.answers.new_zeros(len(steps))
        at_once = max(1, CHUNK // self.format.layout(self.task).positions)
        for start in range(0, examples, at_once):
            chunk = self._chunk(start, at_once)
            for number in asked:
                right, loss = self._scores(network, chunk, number)
                if self.format.asks_one_step:
                    right, loss = _alone(right, number), _alone(loss, number)
                correct += right
                losses += loss
        scores: dict[str, float] = {}
        for step, hits, total in zip(steps, correct.tolist(), losses.tolist(), strict=True):
            scores[f"{step.name}.accuracy"] = hits / examples
            scores[f"{step.name}.{step.kind.loss_name}"] = total / examples
        return scores

    def _scores(self, network: Network, chunk: Problems, asked: int) -> tuple[Tensor, Tensor]:
        """How many answers to each step are right, and their losses added up: [steps] each."""
        steps, layout = self.task.steps, self.format.layout(self.task)
        question = torch.full_like(chunk.answers[:, 0], asked, dtype=torch.int64)
        outputs = network(self.format.write(self.task, chunk, question))
        right, losses = (chunk.answers.new_zeros(len(steps)) for _ in range(2))
        for kind, numbers, output in answered(outputs, steps, layout):
            answers = chunk.answers[:, numbers]
            right[numbers] = kind.correct(output, answers).sum(0).to(right.dtype)
            losses[numbers] = kind.loss(output, answers).sum(0)
        return right, losses

    def _chunk(self, start: int, examples: int) -> Problems:
        rows = slice(start, start + examples)
        given = {name: tensor[rows] for name, tensor in self.problems.given.items()}
        return Problems(given, self.problems.answers[rows])


def _alone(scores: Tensor, number: int) -> Tensor:
    """The scores of one step, and 0 for all others."""
    alone = torch.zeros_like(scores)
    alone[number] = scores[number]
    return alone
