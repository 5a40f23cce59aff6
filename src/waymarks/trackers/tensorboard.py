"""TensorBoard: `tensorboard --logdir <study>/trackers/tensorboard`."""

import json
import re
from pathlib import Path
from typing import Any

from waymarks.trackers.base import Metrics, Subject, Tracker, numbers

PROBE = "examples"
"""A column that every evaluation has."""


class TensorBoard(Tracker):
    """Event files, one folder per run, named by what the run is and its identity.

    A resumed run goes on in a new event file of the same folder, which TensorBoard joins to the
    earlier ones. TensorBoard keeps numbers in single precision.
    """

    name = "tensorboard"
    library = "tensorboard"

    def begin(self, subject: Subject, folder: Path) -> int:
        from torch.utils.tensorboard import SummaryWriter

        plain = re.sub(r"[^\w=.+-]+", "-", subject.title)[:80]
        own = next(folder.glob(f"*{subject.identity}"), folder / f"{plain}-{subject.identity}")
        newest = _newest(own)
        self._writer: Any = SummaryWriter(str(own))
        if newest < 0:
            described = json.dumps(subject.experiment, indent=2)
            self._writer.add_text("experiment", f"```json\n{described}\n```", 0)
        return newest

    def log(self, metrics: Metrics) -> None:
        for name, value in numbers(metrics):
            self._writer.add_scalar(name, value, metrics["update"])
        self._writer.flush()

    def end(self, state: str) -> None:
        self._writer.close()


def _newest(folder: Path) -> int:
    """The newest update that is whole in the event files of a folder."""
    if not folder.is_dir():
        return -1
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stored = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    stored.Reload()
    if PROBE not in stored.Tags()["scalars"]:
        return -1
    return max(int(event.step) for event in stored.Scalars(PROBE))
