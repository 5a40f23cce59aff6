"""What is computed. Every module here is imported, so a new task is one new file."""

from waymarks.axes import import_modules_of
from waymarks.tasks.base import Binary, Kind, Problems, Real, Step, Task
from waymarks.tasks.parity_sum import ParitySum

import_modules_of(__name__, __path__)

__all__ = ["Binary", "Kind", "ParitySum", "Problems", "Real", "Step", "Task"]
