"""Claims: what a study expects, judged by code from what came of its runs."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, SerializeAsAny

from waymarks.axes import Axis, Frozen
from waymarks.studies.run import Run

if TYPE_CHECKING:
    from waymarks.studies.statistics import Bounded

Judgement = Literal["borne out", "not borne out", "undecided"]
Runs = Mapping[str, Sequence[Run]]
NO_RUNS: Runs = MappingProxyType({})
Accuracy = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Finding:
    """What was found of one condition.

    Attributes:
        judgement: whether it holds; `undecided` while runs are missing that could decide it, or
            where more seeds could.
        numbers: the numbers, as a sentence.
    """

    judgement: Judgement
    numbers: str


class Condition(Axis):
    """Something that holds or does not hold of the runs of one arm, maybe beside another's."""

    arm: str

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of all arms that it is about."""
        return (self.arm,)

    @abstractmethod
    def judge(self, runs: Sequence[Run], among: Runs = NO_RUNS) -> Finding:
        """Looks at the arm's runs, those that have not come to their end included.

        Args:
            runs: of the arm.
            among: of every arm, by its name, for a condition that compares.
        """


class Solves(Condition):
    """Every seed of the arm solves the step within its budget (see `Run.solved`)."""

    step: str

    def judge(self, runs: Sequence[Run], among: Runs = NO_RUNS) -> Finding:
        when = [run.solved(self.step) for run in runs]
        solved = sorted(moment.update for moment in when if not moment.censored)
        unsolved = [run for run, moment in zip(runs, when, strict=True) if moment.censored]
        numbers = f"{self.arm}: {self.step} solved in {len(solved)} of {len(runs)} seeds"
        if solved:
            numbers += f", at update {solved[0]:,}"
            numbers += f" to {solved[-1]:,}" if solved[-1] > solved[0] else ""
        if not unsolved:
            return Finding("borne out" if runs else "undecided", numbers)
        ended = any(run.has_ended for run in unsolved)
        return Finding("not borne out" if ended else "undecided", numbers)


class StaysBelow(Condition):
    """The step's accuracy is at most `accuracy` at every evaluation, in every seed of the arm."""

    step: str
    accuracy: Accuracy = 0.6

    def judge(self, runs: Sequence[Run], among: Runs = NO_RUNS) -> Finding:
        best = [
            max((line[f"{self.step}.accuracy"] for line in run.metrics()), default=None)
            for run in runs
        ]
        seen = [accuracy for accuracy in best if accuracy is not None]
        if not seen:
            return Finding("undecided", f"{self.arm}: no evaluation of {self.step} yet")
        numbers = f"{self.arm}: {self.step} accuracy never above {max(seen):.1%}"
        if max(seen) > self.accuracy:
            numbers = f"{self.arm}: {self.step} accuracy up to {max(seen):.1%}"
            return Finding("not borne out", numbers)
        ended = all(run.has_ended for run in runs)
        return Finding("borne out" if ended else "undecided", numbers)


class ReachesAtLeast(Condition):
    """Every seed of the arm answers some steps with at least this accuracy.

    Attributes:
        steps: their names; all steps of the arm's task unless given.
        accuracy: for each step and seed.
        at: the last evaluation, or each step's best.
    """

    steps: tuple[str, ...] = ()
    accuracy: Accuracy = 0.99
    at: Literal["last", "best"] = "last"

    def judge(self, runs: Sequence[Run], among: Runs = NO_RUNS) -> Finding:
        found = [(self._lowest(run), run.has_ended) for run in runs]
        known = [lowest for lowest, _ in found if lowest is not None]
        what = f"{self.at} accuracy of {' and '.join(self.steps) or 'every step'}"
        if not known:
            return Finding("undecided", f"{self.arm}: no evaluation yet")
        enough = sum(lowest[0] >= self.accuracy for lowest in known)
        numbers = (
            f"{self.arm}: {what} at least {self.accuracy:.1%} in {enough} of {len(runs)} seeds, "
            f"the lowest {min(known)[0]:.1%} ({min(known)[1]})"
        )
        if any(ended and (lowest is None or lowest[0] < self.accuracy) for lowest, ended in found):
            return Finding("not borne out", numbers)
        holds = all(
            lowest is not None and lowest[0] >= self.accuracy and (ended or self.at == "best")
            for lowest, ended in found
        )
        return Finding("borne out" if holds else "undecided", numbers)

    def _lowest(self, run: Run) -> tuple[float, str] | None:
        """The lowest accuracy of the steps and the step that has it, None before an evaluation."""
        evaluations = run.metrics()
        if not evaluations:
            return None
        counted = evaluations if self.at == "best" else evaluations[-1:]
        steps = self.steps or [step.name for step in run.experiment.task.steps]
        return min((max(line[f"{step}.accuracy"] for line in counted), step) for step in steps)


