"""Every variable of every program, resolved from its text in plain Python."""

import json
import re
from collections import Counter
from itertools import permutations, product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import chisquare

from waymarks.errors import UserError
from waymarks.randomness import Rng
from waymarks.tasks import Binary, Lego, Problems, Task

# beartype checks a random item of a sequence, which hypothesis takes for a random strategy
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

FALSE_ALARM = 1e-6
PAPERS_EXAMPLE = (
    "j = -f; f = -b; y = +t; o = +e; d = +y; v = +d;\n"
    "h = -o; b = -i; i = +1; t = +1; e = -j; l = -h;"
)


@st.composite
def tasks(draw: st.DrawFn) -> Lego:
    rest = sorted(draw(st.lists(st.integers(1, 4), max_size=3)), reverse=True)
    first = draw(st.integers(max(rest, default=0) + 1, 7))
    variables = first + sum(rest)
    names = draw(st.integers(variables, 26))
    return Lego(variables=variables, chains=(first, *rest), names=names)


def train(task: Lego, count: int, index: int = 0) -> Problems:
    return task.sample(count, Rng.of(0, "train", index))


def oracle(text: str) -> list[tuple[int, int]]:
    """(value, number of the clause) of every variable, in the order of the steps."""
    clauses = re.findall(r"(\w) = ([+-])(\w);", text)
    place = {name: number for number, (name, _, _) in enumerate(clauses)}
    assert len(place) == len(clauses), "a name is assigned twice"
    value, root, depth = {"1": 1}, {}, {"1": 0}
    while len(depth) <= len(clauses):
        for name, sign, source in clauses:
            if source in depth:
                value[name] = value[source] * int(sign + "1")
                root[name] = name if source == "1" else root[source]
                depth[name] = depth[source] + 1
    length = Counter(root.values())
    assert sorted((root[name], depth[name]) for name in place) == sorted(
        (start, 1 + i) for start in length for i in range(length[start])
    ), "these are not chains"
    in_order = sorted(place, key=lambda n: (depth[n], length[root[n]], -place[root[n]]))
    return [(value[name], place[name]) for name in in_order]


@given(tasks(), st.integers(0, 2**32), st.integers(0, 1000), st.integers(1, 30))
def test_every_step_of_every_example_is_what_plain_python_resolves(
    task: Lego, seed: int, index: int, count: int
) -> None:
    problems = task.sample(count, Rng.of(seed, "train", index))
    assert problems.given["statements"].shape == (count, task.variables, 3)
    assert problems.answers.shape == (count, task.variables)
    places = problems.given["statement_of_step"]
    for row, text in enumerate(task.render(problems)):
        resolved = list(zip(problems.answers[row].tolist(), places[row].tolist(), strict=True))
        assert resolved == oracle(text)


@given(tasks())
def test_the_tokens_and_the_punctuation_between_them_are_the_text(task: Lego) -> None:
    problems, notation = train(task, 3), task.notation
    shape = (3, notation.count, notation.tokens)
    assert problems.given["statements"].shape == shape
    for clauses, text in zip(problems.given["statements"], task.render(problems), strict=True):
        pieces = [
            part if isinstance(part, str) else notation.symbols[clause[part]]
            for clause in clauses.tolist()
            for part in notation.punctuated
        ]
        assert "".join(pieces) == text.replace(" ", "")


@given(tasks(), st.integers(0, 100))
def test_what_is_rendered_is_parsed_to_the_same_problem(task: Lego, index: int) -> None:
    problems = train(task, 1, index)
    [text] = task.render(problems)
    for spaced in (text, text.replace(" ", ""), f"\n {text}\t".replace("=", " =\n")):
        parsed_task, parsed = Lego.parse(spaced, names=task.names)
        assert parsed_task == task
        assert parsed.given.keys() == problems.given.keys()
        for name, tensor in problems.given.items():
            assert parsed.given[name].dtype == tensor.dtype
            assert torch.equal(parsed.given[name], tensor)
        assert torch.equal(parsed.answers, problems.answers)


def test_the_papers_example_has_two_chains_and_these_twelve_values() -> None:
    task, problems = Lego.parse(PAPERS_EXAMPLE)
    assert task == Lego(chains=(8, 4))
    # by hand: i=+1 b=-i f=-b j=-f e=-j o=+e h=-o l=-h, and t=+1 y=+t d=+y v=+d
    by_hand = dict.fromkeys("ifeoltydv", 1) | dict.fromkeys("bjh", -1)
    assigned = re.findall(r"(\w) =", PAPERS_EXAMPLE)
    places = problems.given["statement_of_step"][0].tolist()
    names = [assigned[place] for place in places]
    assert names == ["t", "i", "y", "b", "d", "f", "v", "j", "e", "o", "h", "l"]
    assert problems.answers[0].tolist() == [by_hand[name] for name in names]
    assert task.render(problems) == [PAPERS_EXAMPLE.replace("\n", " ")]


