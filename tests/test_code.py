"""Every statement of every program, executed by Python itself."""

import json
import re
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import chisquare

from waymarks.errors import UserError
from waymarks.randomness import Rng
from waymarks.tasks import Classes, Code, Problems, Task

FALSE_ALARM = 1e-6
OPERATORS = ("=", "+=", "-=", "*=", "//=")


def tasks() -> st.SearchStrategy[Code]:
    return st.builds(
        Code,
        statements=st.integers(1, 12),
        modulus=st.integers(2, 30) | st.just(250),
        reassign=st.booleans(),
    )


def train(task: Code, count: int, index: int = 0) -> Problems:
    return task.sample(count, Rng.of(0, "train", index))


def oracle(text: str, modulus: int) -> list[int]:
    """The values of x, from Python's interpreter."""
    scope: dict[str, Any] = {"__builtins__": {}}
    values = []
    for statement in text.removesuffix(";").split(";"):
        exec(f"{statement.strip()}; x %= {modulus}", scope)
        values.append(scope["x"])
    return values


@given(tasks(), st.integers(0, 2**32), st.integers(0, 1000), st.integers(1, 30))
def test_every_step_of_every_example_is_what_python_computes(
    task: Code, seed: int, index: int, count: int
) -> None:
    problems = task.sample(count, Rng.of(seed, "train", index))
    shape = (count, task.statements)
    assert problems.given["statements"].shape == (*shape, 2)
    assert problems.answers.shape == shape
    own = problems.given["statement_of_step"]
    assert torch.equal(own, torch.arange(task.statements).expand(shape))
    for answers, text in zip(problems.answers.tolist(), task.render(problems), strict=True):
        assert answers == oracle(text, task.modulus)


@pytest.mark.parametrize("modulus", [2, 3, 10])
def test_every_operation_on_every_value_is_what_python_computes(modulus: int) -> None:
    for value, operator, number in product(range(modulus), OPERATORS, range(modulus)):
        if operator != "//=" or number != 0:
            text = f"x = {value}; x {operator} {number};"
            task, problems = Code.parse(text, modulus)
            assert task == Code(statements=2, modulus=modulus, reassign=operator == "=")
            assert problems.answers[0].tolist() == oracle(text, modulus)


def test_the_papers_example_has_these_values() -> None:
    text = "x = 7; x -= 1; x *= 3; x //= 2; x += 5;"
    task, problems = Code.parse(text)
    assert task == Code(statements=5)
    assert problems.answers[0].tolist() == [7, 6, 8, 4, 9]
    assert task.render(problems) == [text]


@given(tasks())
def test_a_statement_is_written_as_its_operator_and_its_number(task: Code) -> None:
    problems, notation = train(task, 3), task.notation
    assert notation.symbols == (*map(str, range(task.modulus)), *OPERATORS)
    assert (notation.count, notation.tokens, notation.own) == (task.statements, 2, True)
    for program, text in zip(problems.given["statements"], task.render(problems), strict=True):
        pieces = [
            part if isinstance(part, str) else notation.symbols[statement[part]]
            for statement in program.tolist()
            for part in notation.punctuated
        ]
        assert pieces == re.findall(r"[^x\s;]+", text)


def test_the_vocabulary_of_the_paper_is_fifteen_and_one_for_the_whole() -> None:
    assert len(Code().notation.symbols) + len(["[CLS]"]) == 16


@given(tasks(), st.integers(0, 100))
def test_what_is_rendered_is_parsed_to_the_same_problem(task: Code, index: int) -> None:
    problems = train(task, 1, index)
    [text] = task.render(problems)
    assigns_again = " = " in text[text.index(";") :]
    for spaced in (text, text.replace(" ", ""), f"\n {text}\t".replace("x", "x\n")):
        parsed_task, parsed = Code.parse(spaced, modulus=task.modulus)
        assert parsed_task == task.model_copy(update={"reassign": assigns_again})
        assert parsed.given.keys() == problems.given.keys()
        for name, tensor in problems.given.items():
            assert parsed.given[name].dtype == tensor.dtype
            assert torch.equal(parsed.given[name], tensor)
        assert torch.equal(parsed.answers, problems.answers)


