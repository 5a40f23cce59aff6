"""Experiments, runs and studies: what is asked, what came of it, and where it executes."""

from waymarks.studies.claim import (
    Claim,
    Finding,
    NoSooner,
    ReachesAtLeast,
    Solves,
    Sooner,
    StaysBelow,
    Verdict,
)
from waymarks.studies.controls import with_controls
from waymarks.studies.execution import Execution, Interrupted, Progress, carry_out
from waymarks.studies.experiment import Experiment
from waymarks.studies.order import SolvedInOrder
from waymarks.studies.run import Run, Solved
from waymarks.studies.study import Arm, Contrast, Outcome, Study

__all__ = [
    "Arm",
    "Claim",
    "Contrast",
    "Execution",
    "Experiment",
    "Finding",
    "Interrupted",
    "NoSooner",
    "Outcome",
    "Progress",
    "ReachesAtLeast",
    "Run",
    "Solved",
    "SolvedInOrder",
    "Solves",
    "Sooner",
    "StaysBelow",
    "Study",
    "Verdict",
    "carry_out",
    "with_controls",
]
