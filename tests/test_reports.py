"""Reports: the numbers are those of the runs, and nothing that a user typed is taken for code."""

import json
import math
import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from waymarks.errors import UserError
from waymarks.formats import TaskVector
from waymarks.models import GPT2
from waymarks.reports import Report, arm_names_for, arm_table, outcome_of_runs, write_report
from waymarks.reports.curves import AXES, POINTS, UPDATES, Axis, curves, unsolved_shares
from waymarks.reports.palette import are_ordered, palette
from waymarks.reports.summary import summaries
from waymarks.reports.text import slug
from waymarks.studies import (
    Arm,
    Claim,
    Experiment,
    Outcome,
    Run,
    Solves,
    StaysBelow,
    Study,
    carry_out,
)
from waymarks.studies.run import write_json
from waymarks.studies.statistics import median_interval
from waymarks.supervision import AskOne, FinalOnly
from waymarks.tasks import ParitySum
from waymarks.training import Training

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><!--",
    "\"quoted\" 'n' `ticked` & amp;",
    "a.b[0]['c'] datum.x",
    "{{ 7 * 7 }} {% raw %}\u2028\u2029",
)


def experiment(p: float = 0.5, **training: Any) -> Experiment:
    supervision = AskOne(sum=p, parity=1 - p) if p else FinalOnly()
    return Experiment(
        task=ParitySum(bits=6),
        supervision=supervision,
        format=TaskVector(),
        model=GPT2(width=8, depth=1, heads=1),
        training=Training(**{"updates": 1000, "evaluate_every": 100, "batch_size": 10, **training}),
    )


def record(run: Run, experiment: Experiment, accuracies: list[float], **status: Any) -> None:
    """Writes what a run with such accuracies of parity leaves behind."""
    every, batch = experiment.training.evaluate_every, experiment.training.batch_size
    p = getattr(experiment.supervision, "shares", {"sum": 0.0})["sum"]
    lines = [
        {
            "update": every * number,
            "examples": every * number * batch,
            "flops": every * number * batch * 1000,
            "seconds": round(number * (1 + experiment.seed / 10), 3),
            "train_loss": 0.5,
            "sum.labels_seen": round(every * number * batch * p),
            "parity.labels_seen": every * number * batch - round(every * number * batch * p),
            "sum.accuracy": accuracy / 2,
            "sum.mean_squared_error": 1.001 - accuracy,
            "parity.accuracy": accuracy,
            "parity.cross_entropy": 1.001 - accuracy,
        }
        for number, accuracy in enumerate(accuracies)
    ]
    run.folder.mkdir(parents=True)
    provenance = {"commit": "0123456789ab", "machine": "2-core CPU", "started": "2030-01-01"}
    write_json(
        run.folder / "experiment.json",
        {
            "schema": 1,
            "experiment": experiment.model_dump(mode="json"),
            "provenance": {**provenance, "command": "waymarks reproduce <fig1>"},
        },
    )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.folder / "metrics.jsonl").write_text(text)
    write_json(
        run.folder / "status.json", {"state": "finished", "evaluations": len(lines), **status}
    )


def rising(solved_at: int, low: float = 0.5) -> list[float]:
    """Accuracies of a run that solves at evaluation `solved_at` and stops after three."""
    return [low + 0.01 * (number % 3) for number in range(solved_at)] + [0.99, 1.0, 0.995]


def study_of(name: str = "Left & right") -> Study:
    arms = (
        Arm(name="p = 0", experiment=experiment(0)),
        Arm(name="p = 0.5", experiment=experiment()),
    )
    conditions = (
        StaysBelow(arm="p = 0", step="parity"),
        Solves(arm="p = 0.5", step="parity"),
    )
    claim = Claim(text="Sums teach parity.", conditions=conditions)
    return Study(name=name, question="Do sums help?", arms=arms, seeds=(0, 1, 2), claim=claim)


