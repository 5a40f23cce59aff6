"""What is computed. Every module here is imported, so a new task is one new file."""

from waymarks.axes import import_modules_of
from waymarks.tasks.base import Binary, Classes, Kind, Problems, Real, Statements, Step, Task
from waymarks.tasks.code import Code
from waymarks.tasks.lego import Lego
from waymarks.tasks.parity_sum import ParitySum

import_modules_of(__name__, __path__)

__all__ = [
    "Binary",
    "Classes",
    "Code",
    "Kind",
    "Lego",
    "ParitySum",
    "Problems",
    "Real",
    "Statements",
    "Step",
    "Task",
]
