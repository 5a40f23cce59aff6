"""Experiments, runs and studies: what is asked, what came of it, and where it executes."""

from waymarks.studies.execution import Execution, Interrupted, Progress, carry_out
from waymarks.studies.experiment import Experiment
from waymarks.studies.run import Run, Solved

__all__ = ["Execution", "Experiment", "Interrupted", "Progress", "Run", "Solved", "carry_out"]
