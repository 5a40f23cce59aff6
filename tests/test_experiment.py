"""What can be asked, and what is refused: an experiment as data and as a file."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import tiny_experiment

from waymarks.errors import UserError
from waymarks.formats import TaskVector
from waymarks.models import GPT2
from waymarks.studies import Experiment
from waymarks.studies.experiment import SCHEMA
from waymarks.studies.run import read_experiment
from waymarks.supervision import AskOne, FinalOnly
from waymarks.tasks import ParitySum
from waymarks.training import Training

PAPER = {
    "task": {"type": "ParitySum", "bits": 50},
    "supervision": {"type": "AskOne", "sum": 0.1, "parity": 0.9},
    "format": {"type": "TaskVector"},
    "model": {"type": "GPT2", "width": 128, "depth": 6, "heads": 4},
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def changed(path: str, value: object) -> dict[str, Any]:
    data = tiny_experiment().model_dump(mode="json")
    place = data
    *parents, last = path.split(".")
    for part in parents:
        place = place[part]
    place[last] = value
    return data


def test_a_file_says_what_python_says() -> None:
    in_python = Experiment(
        task=ParitySum(bits=50, subset=25),
        supervision=AskOne(sum=0.1, parity=0.9),
        format=TaskVector(),
        model=GPT2(width=128, depth=6, heads=4),
        training=Training(),
        seed=0,
    )
    assert Experiment.parse(PAPER) == in_python


def test_a_written_experiment_reads_back_equal(tmp_path: Path) -> None:
    experiment = tiny_experiment(seed=3)
    path = tmp_path / "experiment.json"
    path.write_text(experiment.model_dump_json())
    assert read_experiment(path) == experiment
    assert read_experiment(path).identity == experiment.identity


def test_identity_depends_on_content_and_not_on_how_it_is_written() -> None:
    spelled_out = Experiment.parse(
        {**PAPER, "task": {"subset": 25, "bits": 50, "type": "ParitySum"}}
    )
    assert spelled_out.identity == Experiment.parse(PAPER).identity
    with_defaults = {**PAPER, "seed": 0, "training": {"updates": 100_000, "learning_rate": 2e-4}}
    assert Experiment.parse(with_defaults).identity == Experiment.parse(PAPER).identity


def test_the_identity_of_the_papers_experiment_never_changes() -> None:
    """Runs on disk are found by it: if this fails, a default or the schema was changed."""
    assert Experiment.parse(PAPER).identity == "2c5e9d605efabb42"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("task.bits", 8),
        ("task.subset", 2),
        ("supervision", {"type": "FinalOnly"}),
        ("model.width", 64),
        ("training.learning_rate", 1e-4),
        ("training.precision", "bfloat16"),
        ("seed", 1),
    ],
)
def test_every_difference_makes_another_identity(path: str, value: object) -> None:
    assert Experiment.parse(changed(path, value)).identity != tiny_experiment().identity


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("task.bits", 7, "larger than"),
        ("task.subset", 7, "subset (7) is larger than bits (6)"),
        ("task.subset", 0, "greater than or equal to 1"),
        ("task.bits", "6", "task.bits"),
        ("task.type", "ParitySumm", "did you mean ParitySum?"),
        ("task.bitts", 6, "did you mean bits?"),
        ("supervision.sum", 1.5, "less than or equal to 1"),
        ("supervision.sum", -0.5, "greater than or equal to 0"),
        ("supervision", {"type": "AskOne", "sum": 0.2, "parity": 0.2}, "sum to 0.4, not 1"),
        ("supervision", {"type": "AskOne", "sums": 0.5, "parity": 0.5}, "did you mean sum?"),
        ("supervision", {"sum": 0.5}, "needs a 'type'"),
        ("format", "TaskVector", "format"),
        ("model.heads", 3, "not a multiple of heads"),
        ("model.type", ["GPT2"], "unknown model"),
        ("training.updates", 0, "training.updates"),
        ("training.updates", -5, "training.updates"),
        ("training.updates", 1.5, "training.updates"),
        ("training.learning_rate", float("nan"), "training.learning_rate"),
        ("training.learning_rte", 1e-3, "did you mean learning_rate?"),
        ("training.precision", "float16", "bfloat16"),
        ("seed", -1, "seed"),
        ("sead", 1, "did you mean seed?"),
    ],
)
def test_a_mistake_is_refused_with_its_place(path: str, value: object, said: str) -> None:
    if path == "task.bits" and value == 7:
        data = changed("task", {"type": "ParitySum", "bits": 2, "subset": 3})
    else:
        data = changed(path, value)
    with pytest.raises(UserError) as refused:
        Experiment.parse(data)
    assert said in str(refused.value)


def test_odd_bits_need_a_subset() -> None:
    with pytest.raises(UserError, match="bits is odd"):
        Experiment.parse(changed("task", {"type": "ParitySum", "bits": 7}))
    Experiment.parse(changed("task", {"type": "ParitySum", "bits": 7, "subset": 3}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not whole JSON"),
        (json.dumps(PAPER).encode()[:-20], "not whole JSON"),
        (b"task: ParitySum", "not whole JSON"),
        (pickle.dumps(PAPER), "not text"),
        (b"[1, 2]", "JSON object"),
        (json.dumps({"schema": SCHEMA + 1, "experiment": PAPER}).encode(), "newer waymarks"),
        (json.dumps({"schema": "one", "experiment": PAPER}).encode(), "schema"),
        (b"[" * 100_000, "not whole JSON"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "experiment.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_experiment(path)
    assert str(path) in str(refused.value)
    assert said in str(refused.value)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    path = tmp_path / "experiment.json"
    path.write_bytes(pickle.dumps(Trap(), protocol=0))
    with pytest.raises(UserError):
        read_experiment(path)
    assert not (tmp_path / "executed").exists()


def is_refused_in_one_line_or_read(path: Path) -> None:
    try:
        read_experiment(path)
    except UserError as refused:
        said = str(refused)
    else:
        return
    assert "\n" not in said
    assert len(said) > len(str(path))


@given(content=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_a_file_holds_it_is_an_experiment_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "experiment.json"
    path.write_bytes(content)
    is_refused_in_one_line_or_read(path)


PLACES = [
    "task", "task.type", "task.bits", "task.subset", "supervision", "supervision.type",
    "supervision.sum", "format", "format.type", "model", "model.width", "model.depth",
    "training", "training.updates", "training.learning_rate", "training.precision", "seed",
    "something", "task.something", "training.something",
]  # fmt: skip


@given(path=st.sampled_from(PLACES), value=JSON)
def test_whatever_stands_in_a_field_it_is_an_experiment_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, path: str, value: object
) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "experiment.json"
    file.write_text(json.dumps(changed(path, value)))
    is_refused_in_one_line_or_read(file)


def test_a_field_is_changed_by_its_path() -> None:
    experiment = tiny_experiment()
    assert experiment.with_field("training.learning_rate", 0.5).training.learning_rate == 0.5
    asked = experiment.with_field("supervision", {"type": "FinalOnly"})
    assert asked.supervision == FinalOnly()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("training.learning_rat", "did you mean learning_rate?"),
        ("trainin.learning_rate", "did you mean training?"),
        ("seed.value", "no fields of its own"),
        ("", "unknown field"),
    ],
)
def test_an_unknown_field_is_not_set(path: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        tiny_experiment().with_field(path, 1)
    assert said in str(refused.value)