def test_steps_go_by_depth_and_end_with_the_end_of_the_longest_chain() -> None:
    assert [step.name for step in Lego(variables=3).steps] == [
        "variable 1",
        "variable 2",
        "variable 3",
    ]
    steps = Lego(variables=6, chains=(3, 2, 1)).steps
    assert [(step.name, step.depends_on) for step in steps] == [
        ("variable 1 of chain 3", ()),
        ("variable 1 of chain 2", ()),
        ("variable 1 of chain 1", ()),
        ("variable 2 of chain 2", ("variable 1 of chain 2",)),
        ("variable 2 of chain 1", ("variable 1 of chain 1",)),
        ("variable 3 of chain 1", ("variable 2 of chain 1",)),
    ]
    assert {step.kind for step in steps} == {Binary()}


@given(tasks())
def test_each_step_comes_after_those_it_depends_on_and_the_last_is_deepest(task: Lego) -> None:
    seen: set[str] = set()
    depth: dict[str, int] = {}
    for step in task.steps:
        assert set(step.depends_on) <= seen
        seen.add(step.name)
        depth[step.name] = 1 + max((depth[name] for name in step.depends_on), default=0)
    assert len(seen) == task.variables
    assert depth[task.steps[-1].name] == task.lengths[0] > max([0, *task.lengths[1:]])


def test_only_with_one_chain_is_the_final_value_the_product_of_all_signs() -> None:
    for task, is_product in [(Lego(), True), (Lego(chains=2), False)]:
        problems = train(task, 200)
        minus = problems.given["statements"][..., 1] == task.notation.symbols.index("-")
        products = 1 - 2 * (minus.sum(1) % 2)
        assert bool((products == problems.answers[:, -1]).all()) is is_product


@pytest.mark.parametrize(
    ("variables", "chains", "lengths"),
    [
        (12, 1, (12,)),
        (12, 2, (7, 5)),
        (6, 2, (4, 2)),
        (11, 2, (6, 5)),
        (12, 3, (5, 4, 3)),
        (13, 3, (5, 4, 4)),
        (12, 4, (4, 3, 3, 2)),
        (4, 3, (2, 1, 1)),
        (1, 1, (1,)),
        (12, (8, 4), (8, 4)),
    ],
)
def test_chains_have_the_lengths_documented(
    variables: int, chains: int | tuple[int, ...], lengths: tuple[int, ...]
) -> None:
    assert Lego(variables=variables, chains=chains).lengths == lengths


@given(st.integers(2, 26), st.data())
def test_a_number_of_chains_is_spread_evenly_but_for_the_first(
    variables: int, data: st.DataObject
) -> None:
    chains = data.draw(st.integers(1, variables - 1))
    first, *rest = Lego(variables=variables, chains=chains).lengths
    assert first + sum(rest) == variables
    assert len(rest) == chains - 1
    if rest:
        assert rest == sorted(rest, reverse=True)
        assert rest[0] - rest[-1] <= 1 <= rest[-1]
        assert first > rest[0]
        most_with_a_shorter_first = first - 1 + len(rest) * (first - 2)
        assert most_with_a_shorter_first < variables


@given(tasks())
def test_a_task_is_the_same_after_json_and_however_its_chains_were_said(task: Lego) -> None:
    written = json.loads(task.model_dump_json())
    assert Task.model_validate(written) == task
    by_lengths = Lego(variables=task.variables, chains=list(task.lengths), names=task.names)
    assert by_lengths == task
    assert by_lengths.model_dump() == task.model_dump()


def test_one_chain_is_the_default_however_it_was_said() -> None:
    assert Lego(chains=(12,)).model_dump(exclude_defaults=True) == {"type": "Lego"}


def every_text(letters: str, lengths: tuple[int, ...]) -> set[str]:
    texts = set()
    variables = sum(lengths)
    for names in permutations(letters, variables):
        sources = list(names)
        for start in (sum(lengths[:chain]) for chain in range(len(lengths))):
            sources[start] = "1"
        sources = [
            "1" if source == "1" else names[number - 1] for number, source in enumerate(sources)
        ]
        for signs in product("+-", repeat=variables):
            clauses = [f"{n} = {s}{o};" for n, s, o in zip(names, signs, sources, strict=True)]
            texts |= {" ".join(order) for order in permutations(clauses)}
    return texts


