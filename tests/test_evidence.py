"""Evidence: survival curves, ratios and differences between arms, and the claims they decide."""

import json
import math
from fractions import Fraction
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats
from tests.builders import tiny_experiment
from tests.test_cli import call

from waymarks.studies import (
    Arm,
    Claim,
    Execution,
    Experiment,
    NoSooner,
    Outcome,
    ReachesAtLeast,
    Run,
    Solves,
    Sooner,
    Study,
    carry_out,
)
from waymarks.studies.claim import Condition
from waymarks.studies.evidence import (
    UNITS,
    Curve,
    Times,
    Unit,
    common_places,
    curves_of,
    differences_at,
    medians_at,
    spent,
    times_to_reach,
)
from waymarks.studies.run import write_json
from waymarks.studies.statistics import Bounded, kaplan_meier, logrank, median_times

LOW, HIGH = [0.5], [0.95]
"""Accuracies below what these experiments call solved, and above it."""


def experiment(**changed: Any) -> Experiment:
    """Evaluated every 10 updates of 64 examples; solved at .9 in two evaluations."""
    return tiny_experiment(
        **{"updates": 100, "solved_accuracy": 0.9, "solved_evaluations": 2, **changed}
    )


def written(folder: Path, planned: Experiment, accuracies: list[float], state: str) -> Run:
    """A run on disk whose parity had these accuracies at updates 0, 10, 20, ..."""
    folder.mkdir(parents=True)
    lines = [
        {
            "update": 10 * number,
            "examples": 640 * number,
            "flops": 640_000 * number,
            "seconds": 0.5 * number,
            "sum.labels_seen": 300 * number,
            "parity.labels_seen": 340 * number,
            "sum.accuracy": accuracy / 2,
            "parity.accuracy": accuracy,
        }
        for number, accuracy in enumerate(accuracies)
    ]
    content = {"identity": planned.identity, "experiment": planned.model_dump(mode="json")}
    write_json(folder / "experiment.json", {"schema": 1, **content})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_json(folder / "status.json", {"state": state, "evaluations": len(lines)})
    return Run(folder)


def arm(
    folder: Path, *runs: list[float], state: str = "finished", **changed: Any
) -> tuple[Run, ...]:
    """The runs of an arm, one seed each, whose parity had these accuracies."""
    return tuple(
        written(folder / f"{seed}", experiment(seed=seed, **changed), accuracies, state)
        for seed, accuracies in enumerate(runs)
    )


def solving(at: int) -> list[float]:
    """Solved at update `at`, and stopped at the next evaluation."""
    return LOW * (at // 10) + HIGH * 2


NEVER = LOW * 11
"""Not solved in the whole budget."""


def times(*values: float, censored: tuple[float, ...] = ()) -> Times:
    """Times at which runs got there, and those at which others were censored."""
    flags = [False] * len(values) + [True] * len(censored)
    return Times(np.array([*values, *censored], dtype=float), np.array(flags))


SAMPLES = st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=9)


def arrays(sample: list[tuple[int, bool]]) -> Times:
    moments, flags = zip(*sample, strict=True)
    return Times(np.array(moments, dtype=float), np.array(flags))


def product_limit(sample: list[tuple[int, bool]]) -> dict[int, tuple[Fraction, Fraction]]:
    """Kaplan and Meier's estimate by the book: at each time, the share that is left and
    Greenwood's sum of d / (n (n - d))."""
    share, greenwood, found = Fraction(1), Fraction(0), {}
    for moment in sorted({moment for moment, _ in sample}):
        at_risk = sum(other >= moment for other, _ in sample)
        there = sum(other == moment and not censored for other, censored in sample)
        share *= 1 - Fraction(there, at_risk)
        if there < at_risk:
            greenwood += Fraction(there, at_risk * (at_risk - there))
        found[moment] = (share, greenwood)
    return found


