"""The loop, and what it stands on: objective, evaluation, learner, checkpoints."""

from waymarks.training.learner import Learner
from waymarks.training.loop import Diverged, Evaluated, Tested, Updated, train
from waymarks.training.settings import Training

__all__ = ["Diverged", "Evaluated", "Learner", "Tested", "Training", "Updated", "train"]