def test_each_step_is_the_value_of_x_and_depends_on_the_one_before() -> None:
    steps = Code(statements=3, modulus=7).steps
    assert [(step.name, step.depends_on) for step in steps] == [
        ("x after 1", ()),
        ("x after 2", ("x after 1",)),
        ("x after 3", ("x after 2",)),
    ]
    assert {step.kind for step in steps} == {Classes(7)}


@pytest.mark.parametrize("reassign", [False, True])
@pytest.mark.parametrize("modulus", [2, 10])
def test_operators_are_uniform_and_so_are_the_numbers_of_each(modulus: int, reassign: bool) -> None:
    task = Code(modulus=modulus, reassign=reassign)
    tokens = train(task, 20_000).given["statements"].long()
    operators, numbers = tokens[..., 0] - modulus, tokens[..., 1]
    assert (operators[:, 0] == 0).all()
    allowed = range(0 if reassign else 1, 5)
    for statement in (1, 2, task.statements - 1):
        often = operators[:, statement].bincount(minlength=5)
        assert often.count_nonzero() == len(allowed)
        assert chisquare(often[allowed.start :].numpy()).pvalue > FALSE_ALARM
    for operator in allowed:
        often = numbers[:, 1:][operators[:, 1:] == operator].bincount(minlength=modulus)
        divides = OPERATORS[operator] == "//="
        assert not (divides and often[0])
        if modulus - divides > 1:
            assert chisquare(often[int(divides) :].numpy()).pvalue > FALSE_ALARM
    often = numbers[:, 0].bincount(minlength=modulus)
    assert chisquare(often.numpy()).pvalue > FALSE_ALARM


def every_text(task: Code) -> set[str]:
    numbers = range(task.modulus)
    first = [f"x = {number};" for number in numbers]
    later = [
        f"x {operator} {number};"
        for operator in (OPERATORS if task.reassign else OPERATORS[1:])
        for number in numbers
        if operator != "//=" or number
    ]
    return {" ".join(program) for program in product(first, *[later] * (task.statements - 1))}


@pytest.mark.parametrize(
    "task",
    [
        Code(statements=1),
        Code(statements=2, modulus=5),
        Code(statements=3, modulus=3, reassign=True),
        Code(statements=3, modulus=2),
    ],
    ids=repr,
)
def test_every_input_there_is_comes_up(task: Code) -> None:
    problems = train(task, 30_000)
    inputs = problems.given["statements"].unique(dim=0)
    texts = task.render(Problems({"statements": inputs}, torch.zeros(len(inputs), 1)))
    assert set(texts) == every_text(task)
    assert task.distinct_inputs == len(texts)


def test_the_number_of_inputs_is_exact_however_many_there_are() -> None:
    assert Code().distinct_inputs == 10 * 39**9
    assert Code(reassign=True).distinct_inputs == 10 * 49**9


def test_examples_are_a_function_of_seed_stream_and_index_alone() -> None:
    task = Code()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = task.sample(8, Rng.of(3, "train", 5))
    assert torch.equal(torch.get_rng_state(), state)
    again = task.sample(8, Rng.of(3, "train", 5))
    assert task.render(again) == task.render(first)
    assert torch.equal(again.answers, first.answers)
    for other in [Rng.of(4, "train", 5), Rng.of(3, "evaluation", 5), Rng.of(3, "train", 6)]:
        assert not set(task.render(task.sample(8, other))) & set(task.render(first))


@given(tasks())
def test_a_task_is_the_same_after_json(task: Code) -> None:
    assert Task.model_validate(json.loads(task.model_dump_json())) == task