@given(SAMPLES)
def test_the_survival_curve_is_the_product_limit(sample: list[tuple[int, bool]]) -> None:
    found, expected = arrays(sample).survival(), product_limit(sample)
    assert found.times.tolist() == sorted(expected)
    shares = [float(share) for share, _ in expected.values()]
    assert found.share.tolist() == pytest.approx(shares)
    assert np.all((found.low <= found.share + 1e-12) & (found.share <= found.high + 1e-12))
    assert np.all((found.low >= 0) & (found.high <= 1))
    z = NormalDist().inv_cdf(0.975)
    for place, (share, greenwood) in enumerate(expected.values()):
        if 0 < share < 1:
            spread = z * math.sqrt(greenwood) / math.log(share)
            assert found.low[place] == pytest.approx(float(share) ** math.exp(-spread))


def test_with_one_seed_the_curves_interval_says_nothing() -> None:
    """From its only time on, of one run that got there, the share may be anything."""
    alone = kaplan_meier(np.array([5.0]), np.array([False]))
    assert (alone.share.tolist(), alone.low.tolist(), alone.high.tolist()) == ([0], [0], [1])


@given(SAMPLES, st.integers(0, 2**32 - 1))
def test_medians_of_many_samples_are_those_of_scipys_curves(
    sample: list[tuple[int, bool]], seed: int
) -> None:
    all_runs = arrays(sample)
    picks = np.random.default_rng(seed).integers(len(sample), size=(5, len(sample)))
    at_least, at_most = median_times(all_runs.times, all_runs.censored, picks)
    for row, low, high in zip(picks, at_least, at_most, strict=True):
        drawn = stats.CensoredData.right_censored(all_runs.times[row], all_runs.censored[row])
        curve = stats.ecdf(drawn).sf
        reached = curve.quantiles[curve.probabilities <= 0.5 + 1e-9]
        assert high == (reached[0] if len(reached) else math.inf)
        assert low == (reached[0] if len(reached) else all_runs.times[row].max())


def test_the_interval_of_a_median_is_that_of_all_resamples() -> None:
    """Of two runs, a quarter of the resamples has the longer one twice, and only there it is the
    median; of three, the longest is the median of 7 in 27, the shortest likewise."""
    assert times(100, 200).median() == Bounded(100, 100, 100, 200)
    assert times(100, 200, 300).median() == Bounded(200, 200, 100, 300)
    assert times(100).median() == Bounded(100, 100, 100, 100)


def test_ratios_are_known_as_far_as_censoring_allows() -> None:
    quick, slow = times(100, 100, 100), times(300, 300, 300)
    never = times(censored=(500, 500, 500))
    assert slow.ratio(quick) == Bounded(3, 3, 3, 3)
    assert never.ratio(quick) == Bounded(5, math.inf, 5, math.inf)
    assert quick.ratio(never) == Bounded(0, 0.2, 0, 0.2)
    assert never.ratio(never) == Bounded(0, math.inf, 0, math.inf)
    assert times(100, 200).ratio(quick) == Bounded(1, 1, 1, 2)
    assert times(0).ratio(times(0)) == Bounded(1, 1, 1, 1)
    mixed = times(300, 400, censored=(500,)).ratio(quick)
    assert (mixed.at_least, mixed.at_most, mixed.low, mixed.high) == (4, 4, 3, math.inf)


@given(SAMPLES, SAMPLES, st.sampled_from([2.0, 4.0, 0.5]))
def test_a_ratio_scales_with_the_times(
    ours: list[tuple[int, bool]], theirs: list[tuple[int, bool]], factor: float
) -> None:
    first, second = arrays(ours), arrays(theirs)
    longer = Times(first.times * factor, first.censored)
    plain, scaled = first.ratio(second), longer.ratio(second)
    assert [factor * value for value in vars(plain).values()] == pytest.approx(
        list(vars(scaled).values())
    )
    assert plain == first.ratio(second)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounded(4.2, 4.2, 3.1, 5), "4.2 (3.1 to 5)"),
        (Bounded(4.2, 4.2, 4.2, 4.2), "4.2"),
        (Bounded(4.2, 4.2, 3.1, math.inf), "4.2 (from 3.1 on)"),
        (Bounded(7.5, math.inf, 6, math.inf), "at least 7.5 (from 6 on)"),
        (Bounded(7.5, math.inf, 7.5, math.inf), "at least 7.5"),
        (Bounded(0, 0.5, 0, 0.5), "at most 0.5"),
        (Bounded(0, 0.5, 0, 0.8), "at most 0.5 (0 to 0.8)"),
        (Bounded(0, math.inf, 0, math.inf), "not known"),
    ],
)
def test_bounds_are_said_as_such(bounds: Bounded, said: str) -> None:
    assert bounds.said("{:.3g}".format) == said


