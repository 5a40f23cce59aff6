"""How well each step is answered on held-out examples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from waymarks.formats import Format
from waymarks.models import Network
from waymarks.randomness import Rng
from waymarks.tasks import Problems, Task

CHUNK = 1024
"""Examples in one forward pass: large enough to be fast, small enough to stay in the cache."""


@dataclass(frozen=True)
class HeldOut:
    """The examples that a run is evaluated on, drawn once from the stream `evaluation`."""

    task: Task
    format: Format
    problems: Problems

    @classmethod
    def of(
        cls, task: Task, format: Format, examples: int, seed: int, device: torch.device
    ) -> "HeldOut":
        """Draws `examples` examples of `task` on `device`."""
        rng = Rng.of(seed, "evaluation", 0, device)
        return cls(task, format, task.sample(examples, rng))

    @torch.no_grad()
    def evaluate(self, network: Network) -> dict[str, float]:
        """Every step's accuracy and mean loss, as `<step>.accuracy` and `<step>.<loss name>`.

        Where the input names the step that is asked, each step is asked of every example.
        """
        layout = self.format.layout(self.task)
        steps = self.task.steps
        examples = self.problems.answers.shape[0]
        correct = self.problems.answers.new_zeros(len(steps))
        losses = self.problems.answers.new_zeros(len(steps))
        for start in range(0, examples, CHUNK):
            chunk = self._chunk(start)
            outputs: list[Tensor] = []
            for number, step in enumerate(steps):
                if self.format.asks_one_step or not outputs:
                    asked = torch.full_like(chunk.answers[:, 0], number, dtype=torch.int64)
                    outputs = network(self.format.write(chunk, asked))
                output = outputs[layout.readout_of_step[number]].float()
                answers = chunk.answers[:, number]
                correct[number] += step.kind.correct(output, answers).sum()
                losses[number] += step.kind.loss(output, answers).sum()
        scores: dict[str, float] = {}
        for step, right, loss in zip(steps, correct.tolist(), losses.tolist(), strict=True):
            scores[f"{step.name}.accuracy"] = right / examples
            scores[f"{step.name}.{step.kind.loss_name}"] = loss / examples
        return scores

    def _chunk(self, start: int) -> Problems:
        rows = slice(start, start + CHUNK)
        given = {name: tensor[rows] for name, tensor in self.problems.given.items()}
        return Problems(given, self.problems.answers[rows])
