"""Who learns. Every module here is imported, so a new model is one file."""

from waymarks.axes import import_modules_of
from waymarks.models.base import Model, Network
from waymarks.models.bert import BERT
from waymarks.models.gpt2 import GPT2
from waymarks.models.transformer import Transformer

import_modules_of(__name__, __path__)

__all__ = ["BERT", "GPT2", "Model", "Network", "Transformer"]
