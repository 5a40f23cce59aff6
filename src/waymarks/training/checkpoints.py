"""Checkpoints that can be cut off at any byte without the run being lost."""

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

NAME = re.compile(r"checkpoint-(\d{12})\.safetensors")
"""A whole checkpoint; while it is being written it has another name."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        tensors: by name.
        counts: the plain numbers that go with them.
    """

    tensors: Mapping[str, Tensor]
    counts: Mapping[str, float | int]


def write_atomically(path: Path, data: bytes, *, flush: bool = True) -> None:
    """Writes a file that is, whenever one looks, either as it was before or whole.

    It is written beside its place, flushed to the disk and renamed into place.

    Args:
        path: its place.
        data: all of it.
        flush: whether to wait for the disk, so that not even a power failure loses it.

    Raises:
        OSError: there is no room, or the folder cannot be written; what was there before stays.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            file.write(data)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    if flush:
        _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(tensors: Mapping[str, Tensor], counts: str) -> str:
    digest = hashlib.blake2b(counts.encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(
    folder: Path, tensors: Mapping[str, Tensor], counts: Mapping[str, float | int]
) -> Path:
    """Writes a checkpoint, verifies it, and only then removes all but it and the whole one before.

    Args:
        folder: the run's folder.
        tensors: the state; copied to the CPU.
        counts: must hold `update`, which orders checkpoints.

    Raises:
        OSError: it could not be written, or reads back different; earlier ones stay.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    counted = json.dumps(dict(counts), sort_keys=True)
    metadata = {"counts": counted, "digest": _digest(on_cpu, counted)}
    path = folder / f"checkpoint-{int(counts['update']):012d}.safetensors"
    write_atomically(path, save(on_cpu, metadata))
    if load_checkpoint(path) is None:
        raise OSError(f"{path} does not read back as it was written")
    files = checkpoint_files(folder)
    before = next((file for file in files if file < path and load_checkpoint(file)), path)
    for file in files:
        if file not in (path, before):
            file.unlink(missing_ok=True)
    for leftover in folder.glob(".*.unfinished"):
        leftover.unlink(missing_ok=True)
    return path


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first, whole or not."""
    return sorted((file for file in folder.iterdir() if NAME.fullmatch(file.name)), reverse=True)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Reads a checkpoint onto the CPU, or None where it is torn or altered."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _digest(tensors, metadata["counts"]) != metadata["digest"]:
            return None
        return Checkpoint(tensors, json.loads(metadata["counts"]))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def whole_checkpoints(folder: Path) -> Iterator[Checkpoint]:
    """The checkpoints of a run that are whole, newest first."""
    for path in checkpoint_files(folder):
        checkpoint = load_checkpoint(path)
        if checkpoint is not None:
            yield checkpoint
