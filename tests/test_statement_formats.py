"""Statements of tokens: what stands at each position, and where each step is read."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.builders import RunningTotal, learner_of, tiny_experiment

from waymarks.axes import Axis
from waymarks.errors import UserError
from waymarks.formats import ClsToken, Format, StatementFormat, TokenClassification, Tokens
from waymarks.models import BERT, GPT2
from waymarks.randomness import Rng
from waymarks.supervision import EveryStep, FinalOnly, SparseSteps
from waymarks.tasks import Binary, ParitySum, Problems, Step, Task
from waymarks.training import Evaluated, train

TASK = RunningTotal(names=3, modulus=4)
BY_HAND = TASK.problems(torch.tensor([[1, 2, 0], [0, 1, 2]]), torch.tensor([[3, 0, 2], [1, 1, 1]]))
"""`b = 0; c = 2; a = 3;` and `a = 1; b = 1; c = 1;`."""
ASKED = torch.tensor([2, 2])
FORMATS = [
    form(punctuation=punctuation)
    for form in (TokenClassification, ClsToken)
    for punctuation in (False, True)
]


def written(form: StatementFormat, problems: Problems = BY_HAND, task: Task = TASK) -> list[str]:
    """The text of each example."""
    symbols = form.symbols(task)
    tokens = form.write(task, problems, ASKED).tokens
    return [" ".join(symbols[number] for number in row) for row in tokens.tolist()]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (TokenClassification(), ["b 0 c 2 a 3", "a 1 b 1 c 1"]),
        (TokenClassification(punctuation=True), ["b = 0 ; c = 2 ; a = 3 ;", None]),
        (ClsToken(), ["[CLS] b 0 c 2 a 3", "[CLS] a 1 b 1 c 1"]),
        (ClsToken(punctuation=True), ["[CLS] b = 0 ; c = 2 ; a = 3 ;", None]),
    ],
)
def test_what_is_written(form: StatementFormat, text: list[str | None]) -> None:
    for found, expected in zip(written(form), text, strict=True):
        assert expected in (None, found)


@pytest.mark.parametrize(
    ("form", "read_at"),
    [
        (TokenClassification(), [[4, 0, 2], [0, 2, 4]]),
        (TokenClassification(punctuation=True), [[8, 0, 4], [0, 4, 8]]),
        (ClsToken(), [[0], [0]]),
        (ClsToken(punctuation=True), [[0], [0]]),
    ],
)
def test_where_it_is_read(form: StatementFormat, read_at: list[list[int]]) -> None:
    """Each step at the first token of its own statement, which is its name; or all at [CLS]."""
    inputs = form.write(TASK, BY_HAND, ASKED)
    assert isinstance(inputs, Tokens)
    assert inputs.read_at.tolist() == read_at
    symbols = form.symbols(TASK)
    first = [symbols[inputs.tokens[0, place]] for place in read_at[0]]
    assert first == (["a", "b", "c"] if len(first) == 3 else ["[CLS]"])


def test_the_numbers_of_the_tokens_are_the_tasks_own() -> None:
    """Its symbols come first: a network sees the same numbers whichever format adds to them."""
    for form in FORMATS:
        assert form.symbols(TASK)[:7] == ("a", "b", "c", "0", "1", "2", "3")
    inputs = TokenClassification().write(TASK, BY_HAND, ASKED)
    assert isinstance(inputs, Tokens)
    assert inputs.tokens.tolist() == [[1, 3, 2, 5, 0, 6], [0, 4, 1, 4, 2, 4]]


@pytest.mark.parametrize("form", FORMATS)
def test_the_layout_is_the_shape_of_what_is_written(form: StatementFormat) -> None:
    layout, inputs = form.layout(TASK), form.write(TASK, BY_HAND, ASKED)
    assert isinstance(inputs, Tokens)
    assert layout.tokens
    assert inputs.tokens.shape == (2, layout.positions)
    assert inputs.read_at.shape == (2, layout.reads)
    assert layout.features == len(form.symbols(TASK)) == len(set(form.symbols(TASK)))
    assert layout.answer_of_step == (0, 1, 2)
    assert layout.answers == 3
    assert layout.outputs == 4
    assert not form.asks_one_step


def test_the_vocabulary_has_the_marks_only_where_they_are_written() -> None:
    assert TokenClassification().layout(TASK).features == 8
    assert TokenClassification(punctuation=True).layout(TASK).features == 10
    assert {"=", ";"} <= set(ClsToken(punctuation=True).symbols(TASK))
    assert not {"=", ";"} & set(ClsToken().symbols(TASK))


@pytest.mark.parametrize("form", FORMATS)
@given(seed=st.integers(0, 10**6), names=st.integers(1, 6), modulus=st.integers(2, 9))
def test_the_trace_can_be_computed_from_what_is_written(
    form: StatementFormat, seed: int, names: int, modulus: int
) -> None:
    task = RunningTotal(names=names, modulus=modulus)
    problems = task.sample(3, Rng.of(seed, "train", 0))
    inputs = form.write(task, problems, torch.zeros(3, dtype=torch.int64))
    assert isinstance(inputs, Tokens)
    for row, text in enumerate(written(form, problems, task)):
        words = [word for word in text.split() if word not in ("=", ";", "[CLS]")]
        digits = {name: int(digit) for name, digit in zip(words[::2], words[1::2], strict=True)}
        values = [digits[name] for name in sorted(digits)]
        trace = [sum(values[: step + 1]) % modulus for step in range(names)]
        assert problems.answers[row].tolist() == trace
        if isinstance(form, TokenClassification):
            read = [text.split()[place] for place in inputs.read_at[row].tolist()]
            assert read == sorted(digits)


def test_statements_of_one_sign_each_are_the_bits_of_a_parity() -> None:
    task = ParitySum(bits=6)
    problems = task.sample(2, Rng.of(0, "train", 0))
    signs = ["".join("+" if bit > 0 else "-" for bit in row) for row in problems.given["bits"]]
    found = written(ClsToken(), problems, task)
    assert found == [" ".join(["[CLS]", *row]) for row in signs]
    assert ClsToken().layout(task).positions == 7


class OfTwoKinds(RunningTotal):
    """One of which the last step is a sign."""

    @property
    def steps(self) -> tuple[Step, ...]:
        return (*super().steps[:-1], Step("last", Binary()))


@pytest.mark.parametrize("form", FORMATS)
def test_there_are_as_many_numbers_as_the_step_that_needs_most(form: StatementFormat) -> None:
    assert form.layout(OfTwoKinds(modulus=7)).outputs == 7


class WithoutStatements(RunningTotal):
    """A task that is not written as statements."""

    @property
    def notation(self) -> None:
        return None


def test_a_task_that_cannot_be_written_so_is_refused() -> None:
    for form in FORMATS:
        with pytest.raises(UserError, match=f"{type(form).__name__} writes statements.*Without"):
            form.layout(WithoutStatements())
    with pytest.raises(UserError, match="steps of ParitySum have none; use ClsToken"):
        TokenClassification().layout(ParitySum(bits=4))
    with pytest.raises(ValidationError, match="use ClsToken"):
        tiny_experiment(format=TokenClassification())


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_survives_a_file(form: Axis) -> None:
    data = json.loads(form.model_dump_json())
    assert data["type"] == type(form).__name__
    assert Format.model_validate(data) == form


@pytest.mark.parametrize(
    ("data", "what_is_said"),
    [
        ({"type": "StatementFormat"}, "unknown format 'StatementFormat'"),
        ({"type": "ClsTokens"}, "did you mean ClsToken"),
        ({"type": "ClsToken", "punctuation": "perhaps"}, "boolean"),
        ({"type": "ClsToken", "marks": True}, "marks"),
    ],
)
def test_a_format_that_there_is_not_is_refused(data: dict[str, Any], what_is_said: str) -> None:
    with pytest.raises(ValidationError, match=what_is_said):
        Format.model_validate(data)


@pytest.mark.parametrize("form", [TokenClassification(punctuation=True), ClsToken()])
def test_a_network_learns_from_it(form: Format) -> None:
    """Chance is a third; it took 150 updates or less to be right each time."""
    experiment = tiny_experiment(
        task=RunningTotal(names=2, modulus=3),
        format=form,
        supervision=EveryStep(),
        model=BERT(width=32, depth=2, heads=2, norm="pre"),
        updates=1000,
        learning_rate=3e-3,
        evaluate_every=50,
        solved_evaluations=1,
    )
    events = train(experiment, learner_of(experiment))
    last = [event for event in events if isinstance(event, Evaluated)][-1]
    assert last.final_step_solved


@pytest.mark.parametrize("supervision", [EveryStep(), SparseSteps(rate=0.5)])
def test_where_the_input_asks_one_step_the_answers_of_several_cannot_be_told(
    supervision: EveryStep | SparseSteps,
) -> None:
    with pytest.raises(ValidationError, match=r"answers one step.*reveals more; use FinalOnly"):
        tiny_experiment(supervision=supervision)
    tiny_experiment(supervision=supervision, format=ClsToken(), model=BERT(width=32, heads=2))
    for alone in (FinalOnly(), SparseSteps(rate=0)):
        tiny_experiment(supervision=alone)


def test_a_model_that_looks_back_only_is_refused_where_it_is_read_first() -> None:
    """At `[CLS]`, before everything else, a causal model would see nothing."""
    with pytest.raises(ValidationError, match="GPT2 looks back only"):
        tiny_experiment(format=ClsToken(), supervision=FinalOnly(), model=GPT2())
    tiny_experiment(format=ClsToken(), supervision=FinalOnly(), model=BERT())
