"""Claims: what a study expects, judged by code from what came of its runs."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny

from waymarks.axes import Axis, Frozen
from waymarks.studies.run import Run

Judgement = Literal["borne out", "not borne out", "undecided"]
Runs = Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class Finding:
    """What was found of one condition.

    Attributes:
        judgement: whether it holds; `undecided` while runs are missing that could decide it.
        numbers: the numbers, as a sentence.
    """

    judgement: Judgement
    numbers: str


class Condition(Axis):
    """Something that holds or does not hold of the runs of one arm."""

    arm: str
    step: str

    @abstractmethod
    def judge(self, runs: Sequence[Run]) -> Finding:
        """Looks at the arm's runs, those that have not come to their end included."""


class Solves(Condition):
    """Every seed of the arm solves the step within its budget (see `Run.solved`)."""

    def judge(self, runs: Sequence[Run]) -> Finding:
        when = [run.solved(self.step) for run in runs]
        solved = sorted(moment.update for moment in when if not moment.censored)
        unsolved = [run for run, moment in zip(runs, when, strict=True) if moment.censored]
        numbers = f"{self.arm}: {self.step} solved in {len(solved)} of {len(runs)} seeds"
        if solved:
            numbers += f", at update {solved[0]:,}"
            numbers += f" to {solved[-1]:,}" if solved[-1] > solved[0] else ""
        if not unsolved:
            return Finding("borne out" if runs else "undecided", numbers)
        ended = any(run.state in ("finished", "diverged") for run in unsolved)
        return Finding("not borne out" if ended else "undecided", numbers)


class StaysBelow(Condition):
    """The step's accuracy is at most `accuracy` at every evaluation, in every seed of the arm."""

    accuracy: Annotated[float, Field(ge=0, le=1)] = 0.6

    def judge(self, runs: Sequence[Run]) -> Finding:
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
        ended = all(run.state in ("finished", "diverged") for run in runs)
        return Finding("borne out" if ended else "undecided", numbers)


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
            condition.judge(runs.get(condition.arm, [])) for condition in self.conditions
        )
        judgements = {finding.judgement for finding in findings}
        if "not borne out" in judgements:
            return Verdict("not borne out", findings)
        return Verdict("undecided" if "undecided" in judgements else "borne out", findings)