def outcome_with(
    study: Study, folder: Path, accuracies: dict[tuple[str, int], list[float]]
) -> Outcome:
    """What has come of a study whose runs have these accuracies, by arm and seed."""
    study.write(folder)
    outcome = Outcome.open(folder)
    for name, planned in study.experiments():
        if (name, planned.seed) in accuracies:
            run = outcome.runs[name][study.seeds.index(planned.seed)]
            record(run, planned, accuracies[name, planned.seed])
    return outcome


@pytest.fixture
def study() -> Study:
    return study_of()


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Two arms, three seeds: parity alone stays at chance, with sums it is solved."""
    study = study_of()
    flat = [0.5 + 0.01 * (number % 4) for number in range(11)]
    accuracies = {("p = 0", seed): [a + seed / 100 for a in flat] for seed in study.seeds}
    accuracies |= {("p = 0.5", seed): rising(2 + seed, 0.5 + seed / 50) for seed in study.seeds}
    return outcome_with(study, tmp_path_factory.mktemp("outcome"), accuracies)


@pytest.fixture(scope="module")
def report(outcome: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return write_report([outcome], tmp_path_factory.mktemp("report") / "new")


class Reader(HTMLParser):
    """What a browser would make of a page: its text, its scripts, and what its tags refer to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text.append(data)

    @property
    def charts(self) -> list[dict[str, Any]]:
        """The data of the charts of each study."""
        types = [attributes.get("type") for tag, attributes in self.tags if tag == "script"]
        charts: list[dict[str, Any]] = json.loads(self.scripts[types.index("application/json")])
        return charts


def read(page: Path) -> Reader:
    return Reader(page.read_text())


def check_image(path: Path) -> None:
    """A PNG of some size that is not cut off, or an SVG with something in it."""
    data = path.read_bytes()
    if path.suffix == ".png":
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        assert data.endswith(b"IEND\xaeB`\x82")
        width, height = struct.unpack(">II", data[16:24])
        assert width > 800
        assert height > 500
    else:
        root = ElementTree.fromstring(data)
        assert root.tag.endswith("svg")
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 5


def test_the_table_holds_what_the_metrics_say(outcome: Outcome) -> None:
    control, helped = arm_table(outcome).to_dict("records")
    assert (control["arm"], control["seeds"], control["finished"], control["solved"]) == (
        "p = 0",
        3,
        3,
        0,
    )
    assert control["updates_to_solve"] is None
    assert control["unsolved_after"] == 1000
    assert (helped["updates_to_solve"], helped["first_solved"], helped["last_solved"]) == (
        300,
        200,
        400,
    )
    assert helped["unsolved_after"] is None
    for arm, row in (("p = 0", control), ("p = 0.5", helped)):
        lasts = [run.metrics()[-1] for run in outcome.runs[arm]]
        interval = median_interval([last["parity.accuracy"] for last in lasts])
        assert row["parity.accuracy"] == interval.median
        assert (row["parity.accuracy_low"], row["parity.accuracy_high"]) == (
            interval.low,
            interval.high,
        )
        errors = [last["sum.mean_squared_error"] for last in lasts]
        assert row["sum.mean_squared_error"] == median(errors)
        labels = [last["sum.labels_seen"] + last["parity.labels_seen"] for last in lasts]
        assert row["labels_seen"] == median(labels)
        rates = [last["update"] / last["seconds"] for last in lasts]
        assert row["updates_per_second"] == pytest.approx(median(rates))


def test_the_table_is_plain(outcome: Outcome) -> None:
    rows = arm_table(outcome).to_dict("records")
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_the_page_says_the_numbers(report: Report) -> None:
    assert report.page.name == "report.html"
    text = re.sub(r"\s+", " ", " ".join(read(report.page).text))
    assert "Do sums help?" in text
    assert "Borne out Sums teach parity." in text
    assert "p = 0.5: parity solved in 3 of 3 seeds, at update 200 to 400" in text
    assert "> 1,000 censored" in text
    assert "300 200 to 400" in text
    assert "6 runs: 6 finished" in text
    assert "waymarks reproduce <fig1>" in text
    assert "accuracy of at least 0.99 in 3 evaluations in a row" in text


