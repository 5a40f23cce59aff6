"""What the learner is told. Every module here is imported, so a new regime is one file."""

from waymarks.axes import import_modules_of
from waymarks.supervision.ask_one import AskOne
from waymarks.supervision.base import Revealed, Supervision
from waymarks.supervision.every_step import EveryStep
from waymarks.supervision.final_only import FinalOnly
from waymarks.supervision.shuffled import Shuffled
from waymarks.supervision.sparse_steps import SparseSteps

import_modules_of(__name__, __path__)

__all__ = [
    "AskOne",
    "EveryStep",
    "FinalOnly",
    "Revealed",
    "Shuffled",
    "SparseSteps",
    "Supervision",
]