@pytest.mark.parametrize(
    ("letters", "lengths", "count"),
    [("abc", (2,), 3000), ("abcd", (2, 1), 60_000), ("abcd", (2, 1, 1), 150_000)],
)
def test_every_input_there_is_comes_up_equally_often(
    letters: str, lengths: tuple[int, ...], count: int
) -> None:
    task = Lego(variables=sum(lengths), chains=lengths, names=len(letters))
    problems = train(task, count)
    inputs, often = problems.given["statements"].unique(dim=0, return_counts=True)
    texts = task.render(Problems({"statements": inputs}, torch.zeros(len(inputs), 1)))
    assert set(texts) == every_text(letters, lengths)
    assert task.distinct_inputs == len(texts)
    assert chisquare(often.numpy()).pvalue > FALSE_ALARM


@pytest.mark.parametrize("task", [Lego(), Lego(chains=(5, 3, 3, 1)), Lego(variables=26, chains=2)])
def test_names_differ_and_names_signs_and_places_are_uniform(task: Lego) -> None:
    count = 20_000
    given = train(task, count).given
    names = given["statements"][..., 0]
    assert (names.sort(dim=1).values.diff(dim=1) > 0).all()
    for statement in (0, 1, task.variables // 2, task.variables - 1):
        often = names[:, statement].long().bincount(minlength=task.names)
        assert chisquare(often.numpy()).pvalue > FALSE_ALARM
        signs = given["statements"][:, statement, 1].long().bincount()[task.names :]
        assert chisquare(signs.numpy()).pvalue > FALSE_ALARM
    pairs = names[:, 0].long() * task.names + names[:, 1]
    often = pairs.bincount(minlength=task.names**2).view(task.names, task.names)
    assert often.diagonal().sum() == 0
    assert chisquare(often[~torch.eye(task.names, dtype=torch.bool)].numpy()).pvalue > FALSE_ALARM
    places = given["statement_of_step"]
    assert (places.sort(dim=1).values == torch.arange(task.variables)).all()
    often = places[:, -1].bincount(minlength=task.variables)
    assert chisquare(often.numpy()).pvalue > FALSE_ALARM


@pytest.mark.parametrize("task", [Lego(), Lego(chains=(5, 3, 3, 1))])
def test_answers_are_fair_and_independent(task: Lego) -> None:
    count = 40_000
    answers = train(task, count).answers
    allowed = 5 / count**0.5
    assert answers.mean(0).abs().max() < allowed
    assert (answers.T @ answers / count - torch.eye(task.variables)).abs().max() < allowed


def test_examples_are_a_function_of_seed_stream_and_index_alone() -> None:
    task = Lego(chains=2)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = task.sample(8, Rng.of(3, "train", 5))
    assert torch.equal(torch.get_rng_state(), state)
    again = task.sample(8, Rng.of(3, "train", 5))
    assert task.render(again) == task.render(first)
    assert torch.equal(again.answers, first.answers)
    for other in [Rng.of(4, "train", 5), Rng.of(3, "evaluation", 5), Rng.of(3, "train", 6)]:
        assert not set(task.render(task.sample(8, other))) & set(task.render(first))


@pytest.mark.parametrize(
    ("text", "place", "what_is_said"),
    [
        ("", "line 1, column 1", "empty"),
        (" \n ", "line 2, column 2", "empty"),
        ("a = +1; b * -a;", "line 1, column 11", "unknown operator '*'"),
        ("a += 1;", "line 1, column 3", "unknown operator '+='"),
        ("a = +1;\nb = *a;", "line 2, column 5", "unknown operator '*'; '+' or '-' belongs here"),
        ("a = 1;", "line 1, column 5", "'+' or '-' belongs here, found '1'"),
        ("a = +1; Q = -a;", "line 1, column 9", "unknown name 'Q'"),
        ("a = +1; b = -ab;", "line 1, column 14", "unknown name 'ab'"),
        ("a = +2;", "line 1, column 6", "unknown name '2'"),
        ("1 = +1;", "line 1, column 1", "unknown name '1'"),
        ("a = +;", "line 1, column 6", "found ';'"),
        ("= +1;", "line 1, column 1", "found '='"),
        ("a = +1 b = -a;", "line 1, column 8", "missing semicolon after 'a = +1', found 'b'"),
        ("a = +1; b =  -a", "line 1, column 16", "missing semicolon after 'b = -a'"),
        ("a = +1", "line 1, column 7", "found the end of the text"),
        ("a", "line 1, column 2", "found the end of the text"),
        ("a = +1; c = -b;", "line 1, column 14", "b is used but never assigned"),
        ("a = +1; b = -c; c = -d; d = +b;", "line 1, column 9", "cycle: b = c = d = b"),
        ("a = -a;", "line 1, column 1", "cycle: a = a"),
        (
            "a = +1; b = -a; a = +b;",
            "line 1, column 17",
            "a is assigned a second time, first at line 1, column 1",
        ),
        (
            "a = +1; b = -a;\nc = +a;",
            "line 2, column 6",
            "a is used a second time, first at line 1, column 14",
        ),
        ("a = +1; b = -1;", "line 1, column 9", "a and b are both the longest (1)"),
        ("a" * 1000 + " = +1;", "line 1, column 1", "'aaaaaaaaaaaaaaaaaaaa...'"),
    ],
)
def test_what_is_no_program_is_refused_with_its_place(
    text: str, place: str, what_is_said: str
) -> None:
    with pytest.raises(UserError) as refusal:
        Lego.parse(text)
    assert str(refusal.value).startswith(f"{place}: ")
    assert what_is_said in str(refusal.value)


def test_only_the_names_there_are_can_be_parsed() -> None:
    assert Lego.parse("a = +1; b = -a;", names=2)[0] == Lego(variables=2, names=2)
    with pytest.raises(UserError, match=r"line 1, column 9: unknown name 'c'.* a to b"):
        Lego.parse("a = +1; c = -a;", names=2)
    with pytest.raises(UserError, match=r"names.*26"):
        Lego.parse("a = +1;", names=27)


def parsed_or_refused(text: str) -> tuple[Lego, Problems] | None:
    try:
        return Lego.parse(text)
    except UserError as error:
        mistake = str(error)
    assert re.match(r"line \d+, column \d+: ", mistake)
    return None


@given(st.lists(st.sampled_from([*"abc1=+-;*\n", "a=+1;", "b=-a;", "c=+b;", "d=-1;"]), max_size=9))
def test_any_text_is_a_program_or_one_mistake(pieces: list[str]) -> None:
    text = "".join(pieces)
    if parsed := parsed_or_refused(text):
        task, problems = parsed
        [rendered] = task.render(problems)
        assert "".join(rendered.split()) == "".join(text.split())
        assert [value for value, _ in oracle(rendered)] == problems.answers[0].tolist()


@given(tasks(), st.data())
def test_a_program_with_a_slip_is_still_a_program_or_one_mistake(
    task: Lego, data: st.DataObject
) -> None:
    [text] = task.render(train(task, 1))
    place = data.draw(st.integers(0, len(text) - 1))
    slip = data.draw(st.sampled_from(["", "a", "+", ";", "é"]))
    slipped = text[:place] + slip + text[place + 1 :]
    if parsed := parsed_or_refused(slipped):
        parsed_task, problems = parsed
        [rendered] = parsed_task.render(problems)
        assert rendered.replace(" ", "") == slipped.replace(" ", "")
        assert [value for value, _ in oracle(rendered)] == problems.answers[0].tolist()


@pytest.mark.parametrize(
    ("fields", "what_is_said"),
    [
        ({"variables": 0}, "greater than or equal to 1"),
        ({"variables": "12"}, "valid integer"),
        ({"variables": 27}, "variables \\(27\\) are more than names \\(26\\)"),
        ({"names": 11}, "variables \\(12\\) are more than names \\(11\\)"),
        ({"names": 27}, "less than or equal to 26"),
        ({"names": True}, "valid integer"),
        ({"chains": 0}, "number of chains"),
        ({"chains": True}, "number of chains"),
        ({"chains": "2"}, "number of chains"),
        ({"chains": 2.0}, "number of chains"),
        ({"chains": None}, "number of chains"),
        ({"chains": ()}, "number of chains"),
        ({"chains": (13, -1)}, "number of chains"),
        ({"chains": (8, 4.0)}, "number of chains"),
        ({"chains": 12}, "12 chains.* need 13 variables"),
        ({"chains": (8, 3)}, "sum to 11, not to 12"),
        ({"chains": (6, 6)}, "must be the longest"),
        ({"chains": (4, 8)}, "must be the longest"),
        ({"chains": (6, 2, 4)}, "none may be longer"),
        ({"chain": 2}, "not permitted"),
    ],
)
def test_what_is_no_such_task_is_refused(fields: dict[str, Any], what_is_said: str) -> None:
    with pytest.raises(ValidationError, match=what_is_said) as refusal:
        Lego(**fields)
    assert refusal.value.error_count() == 1