class _Compared(Condition):
    """A condition on how many times as long another arm needs to reach an accuracy to stay.

    Attributes:
        than: the name of the other arm.
        step: which has to reach it.
        factor: of the times that the other arm needs to those that this one needs.
        accuracy: the experiments' own `solved_accuracy` unless given.
        unit: what the times are counted in.
    """

    than: str
    step: str
    factor: Annotated[float, Field(gt=0)] = 1.0
    accuracy: Accuracy | None = None
    unit: Literal["updates", "examples", "labels", "flops", "seconds"] = "examples"

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm, self.than)

    @abstractmethod
    def decide(self, ratio: "Bounded") -> Judgement:
        """Whether it holds, from the ratio of the other arm's median time to this one's."""

    def judge(self, runs: Sequence[Run], among: Runs = NO_RUNS) -> Finding:
        from waymarks.studies.evidence import UNIT_NAMES, amount, times_to_reach

        arms = {self.arm: runs, self.than: among.get(self.than, ())}
        times = {
            arm: times_to_reach(arm_runs, self.step, self.unit, self.accuracy)
            for arm, arm_runs in arms.items()
        }
        goal = self.step + (" solved" if self.accuracy is None else f" at {self.accuracy:.1%}")
        if any(not len(found.times) for found in times.values()):
            return Finding("undecided", f"{self.arm}, {self.than}: no evaluation of both yet")
        parts = [
            f"{arm}: {goal} in {found.reached} of {len(arms[arm])} seeds, median "
            f"{found.median().said(lambda value: amount(self.unit, value))} "
            f"{UNIT_NAMES[self.unit]}"
            for arm, found in times.items()
        ]
        ratio = times[self.than].ratio(times[self.arm])
        parts.append(f"ratio {ratio.said('{:.3g}'.format)}")
        ended = all(run.has_ended for arm_runs in arms.values() for run in arm_runs)
        return Finding(self.decide(ratio) if ended else "undecided", "; ".join(parts))


class Sooner(_Compared):
    """The arm reaches the accuracy with at most 1/factor of what another arm needs.

    The lower end of the ratio's interval decides, so that few seeds have to agree; where the
    estimate would do and the interval does not, more seeds could decide. A run of the other arm
    that never gets there counts as having needed its budget.
    """

    def decide(self, ratio: "Bounded") -> Judgement:
        if ratio.low >= self.factor and ratio.low > 1:
            return "borne out"
        could_be = ratio.at_least >= self.factor and ratio.at_least > 1
        return "undecided" if could_be else "not borne out"


class NoSooner(_Compared):
    """The arm does not reach the accuracy meaningfully sooner than another: for controls.

    It holds where the other arm needs, by the estimate, at most `factor` times as long, or where
    this arm does not get there; it fails where the whole interval says otherwise.
    """

    factor: Annotated[float, Field(ge=1)] = 1.25

    def decide(self, ratio: "Bounded") -> Judgement:
        if ratio.at_least <= self.factor:
            return "borne out"
        return "not borne out" if ratio.low > self.factor else "undecided"


@dataclass(frozen=True)
class Verdict:
    """What a study's outcome says of its claim.

    Attributes:
        judgement: `not borne out` if any condition fails, `borne out` if all hold.
        findings: what was found of each condition.
    """

    judgement: Judgement
    findings: tuple[Finding, ...]


class Claim(Frozen):
    """A sentence, and the conditions that it amounts to.

    Attributes:
        text: the sentence.
        conditions: all of them must hold.
    """

    text: str
    conditions: tuple[SerializeAsAny[Condition], ...]

    def judge(self, runs: Runs) -> Verdict:
        """Judges the claim from the runs of each arm, by the arm's name."""
        findings = tuple(
            condition.judge(runs.get(condition.arm, ()), runs) for condition in self.conditions
        )
        judgements = {finding.judgement for finding in findings}
        if "not borne out" in judgements:
            return Verdict("not borne out", findings)
        return Verdict("undecided" if "undecided" in judgements else "borne out", findings)
