"""Weights & Biases, offline unless told otherwise: `wandb sync <study>/trackers/wandb/wandb/*`."""

import contextlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from waymarks.trackers.base import Metrics, Subject, Tracker, numbers
from waymarks.trackers.tracking import PATIENCE

HEADER, BLOCK = 7, 32768
"""Bytes at the start of a W&B file and of each piece of a record in it; of a block of pieces."""

WHOLE, LAST = 1, 4
"""The kinds of piece that end a record."""


class WeightsAndBiases(Tracker):
    """A W&B run whose id is the experiment's identity, in a group named like the study.

    `WANDB_MODE` and `WANDB_PROJECT` are honoured. Offline, W&B cannot go on in the files of an
    earlier process: a resumed run is a second offline run with the same id that holds what the
    first one lacks, and `wandb sync --append` joins them.
    """

    name = "wandb"
    library = "wandb"

    def begin(self, subject: Subject, folder: Path) -> int:
        os.environ.setdefault("WANDB_FINISH_TIMEOUT", str(PATIENCE))
        import wandb

        mode: Any = os.environ.get("WANDB_MODE", "offline")
        newest = _newest(folder, subject.identity) if mode == "offline" else -1
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
        return max(newest, int(self._run.step) - 1)

    def log(self, metrics: Metrics) -> None:
        self._run.log(dict(numbers(metrics)), step=metrics["update"])

    def end(self, state: str) -> None:
        self._run.finish(exit_code=0 if state == "finished" else 1)


def _newest(folder: Path, identity: str) -> int:
    """The newest update that is whole in the offline files of a run."""
    files = folder.glob(f"wandb/offline-run-*/run-{identity}.wandb")
    return max((update for file in files for update in _updates(file.read_bytes())), default=-1)


def _updates(data: bytes) -> Iterator[int]:
    """The steps logged in a W&B file, up to where it was cut off."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    with contextlib.suppress(DecodeError):
        for record in _records(data):
            for item in Record.FromString(record).history.item:
                if "_step" in (item.key, *item.nested_key):
                    yield int(json.loads(item.value_json))


def _records(data: bytes) -> Iterator[bytes]:
    """The whole records of a file in LevelDB's log format: records in pieces, none of which
    crosses the end of a block."""
    place, record = HEADER, b""
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + HEADER])
        place += HEADER + length
        if not kind or place > len(data):
            return
        record += data[place - length : place]
        if kind in (WHOLE, LAST):
            yield record
            record = b""
