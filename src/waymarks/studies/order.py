"""A claim about the order in which steps are learned."""

from collections.abc import Sequence

from waymarks.studies.claim import NO_RUNS, Condition, Finding, Runs
from waymarks.studies.run import Run
from waymarks.tasks import Step


class SolvedInOrder(Condition):
    """In every seed of the arm, `step` and all that it is computed from are solved, each no
    later than those that depend on it (see `Run.solved`): one after the other, or together."""

    step: str

    def judge(self, runs: Sequence[Run], among: Runs = NO_RUNS) -> Finding:
        mine = [run for run in runs if run.metrics()]
        if not mine:
            return Finding("undecided", f"{self.arm}: no evaluation yet")
        ended = all(run.has_ended for run in runs)
        unordered = [found for run in mine if (found := self._out_of_order(run))]
        if unordered:
            return Finding("not borne out" if ended else "undecided", unordered[0])
        firsts = sorted(run.solved(self._chain(run)[0].name).update for run in mine)
        lasts = sorted(run.solved(self.step).update for run in mine)
        numbers = (
            f"{self.arm}: from {self._chain(mine[0])[0].name}, solved at update "
            f"{_range(firsts)}, to {self.step}, at {_range(lasts)}, in order in {len(mine)} seeds"
        )
        return Finding("borne out" if ended else "undecided", numbers)

    def _chain(self, run: Run) -> list[Step]:
        """All steps that `step` is computed from, and itself, in the order of computation."""
        needed = {self.step}
        steps = run.experiment.task.steps
        for step in reversed(steps):
            if step.name in needed:
                needed.update(step.depends_on)
        return [step for step in steps if step.name in needed]

    def _out_of_order(self, run: Run) -> str:
        when = {step.name: run.solved(step.name) for step in self._chain(run)}
        for step in self._chain(run):
            if when[step.name].censored:
                return f"{self.arm}: {step.name} is not solved in seed {run.experiment.seed}"
            for before in step.depends_on:
                if when[before].update > when[step.name].update:
                    return (
                        f"{self.arm}: {before} is solved after {step.name} "
                        f"in seed {run.experiment.seed}"
                    )
        return ""


def _range(updates: Sequence[int]) -> str:
    low, high = updates[0], updates[-1]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
