"""A checkpoint can be cut off at any byte, or altered, without the run being lost."""

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from waymarks.training import checkpoints
from waymarks.training.checkpoints import (
    checkpoint_files,
    load_checkpoint,
    save_checkpoint,
    whole_checkpoints,
    write_atomically,
)

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def state_at(update: int) -> tuple[dict[str, torch.Tensor], dict[str, float | int]]:
    tensors = {
        "network.weight": torch.full((3, 2), float(update)),
        "labels_seen": torch.tensor([update, 7]),
        "half": torch.tensor([0.5, float("nan")], dtype=torch.float16),
        "scalar": torch.tensor(2.5),
    }
    return tensors, {"update": update, "seconds": 0.1 + update, "solved_in_a_row": 0}


def save_at(folder: Path, *updates: int) -> list[Path]:
    return [save_checkpoint(folder, *state_at(update)) for update in updates]


def updates_of_whole(folder: Path) -> list[float | int]:
    return [checkpoint.counts["update"] for checkpoint in whole_checkpoints(folder)]


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    (path,) = save_at(tmp_path, 5)
    checkpoint = load_checkpoint(path)
    assert checkpoint is not None
    tensors, counts = state_at(5)
    assert checkpoint.counts == counts
    assert checkpoint.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        loaded = checkpoint.tensors[name]
        assert loaded.dtype == tensor.dtype
        assert loaded.shape == tensor.shape
        assert loaded.numpy().tobytes() == tensor.numpy().tobytes()


def test_tensors_that_are_views_or_learned_are_saved_as_they_look(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.arange(6.0).view(2, 3))
    path = save_checkpoint(tmp_path, {"turned": weight.t()}, {"update": 1})
    checkpoint = load_checkpoint(path)
    assert checkpoint is not None
    assert checkpoint.tensors["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_the_newest_and_the_one_before_it_are_kept(tmp_path: Path) -> None:
    save_at(tmp_path, 5, 900, 1_000, 20_000)
    assert updates_of_whole(tmp_path) == [20_000, 1_000]
    assert len(list(tmp_path.iterdir())) == 2


@in_one_folder
@given(data=st.data())
def test_cut_off_anywhere_it_is_not_read_and_the_one_before_it_is(
    tmp_path: Path, data: st.DataObject
) -> None:
    _, newest = save_at(tmp_path, 1, 2)
    whole = newest.read_bytes()
    newest.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert load_checkpoint(newest) is None
    assert updates_of_whole(tmp_path) == [1]


@in_one_folder
@given(data=st.data())
def test_with_any_bit_altered_it_is_not_read_and_the_one_before_it_is(
    tmp_path: Path, data: st.DataObject
) -> None:
    _, newest = save_at(tmp_path, 1, 2)
    altered = bytearray(newest.read_bytes())
    place = data.draw(st.integers(0, len(altered) - 1))
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    newest.write_bytes(altered)
    loaded = load_checkpoint(newest)
    assert loaded is None or same_content(loaded, 2), f"byte {place}"
    assert updates_of_whole(tmp_path)[-1] == 1


def same_content(checkpoint: checkpoints.Checkpoint, update: int) -> bool:
    """Some bytes hold nothing: blanks between the header's words."""
    tensors, counts = state_at(update)
    return checkpoint.counts == counts and all(
        tensor.numpy().tobytes() == checkpoint.tensors[name].numpy().tobytes()
        for name, tensor in tensors.items()
    )


def test_every_byte_of_a_tensor_and_every_count_is_guarded(tmp_path: Path) -> None:
    (path,) = save_at(tmp_path, 3)
    whole = path.read_bytes()
    body = 8 + int.from_bytes(whole[:8], "little")
    digits = whole.index(b"3.1")
    for place in [digits, digits + 2, *range(body, len(whole))]:
        altered = bytearray(whole)
        altered[place] ^= 1
        path.write_bytes(altered)
        assert load_checkpoint(path) is None, f"byte {place}"


def fail(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    save_at(tmp_path, 1, 2)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            save_at(tmp_path, 3)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_one_that_reads_back_different_removes_no_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_at(tmp_path, 1, 2)
    with monkeypatch.context() as broken:
        broken.setattr(checkpoints, "save", lambda *given: save(*given)[:-1])
        with pytest.raises(OSError, match="does not read back"):
            save_at(tmp_path, 3)
    assert updates_of_whole(tmp_path) == [2, 1]


def test_what_an_interrupted_write_left_is_no_checkpoint_and_is_cleared(tmp_path: Path) -> None:
    leftover = tmp_path / ".checkpoint-000000000009.safetensors.123.unfinished"
    leftover.write_bytes(b"half")
    assert checkpoint_files(tmp_path) == []
    save_at(tmp_path, 1)
    assert not leftover.exists()


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "status.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(path, b"three")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


class Burglar:
    """What a pickle can do when it is loaded: here, make a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.mark), "w"))


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "was here"
    path, *_ = save_at(tmp_path, 1)
    path.write_bytes(pickle.dumps(Burglar(mark)))
    assert load_checkpoint(path) is None
    torch.save({"weight": Burglar(mark)}, path)
    assert load_checkpoint(path) is None
    assert not mark.exists()


@pytest.mark.parametrize("metadata", [None, {}, {"digest": "0"}, {"counts": "{}", "digest": "0"}])
def test_tensors_that_no_run_saved_are_not_taken_for_a_checkpoint(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = tmp_path / "checkpoint-000000000001.safetensors"
    path.write_bytes(save({"weight": torch.ones(2)}, metadata))
    assert load(path.read_bytes()).keys() == {"weight"}
    assert load_checkpoint(path) is None
    assert load_checkpoint(tmp_path / "missing.safetensors") is None


def test_after_torn_ones_the_next_is_kept_with_the_whole_one_before_it(tmp_path: Path) -> None:
    for path in save_at(tmp_path, 10, 20)[1:]:
        path.write_bytes(path.read_bytes()[:-1])
    save_at(tmp_path, 15)
    assert updates_of_whole(tmp_path) == [15, 10]
    save_at(tmp_path, 30)
    assert updates_of_whole(tmp_path) == [30, 15]


def test_one_saved_after_going_back_to_the_start_is_not_lost(tmp_path: Path) -> None:
    """As when the newer ones cannot be used, because the evaluations before them were lost."""
    save_at(tmp_path, 20, 30)
    save_at(tmp_path, 5)
    assert updates_of_whole(tmp_path) == [5]


def test_a_torn_one_before_it_does_not_take_the_place_of_a_whole_one(tmp_path: Path) -> None:
    _, torn = save_at(tmp_path, 10, 20)
    torn.write_bytes(torn.read_bytes()[:-1])
    save_at(tmp_path, 30)
    assert updates_of_whole(tmp_path) == [30, 10]