def test_every_figure_is_there_as_png_and_svg(report: Report) -> None:
    names = {path.name for path in report.figures}
    figures = ("parity-accuracy", "sum-accuracy", "sum-mean-squared-error", "time-to-solve")
    figures += ("every-step", "order-of-steps")
    assert names == {f"left-right-{name}.{kind}" for name in figures for kind in ("png", "svg")}
    assert {path.parent for path in report.figures} == {report.page.parent / "figures"}
    assert not list(report.page.parent.rglob("*.unfinished"))
    for path in report.figures:
        check_image(path)
        if path.suffix == ".svg":
            words = path.read_text()
            assert ">p = 0.5<" in words, path
            assert (">chance<" in words) == (path.name == "left-right-parity-accuracy.svg")


def test_the_page_is_whole_and_loads_nothing(report: Report) -> None:
    page = report.page
    assert page.stat().st_size < 5_000_000
    reader = read(page)
    for tag, attributes in reader.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert "src" not in attributes
        assert not attributes.get("href", "#").startswith(("http", "//"))
    assert "import(" not in reader.scripts[-1]
    style = re.search(r"<style>(.*?)</style>", page.read_text(), re.DOTALL)
    assert style
    assert not re.search(r"url\(|@import", style[1])
    policy = [
        a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy[0].startswith("default-src 'none'")


def test_what_a_user_typed_stays_text(tmp_path: Path) -> None:
    arms = tuple(
        Arm(name=name, experiment=experiment(p / 10)) for p, name in enumerate(HOSTILE, start=1)
    )
    claim = Claim(text=HOSTILE[0], conditions=(Solves(arm=HOSTILE[1], step="parity"),))
    study = Study(name="../" + HOSTILE[0], question=HOSTILE[1], arms=arms, seeds=(0,), claim=claim)
    accuracies = {(name, 0): rising(2) for name in HOSTILE}
    outcome = outcome_with(study, tmp_path / "<b>", accuracies)
    report = write_report([outcome], tmp_path / "report")

    reader = read(report.page)
    assert [tag for tag, _ in reader.tags].count("script") == 3
    assert [study["arms"] for study in reader.charts] == [list(HOSTILE)]
    figures = {figure["key"]: figure for figure in reader.charts[0]["figures"]}
    figure = figures["parity-accuracy"]["tables"]["update"]
    assert figure["medians"]["arm"]["names"] == list(HOSTILE)
    text = "".join(reader.text)
    assert all(name in text for name in HOSTILE)
    assert json.dumps(study.model_dump(mode="json"), indent=2, ensure_ascii=False) in text
    for path in report.figures:
        assert path.parent == tmp_path / "report" / "figures"
        assert re.fullmatch(r"script-alert-1-script-[a-z-]+\.(png|svg)", path.name)
        check_image(path)


def test_names_are_in_no_expression_and_no_field(report: Report) -> None:
    """An arm's name may stand in the domain of the colours and in the data, nowhere else."""
    [study] = read(report.page).charts
    for figure in study["figures"]:
        specification = json.dumps(figure["specification"])
        domain = json.dumps(study["arms"])
        assert domain in specification or "facet" in figure["specification"]
        assert "p = 0" not in specification.replace(domain, "[]")


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.key)
def test_the_band_is_the_interval_of_the_median(outcome: Outcome, axis: Axis) -> None:
    medians, singles = curves(summaries(outcome), "parity.accuracy", axis)
    control = medians[(medians.arm == "p = 0") & (medians.part == "measured")]
    tables = [run.curves for run in outcome.runs["p = 0"]]
    for table in tables:
        table["labels"] = table["sum.labels_seen"] + table["parity.labels_seen"]
    assert len(control) >= 11
    assert (control.low < control.high).any()
    for point in control.to_dict("records")[::3]:
        values = [np.interp(point["x"], t[axis.key], t["parity.accuracy"]) for t in tables]
        expected = median_interval(values)
        found = (point["low"], point["median"], point["high"])
        assert found == pytest.approx((expected.low, expected.median, expected.high))
    assert sorted(set(singles.seed)) == [0, 1, 2]