def test_the_log_rank_test_is_mantels() -> None:
    """Both arms by hand: at each time, the expected number of the first arm is its share of those
    at risk; the variance is the hypergeometric one."""
    first, second = times(1, 2, 4), times(3, 5, censored=(6,))
    observed, expected, variance = 3, 0.0, 0.0
    pooled = [*((t, c, 0) for t, c in zip(first.times, first.censored, strict=True))]
    pooled += [(t, c, 1) for t, c in zip(second.times, second.censored, strict=True)]
    for moment in (1, 2, 3, 4, 5):
        at_risk = [group for t, _, group in pooled if t >= moment]
        n, ours = len(at_risk), at_risk.count(0)
        expected += ours / n
        variance += ours / n * (1 - ours / n)
    z = (observed - expected) / math.sqrt(variance)
    assert first.logrank(second) == pytest.approx(2 * NormalDist().cdf(-abs(z)))


def test_the_log_rank_test_says_nothing_where_nobody_got_there() -> None:
    never = times(censored=(5, 5))
    assert logrank(never.times, never.censored, never.times, never.censored) is None
    assert times(1).logrank(times(1)) is None


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("updates", [20.0, 40.0]),
        ("examples", [1280.0, 2560.0]),
        ("labels", [1280.0, 2560.0]),
        ("flops", [1_280_000.0, 2_560_000.0]),
        ("seconds", [1.0, 2.0]),
    ],
)
def test_times_are_counted_in_any_unit(tmp_path: Path, unit: Unit, expected: list[float]) -> None:
    runs = arm(tmp_path, solving(20), solving(40))
    found = times_to_reach(runs, "parity", unit)
    assert found.times.tolist() == expected
    assert not found.censored.any()


def test_another_accuracy_than_solved_is_reached_at_another_time(tmp_path: Path) -> None:
    (run,) = arm(tmp_path, [0.5, 0.7, 0.6, 0.7, 0.8, 0.95, 0.95])
    assert (run.solved("parity").update, run.solved("parity").censored) == (50, False)
    assert times_to_reach([run], "parity", "updates", 0.65).times.tolist() == [30]
    assert times_to_reach([run], "parity", "updates", 0.97).censored.tolist() == [True]


def test_a_run_that_ended_for_nothing_is_at_risk_to_the_end(tmp_path: Path) -> None:
    """Two seeds diverge at once, one solves: that is no arm that solves at its median."""
    good = arm(tmp_path / "good", solving(60))
    diverged = arm(tmp_path / "bad", LOW * 2, LOW * 3, state="diverged")
    found = times_to_reach([*good, *diverged], "parity", "updates")
    assert found.times.tolist() == [60, 60, 60]
    assert found.median() == Bounded(60, math.inf, 60, math.inf)
    gave_up = arm(tmp_path / "gave up", LOW * 3, patience=2)
    assert times_to_reach([*good, *gave_up], "parity", "updates").times.tolist() == [60, 60]


def test_a_run_that_goes_on_is_censored_where_it_is(tmp_path: Path) -> None:
    going_on = arm(tmp_path / "on", LOW * 3, state="interrupted")
    good = arm(tmp_path / "good", solving(60))
    found = times_to_reach([*good, *going_on, Run(tmp_path / "none")], "parity", "updates")
    assert found.times.tolist() == [60, 20]
    assert found.censored.tolist() == [False, True]


def test_a_step_that_was_not_reached_when_the_run_was_solved_is_censored_there(
    tmp_path: Path,
) -> None:
    runs = arm(tmp_path, solving(20), NEVER)
    assert times_to_reach(runs, "sum", "updates").times.tolist() == [30, 100]


