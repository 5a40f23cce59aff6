"""How a problem is written down. Every module here is imported, so a new format is one file."""

from waymarks.axes import import_modules_of
from waymarks.formats.base import Format, Inputs, Layout, PrefixedVectors, Tokens, Vectors
from waymarks.formats.cls_token import ClsToken
from waymarks.formats.statements import StatementFormat
from waymarks.formats.task_vector import TaskVector
from waymarks.formats.token_classification import TokenClassification

import_modules_of(__name__, __path__)

__all__ = [
    "ClsToken",
    "Format",
    "Inputs",
    "Layout",
    "PrefixedVectors",
    "StatementFormat",
    "TaskVector",
    "TokenClassification",
    "Tokens",
    "Vectors",
]