def test_a_solved_run_keeps_its_last_value_and_the_curve_says_so(outcome: Outcome) -> None:
    medians, _ = curves(summaries(outcome), "parity.accuracy", UPDATES)
    helped = medians[medians.arm == "p = 0.5"]
    ends = [run.curves["update"].max() for run in outcome.runs["p = 0.5"]]
    assert ends == [400, 500, 600]
    parts = {part: list(points.x) for part, points in helped.groupby("part")}
    assert parts == {"measured": [0, 100, 200, 300, 400], "continued": [400, 500, 600]}
    last = helped.iloc[-1]
    assert last["seeds"] == "1 of 3"
    assert last["median"] == 0.995


def test_a_run_that_diverged_is_not_continued(study: Study, tmp_path: Path) -> None:
    accuracies = {("p = 0", seed): [0.5 + seed / 10] * (4 + 3 * seed) for seed in (0, 1)}
    outcome = outcome_with(study, tmp_path, accuracies)
    diverged = outcome.runs["p = 0"][0]
    write_json(diverged.folder / "status.json", {"state": "diverged", "message": "not finite"})
    medians, _ = curves(summaries(outcome), "parity.accuracy", UPDATES)
    assert list(medians[medians.x > 300]["median"]) == [0.6, 0.6, 0.6]
    assert set(medians[medians.x > 300].part) == {"continued"}


def test_long_runs_are_thinned_to_points_that_keep_both_ends(study: Study, tmp_path: Path) -> None:
    accuracies = {("p = 0", seed): [0.5, *[0.6] * 1500, 0.7] for seed in (0, 1)}
    medians, singles = curves(
        summaries(outcome_with(study, tmp_path, accuracies)), "parity.accuracy", UPDATES
    )
    assert POINTS - 2 <= len(medians) <= POINTS + 2
    assert (medians["median"].iloc[0], medians["median"].iloc[-1]) == (0.5, 0.7)
    assert len(singles) == 2 * POINTS


def test_survival_marks_the_censored(outcome: Outcome) -> None:
    shares, censored = unsolved_shares(summaries(outcome))
    helped = shares[shares.arm == "p = 0.5"]
    assert list(helped.x) == [0, 200, 300, 400]
    assert list(helped.share) == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert list(censored.arm) == ["p = 0"] * 3
    assert list(censored.x) == [1000] * 3
    assert list(censored.share) == [1] * 3


def test_what_is_incomplete_is_reported_as_far_as_it_is(study: Study, tmp_path: Path) -> None:
    accuracies = {
        ("p = 0", 0): [0.5] * 5,
        ("p = 0", 1): [math.nan, 0.5],
        ("p = 0", 2): [],
        ("p = 0.5", 0): [0.5],
        ("p = 0.5", 1): rising(3),
    }
    outcome = outcome_with(study, tmp_path / "study", accuracies)
    states = {0: {"state": "diverged", "message": "the loss of update <9> is not finite"}}
    states |= {1: {"state": "failed", "message": "no room"}, 2: {"state": "running", "update": 0}}
    for seed, status in states.items():
        write_json(outcome.runs["p = 0"][seed].folder / "status.json", status)
    reader = read(write_report([outcome], tmp_path / "report").page)
    text = " ".join(reader.text)
    assert "the loss of update <9> is not finite" in text
    assert "1 waiting" in text
    assert "1 diverged, 1 failed, 1 interrupted" in text
    assert "NaN" not in json.dumps(reader.charts)


def test_a_study_that_has_not_begun_has_a_page_without_figures(
    study: Study, tmp_path: Path
) -> None:
    study.write(tmp_path / "study")
    report = write_report([Outcome.open(tmp_path / "study")], tmp_path / "report")
    assert report.figures == []
    assert "No run has been evaluated yet." in report.page.read_text()


