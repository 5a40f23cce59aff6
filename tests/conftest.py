"""What holds for all tests: the shapes in the signatures of all code that handles tensors are
checked at run time, and nothing depends on how fast the machine is."""

from jaxtyping import install_import_hook

WITH_TENSORS = ("randomness", "tasks", "formats", "supervision", "models", "training", "theory")

install_import_hook([f"waymarks.{name}" for name in WITH_TENSORS], "beartype.beartype")

import hypothesis  # noqa: E402 - the hook comes before anything that imports waymarks
import torch  # noqa: E402

torch.set_num_threads(1)

hypothesis.settings.register_profile(
    "waymarks", deadline=None, max_examples=30, derandomize=True, database=None
)
hypothesis.settings.load_profile("waymarks")