@pytest.mark.parametrize(
    ("text", "place", "what_is_said"),
    [
        ("", "line 1, column 1", "empty"),
        ("\n\n", "line 3, column 1", "empty"),
        ("x = 7; x ^= 1;", "line 1, column 10", "unknown operator '^='"),
        ("x = 7; x /= 2;", "line 1, column 10", "unknown operator '/='; did you mean"),
        ("x = 7;\nx **= 2;", "line 2, column 3", "unknown operator '**='"),
        ("x =" + "=" * 999, "line 1, column 3", "unknown operator '===================='"),
        ("x = 7; y += 1;", "line 1, column 8", "unknown name 'y'"),
        ("x = 7; xx += 1;", "line 1, column 8", "unknown name 'xx'"),
        ("x = 7; += 1;", "line 1, column 8", "x belongs here, found '+='"),
        ("x = 7;;", "line 1, column 7", "x belongs here, found ';'"),
        ("x 7;", "line 1, column 3", "operator belongs here, found '7'"),
        ("x", "line 1, column 2", "operator belongs here, found the end"),
        ("x = 10;", "line 1, column 5", "from 0 to 9 belongs here, found '10'"),
        ("x = 07;", "line 1, column 5", "found '07'"),
        ("x = ٣;", "line 1, column 5", "found '٣'"),
        ("x = -1;", "line 1, column 5", "found '-'"),
        ("x = x;", "line 1, column 5", "found 'x'"),
        ("x = ", "line 1, column 5", "found the end of the text"),
        ("x = 7;\n x //= 0;", "line 2, column 8", "division by zero"),
        ("x += 7;", "line 1, column 1", "x is used before it is assigned"),
        ("x = 7 x += 1;", "line 1, column 7", "missing semicolon after 'x = 7', found 'x'"),
        ("x = 7; x += 1", "line 1, column 14", "missing semicolon after 'x += 1'"),
    ],
)
def test_what_is_no_program_is_refused_with_its_place(
    text: str, place: str, what_is_said: str
) -> None:
    with pytest.raises(UserError) as refusal:
        Code.parse(text)
    assert str(refusal.value).startswith(f"{place}: ")
    assert what_is_said in str(refusal.value)


def test_numbers_are_below_the_modulus_and_the_modulus_is_one() -> None:
    assert Code.parse("x = 11; x += 10;", modulus=12)[1].answers[0].tolist() == [11, 9]
    with pytest.raises(UserError, match=r"line 1, column 5: .*from 0 to 4 .*'7'"):
        Code.parse("x = 7;", modulus=5)
    with pytest.raises(UserError, match=r"modulus: .*greater than or equal to 2, not 1"):
        Code.parse("x = 0;", modulus=1)


def parsed_or_refused(text: str) -> tuple[Code, Problems] | None:
    try:
        return Code.parse(text)
    except UserError as error:
        mistake = str(error)
    assert re.match(r"line \d+, column \d+: ", mistake)
    return None


@given(st.lists(st.sampled_from([*"xy70=+/;\n", "x=3;", "x+=1;", "x//=2;"]), max_size=9))
def test_any_text_is_a_program_or_one_mistake(pieces: list[str]) -> None:
    text = "".join(pieces)
    if parsed := parsed_or_refused(text):
        task, problems = parsed
        [rendered] = task.render(problems)
        assert "".join(rendered.split()) == "".join(text.split())
        assert problems.answers[0].tolist() == oracle(rendered, 10)


@given(st.integers(0, 1000), st.data())
def test_a_program_with_a_slip_is_still_a_program_or_one_mistake(
    index: int, data: st.DataObject
) -> None:
    task = Code(statements=4, reassign=True)
    [text] = task.render(train(task, 1, index))
    place = data.draw(st.integers(0, len(text) - 1))
    slip = data.draw(st.sampled_from(["", "x", "+", "/", ";", "3", "é"]))
    slipped = text[:place] + slip + text[place + 1 :]
    if parsed := parsed_or_refused(slipped):
        parsed_task, problems = parsed
        [rendered] = parsed_task.render(problems)
        assert rendered.replace(" ", "") == slipped.replace(" ", "")
        assert problems.answers[0].tolist() == oracle(rendered, 10)


@pytest.mark.parametrize(
    ("fields", "what_is_said"),
    [
        ({"statements": 0}, "greater than or equal to 1"),
        ({"statements": "10"}, "valid integer"),
        ({"modulus": 1}, "greater than or equal to 2"),
        ({"modulus": 0}, "greater than or equal to 2"),
        ({"modulus": -10}, "greater than or equal to 2"),
        ({"modulus": 251}, "less than or equal to 250"),
        ({"modulus": 10.0}, "valid integer"),
        ({"modulus": True}, "valid integer"),
        ({"reassign": 1}, "valid boolean"),
        ({"statement": 10}, "not permitted"),
    ],
)
def test_what_is_no_such_task_is_refused(fields: dict[str, Any], what_is_said: str) -> None:
    with pytest.raises(ValidationError, match=what_is_said) as refusal:
        Code(**fields)
    assert refusal.value.error_count() == 1