def test_several_studies_share_a_page_and_no_file(outcome: Outcome, tmp_path: Path) -> None:
    single = outcome_of_runs(outcome.runs["p = 0.5"][:1], "left, right")
    report = write_report([outcome, single], tmp_path / "report")
    assert len({path.name for path in report.figures}) == 24
    assert sum(path.name.startswith("left-right-2-") for path in report.figures) == 12
    reader = read(report.page)
    links = [attributes["href"] or "" for tag, attributes in reader.tags if tag == "a"]
    targets = [link for link in links if link.startswith("#study")]
    assert targets == ["#study-1", "#study-2"]
    assert {f"#{a['id']}" for tag, a in reader.tags if tag == "section"} == set(targets)
    assert len(reader.charts) == 2


def test_nothing_to_report_is_an_error(tmp_path: Path, outcome: Outcome) -> None:
    with pytest.raises(UserError, match="nothing to report"):
        write_report([], tmp_path / "report")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        write_report([outcome], tmp_path / "file")


def test_a_real_run_is_reported(tmp_path: Path) -> None:
    planned = experiment(updates=20, evaluate_every=10, evaluation_examples=32)
    run = carry_out(planned, tmp_path / "runs")
    report = write_report([outcome_of_runs([run], "one run")], tmp_path)
    text = " ".join(read(report.page).text)
    assert "Each arm has one seed" in text
    assert f"runs/{planned.identity}" in text
    assert str(tmp_path) not in text
    assert str(run.record["provenance"]["torch"]) in text


def test_loose_runs_are_grouped_by_all_but_the_seed(tmp_path: Path) -> None:
    runs = []
    for p, seed, folder in ((0, 0, "a"), (0.5, 1, "b"), (0.5, 0, "c"), (0.5, 0, "d")):
        planned = experiment(p).model_copy(update={"seed": seed})
        runs.append(Run(tmp_path / folder))
        record(runs[-1], planned, [0.5] * (4 if folder == "d" else 3))
    outcome = outcome_of_runs(runs, "Loose")
    assert {name: [run.folder.name for run in arm] for name, arm in outcome.runs.items()} == {
        "supervision=FinalOnly": ["a"],
        "supervision=AskOne": ["d", "b"],
    }
    assert list(arm_table(outcome)["seeds"]) == [1, 2]


def test_experiments_are_named_by_what_differs() -> None:
    parts = [experiment(0), experiment(0.1), experiment(0.5)]
    assert arm_names_for(parts) == [
        "supervision=FinalOnly",
        "supervision=AskOne(sum=0.1)",
        "supervision=AskOne(sum=0.5)",
    ]
    bits = [experiment().with_field("task", {"type": "ParitySum", "bits": n}) for n in (10, 30)]
    assert arm_names_for(bits) == ["bits=10", "bits=30"]
    both = [bits[0], bits[1].with_field("training.learning_rate", 1e-3)]
    assert arm_names_for(both) == ["bits=10, learning_rate=0.0002", "bits=30, learning_rate=0.001"]
    assert arm_names_for([experiment(0)]) == ["supervision=FinalOnly"]


def test_colours_differ_and_follow_numbers() -> None:
    assert are_ordered(["p = 0", "p = .1", "p = .5"])
    assert not are_ordered(["p = 0", "p = .5", "p = .1"])
    assert not are_ordered(["GPT2", "BERT", "DenseNet"])
    for names in (
        ["with", "without"],
        [f"n = {n}" for n in range(12)],
        [f"arm {n}" for n in "abcdefghij"],
    ):
        for page in ("light", "dark"):
            colours = palette(names, page)
            assert len(set(colours)) == len(names)
            assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in colours)


def test_file_names_are_safe() -> None:
    assert slug("../Fig. 1 (left): n > 10") == "fig-1-left-n-10"
    assert slug("日本") == "study"
    assert len(slug("x" * 500)) == 60