def test_real_runs_have_every_unit(tmp_path: Path) -> None:
    run = carry_out(tiny_experiment(), tmp_path, Execution(device="cpu", threads=1))
    for unit in UNITS:
        assert np.all(np.diff(spent(run.curves, unit)) >= 0)
        assert times_to_reach([run], "parity", unit, 0.01).reached == 1


def line(slope: float, reach: float, keeps_its_end: bool = False) -> Curve:
    x = np.linspace(0, reach, 5)
    return Curve(x, slope * x, keeps_its_end)


def test_medians_are_taken_at_equal_places_of_the_curves_that_reach_them() -> None:
    found = medians_at([line(1, 10), line(2, 10), line(6, 5)], np.array([3.0, 8.0]))
    assert found.median.tolist() == pytest.approx([6, 12])
    assert found.measured.tolist() == [3, 2]
    assert (found.low[0], found.high[0]) == pytest.approx((3, 18))
    solved = medians_at([line(1, 10), line(2, 4, keeps_its_end=True)], np.array([10.0]))
    assert solved.median[0] == pytest.approx(9)
    assert solved.measured.tolist() == [1]


def test_differences_are_between_medians_at_equal_places() -> None:
    ours, theirs = [line(3, 8), line(3, 8)], [line(1, 12), line(1, 12)]
    places = common_places(ours, theirs)
    assert places.tolist() == [2, 4, 6, 8]
    for found, x in zip(differences_at(ours, theirs, places), places, strict=True):
        assert (found.x, found.ours, found.theirs) == pytest.approx((x, 3 * x, x))
        assert (found.low, found.high) == pytest.approx((2 * x, 2 * x))
    spread = [line(1, 8), line(3, 8), line(5, 8)]
    (found,) = differences_at(spread, theirs, np.array([8.0]))
    assert (found.low, found.ours - found.theirs, found.high) == pytest.approx((0, 16, 32))


def test_arms_are_compared_as_far_as_both_reach() -> None:
    solved, long = [line(1, 3, keeps_its_end=True)], [line(1, 12), line(1, 6)]
    assert common_places(solved, long)[-1] == 12
    assert common_places(solved, [line(1, 5, keeps_its_end=True)])[-1] == 5


def test_curves_of_runs_keep_the_end_of_those_that_were_solved(tmp_path: Path) -> None:
    runs = [*arm(tmp_path, solving(20), NEVER), Run(tmp_path / "none")]
    first, second = curves_of(runs, "parity.accuracy", "examples")
    assert (first.reach, second.reach) == (math.inf, 6400)
    assert first.x.tolist() == [0, 640, 1280, 1920]
    assert first.y.tolist() == solving(20)


def judged(condition: Condition, **arms: tuple[Run, ...]) -> str:
    return condition.judge(arms[condition.arm], arms).judgement


def sooner(factor: float = 2, **fields: Any) -> Sooner:
    return Sooner(arm="a", than="b", step="parity", factor=factor, **fields)


def no_sooner(factor: float = 1.25) -> NoSooner:
    return NoSooner(arm="a", than="b", step="parity", factor=factor)


def test_sooner_needs_the_intervals_end_and_not_only_the_estimate(tmp_path: Path) -> None:
    quick = arm(tmp_path / "quick", solving(20), solving(20), solving(20))
    mixed = arm(tmp_path / "mixed", solving(20), solving(20), solving(60))
    slow = arm(tmp_path / "slow", solving(60), solving(60), solving(60))
    never = arm(tmp_path / "never", NEVER, NEVER, NEVER)
    assert judged(sooner(3), a=quick, b=slow) == "borne out"
    assert judged(sooner(3.1), a=quick, b=slow) == "not borne out"
    assert judged(sooner(2), a=mixed, b=slow) == "undecided"
    assert judged(sooner(2), a=slow, b=mixed) == "not borne out"
    assert judged(sooner(5), a=quick, b=never) == "borne out"
    assert judged(sooner(5.1), a=quick, b=never) == "not borne out"
    assert judged(sooner(1), a=never, b=slow) == "not borne out"
    assert judged(sooner(1), a=never, b=never) == "not borne out"
    assert judged(sooner(1), a=quick, b=quick) == "not borne out"


