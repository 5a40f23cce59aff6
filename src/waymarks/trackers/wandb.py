"""Weights & Biases, offline unless told otherwise: `wandb sync <study>/trackers/wandb/wandb/*`."""

import os
from pathlib import Path
from typing import Any

from waymarks.trackers.base import Metrics, Subject, Tracker, numbers
from waymarks.trackers.tracking import PATIENCE
from waymarks.training.checkpoints import write_atomically


class WeightsAndBiases(Tracker):
    """A W&B run whose id is the experiment's identity, in a group named like the study.

    `WANDB_MODE` and `WANDB_PROJECT` are honoured. Offline, W&B cannot go on in the files of an
    earlier process: a resumed run is a second offline run with the same id, which `wandb sync
    --append` joins to the first. W&B writes with some delay and cannot say offline what it holds,
    so the update that was logged last is kept beside its files; what it had not written when the
    whole machine was lost is missing there.
    """

    name = "wandb"
    library = "wandb"

    def begin(self, subject: Subject, folder: Path) -> int:
        os.environ.setdefault("WANDB_FINISH_TIMEOUT", str(PATIENCE))
        import wandb

        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._logged = folder / f"{subject.identity}.logged"
        self._run: Any = wandb.init(
            id=subject.identity,
            name=subject.title,
            project=os.environ.get("WANDB_PROJECT", "waymarks"),
            group=subject.study,
            config=dict(subject.experiment),
            dir=str(folder),
            mode=mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True),
        )
        newest = int(self._logged.read_text()) if self._logged.exists() else -1
        return max(newest, int(self._run.step) - 1)

    def log(self, metrics: Metrics) -> None:
        self._run.log(dict(numbers(metrics)), step=metrics["update"])
        write_atomically(self._logged, str(metrics["update"]).encode())

    def end(self, state: str) -> None:
        self._run.finish(exit_code=0 if state == "finished" else 1)
