"""How a problem is written down. Every module here is imported, so a new format is one file."""

from waymarks.axes import import_modules_of
from waymarks.formats.base import Format, Inputs, Layout, PrefixedVectors, Vectors
from waymarks.formats.task_vector import TaskVector

import_modules_of(__name__, __path__)

__all__ = ["Format", "Inputs", "Layout", "PrefixedVectors", "TaskVector", "Vectors"]