def test_sooner_waits_for_the_runs_of_both_arms(tmp_path: Path) -> None:
    quick = arm(tmp_path / "quick", solving(20))
    going_on = arm(tmp_path / "on", LOW * 9, state="interrupted")
    slow = arm(tmp_path / "slow", solving(80))
    assert judged(sooner(), a=quick, b=slow) == "borne out"
    assert judged(sooner(), a=quick, b=going_on) == "undecided"
    assert judged(sooner(), a=quick, b=(*slow, Run(tmp_path / "none"))) == "undecided"
    assert judged(sooner(), a=quick, b=()) == "undecided"
    assert sooner().judge(quick).judgement == "undecided"


def test_sooner_says_its_numbers(tmp_path: Path) -> None:
    arms = {
        "a": arm(tmp_path / "quick", solving(20), solving(20)),
        "b": arm(tmp_path / "never", NEVER, NEVER),
    }
    assert sooner().judge(arms["a"], arms).numbers == (
        "a: parity solved in 2 of 2 seeds, median 1,280 examples; "
        "b: parity solved in 0 of 2 seeds, median at least 6,400 examples; ratio at least 5"
    )
    in_labels = sooner(accuracy=0.4, unit="labels").judge(arms["a"], arms)
    assert "parity at 40.0% in 2 of 2 seeds, median 0 labels seen" in in_labels.numbers
    assert in_labels.judgement == "not borne out"


def test_no_sooner_holds_for_what_never_gets_there(tmp_path: Path) -> None:
    quick = arm(tmp_path / "quick", solving(20), solving(20), solving(20))
    near = arm(tmp_path / "near", solving(30), solving(20), solving(20))
    mixed = arm(tmp_path / "mixed", solving(20), solving(20), solving(60))
    slow = arm(tmp_path / "slow", solving(60), solving(60), solving(60))
    never = arm(tmp_path / "never", NEVER, NEVER, NEVER)
    assert judged(no_sooner(), a=never, b=never) == "borne out"
    assert judged(no_sooner(), a=never, b=quick) == "borne out"
    assert judged(no_sooner(), a=near, b=quick) == "borne out"
    assert judged(no_sooner(), a=quick, b=slow) == "not borne out"
    assert judged(no_sooner(), a=quick, b=never) == "not borne out"
    assert judged(no_sooner(), a=mixed, b=slow) == "undecided"
    assert judged(no_sooner(), a=quick, b=(Run(tmp_path / "none"),)) == "undecided"


def test_reaches_at_least_looks_at_every_seed_and_step(tmp_path: Path) -> None:
    good = arm(tmp_path / "good", [0.5, 0.8], [0.5, 0.9])
    fell = arm(tmp_path / "fell", [0.5, 0.8, 0.6])
    going_on = arm(tmp_path / "on", [0.5, 0.8], state="interrupted")
    diverged = arm(tmp_path / "diverged", [], state="diverged")
    parity = ReachesAtLeast(arm="a", steps=("parity",), accuracy=0.8)
    at_best = ReachesAtLeast(arm="a", steps=("parity",), accuracy=0.8, at="best")
    assert judged(parity, a=good) == "borne out"
    assert judged(ReachesAtLeast(arm="a", accuracy=0.8), a=good) == "not borne out"
    assert judged(ReachesAtLeast(arm="a", accuracy=0.4), a=good) == "borne out"
    assert judged(parity, a=fell) == "not borne out"
    assert judged(at_best, a=fell) == "borne out"
    assert judged(parity, a=(*good, *going_on)) == "undecided"
    assert judged(at_best, a=(*good, *going_on)) == "borne out"
    assert judged(parity, a=(*good, Run(tmp_path / "none"))) == "undecided"
    assert judged(parity, a=(*good, *diverged)) == "not borne out"
    assert judged(parity, a=()) == "undecided"
    assert "in 1 of 2 seeds, the lowest 60.0% (parity)" in parity.judge([*good[:1], *fell]).numbers


def test_a_claim_gives_a_comparison_the_other_arms_runs(tmp_path: Path) -> None:
    claim = Claim(text="a is sooner", conditions=(sooner(),))
    runs = {"a": arm(tmp_path / "a", solving(20)), "b": arm(tmp_path / "b", NEVER)}
    assert claim.judge(runs).judgement == "borne out"
    assert Claim.model_validate_json(claim.model_dump_json()) == claim


def test_claims_of_earlier_files_are_read_as_they_were() -> None:
    text = '{"text": "x", "conditions": [{"type": "Solves", "arm": "a", "step": "parity"}]}'
    assert Claim.model_validate_json(text).conditions == (Solves(arm="a", step="parity"),)


def test_a_claim_about_an_arm_that_is_not_there_is_refused() -> None:
    arms = (Arm(name="a", experiment=experiment()),)
    claim = Claim(text="x", conditions=(sooner(),))
    with pytest.raises(ValidationError, match="unknown arm 'b'"):
        Study(name="s", question="?", arms=arms, seeds=(0,), claim=claim)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of a study: parity alone never solves, with sums every seed does."""
    arms = (
        Arm(name="parity [b]alone[/b]", experiment=experiment()),
        Arm(name="with sums", experiment=experiment(learning_rate=2e-3)),
    )
    planned = Study(name="s", question="?", arms=arms, seeds=(0, 1, 2))
    planned.write(tmp_path / "s")
    runs = Outcome.open(tmp_path / "s").runs
    for name, one in planned.experiments():
        accuracies = solving(20 + 10 * one.seed) if name == "with sums" else NEVER
        written(runs[name][one.seed].folder, one, accuracies, "finished")
    return tmp_path / "s"


def test_compare_prints_both_arms_and_what_is_between_them(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert call("compare", study) == 0
    printed = capsys.readouterr().out
    assert "parity [b]alone[/b]  3 of 3" in printed
    assert "at least 6,400" in printed
    assert "1,920 (1,280 to 2,560)" in printed
    assert "with sums needs: at least 3.33 (from 2.5 on)" in printed
    assert "6,400: -45.0 points, 50.0% against 95.0%" in printed


def test_compare_gives_the_same_as_data(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = ["--arm", "with sums", "--arm", "parity [b]alone[/b]"]
    assert call("compare", study, *arms, "--json", "--unit", "updates", "--accuracy", ".92") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["study"], found["step"], found["unit"]) == ("s", "parity", "updates")
    helped, alone = found["arms"]
    assert (helped["reached"], helped["censored"], alone["reached"]) == (3, 0, 0)
    assert helped["median_time"] == {"at_least": 30, "at_most": 30, "low": 20, "high": 40}
    assert alone["median_time"]["at_most"] is None
    assert helped["survival"]["times"] == [20, 30, 40]
    assert helped["survival"]["share"] == pytest.approx([2 / 3, 1 / 3, 0])
    assert helped["accuracy"] == {"median": 0.95, "low": 0.95, "high": 0.95}
    assert found["ratio"] == {"at_least": 0, "at_most": 0.3, "low": 0, "high": 0.4}
    oracle = stats.logrank([20, 30, 40], stats.CensoredData.right_censored([100] * 3, [True] * 3))
    assert found["logrank_p"] == pytest.approx(oracle.pvalue)
    assert [difference["at"] for difference in found["differences"]] == [25, 50, 75, 100]
    assert found["differences"][-1]["of"] == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--arm", "with sum", "--arm", "x"], "did you mean with sums?"),
        (["--arm", "with sums"], "name two arms"),
        (["--step", "party"], "did you mean parity?"),
        (["--unit", "example"], "did you mean examples?"),
        (["--accuracy", "95"], "such as 0.95"),
    ],
)
def test_compare_says_what_would_be_right(
    study: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert call("compare", study, *options) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""


def test_compare_says_when_there_is_nothing_to_compare_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = tuple(Arm(name=name, experiment=experiment()) for name in "ab")
    Study(name="s", question="?", arms=arms, seeds=(0,)).write(tmp_path)
    assert call("compare", tmp_path) == 2
    assert "no run of this arm has been evaluated yet" in capsys.readouterr().err
    assert call("compare", tmp_path / "nowhere") == 2
