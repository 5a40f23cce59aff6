"""What a person sees while a study or a run goes on."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from waymarks.studies import Progress
from waymarks.studies.conduct import Event, Job

QUIET_SECONDS = 15.0
"""Where the output is no terminal: from one line about a run to the next."""

FEW_STEPS = 3
"""Of so many steps each is shown; of more the final one, and how many are solved."""


def time_left(progress: Progress) -> str:
    """How long a run still takes if it goes on to the end of its budget at its present pace."""
    if progress.updates_per_second <= 0:
        return ""
    return clock((progress.updates - progress.update) / progress.updates_per_second)


def clock(seconds: float) -> str:
    """Seconds as `1:02:03` or `2:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def accuracies(progress: Progress) -> dict[str, float]:
    """The accuracy of each step at the newest evaluation, in the order of the steps."""
    ending = ".accuracy"
    return {
        name.removesuffix(ending): float(value)
        for name, value in progress.metrics.items()
        if name.endswith(ending)
    }


def _shown_steps(job: Job) -> list[str]:
    """The names of all steps if they are few, else that of the final one."""
    names = [step.name for step in job.experiment.task.steps]
    return names if len(names) <= FEW_STEPS else names[-1:]


def _steps_solved(job: Job, progress: Progress) -> str:
    """How many steps are answered as well as a solved one: `9 of 12`."""
    needed = job.experiment.training.solved_accuracy
    seen = accuracies(progress).values()
    return f"{sum(value >= needed for value in seen)} of {len(job.experiment.task.steps)}"


def _told(job: Job, progress: Progress) -> list[str]:
    """What a line says of accuracies."""
    seen = accuracies(progress)
    told = [f"{step} {seen[step]:.1%}" for step in _shown_steps(job) if step in seen]
    if seen and len(job.experiment.task.steps) > FEW_STEPS:
        told.append(f"{_steps_solved(job, progress)} steps solved")
    return told


class StudyView:
    """The runs of a study as they go: a live table in a terminal, else a line now and then."""

    def __init__(self, console: Console, title: str = "") -> None:
        self.console = console
        self._title = title
        self._states: dict[Job, str] = {}
        self._progress: dict[Job, Progress] = {}
        self._told: dict[Job, float] = {}
        self._live = Live(
            console=console, get_renderable=self._table, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._live.__exit__(kind, error, trace)

    def follow(self, events: Iterator[Event]) -> dict[Job, str]:
        """Shows what happens; returns the reason of each run that failed."""
        failed: dict[Job, str] = {}
        for event in events:
            self.take(event)
            if event.kind == "failed":
                failed[event.job] = event.message
        return failed

    def take(self, event: Event) -> None:
        """Shows one event; before the first one, the title."""
        if self._title and not self._states:
            self.console.print(self._title, markup=False, highlight=False, style="bold")
        self._states[event.job] = event.kind
        if event.progress is not None:
            self._progress[event.job] = event.progress
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """One line about an event, where there is no live table to show it."""
        moment = time.monotonic()
        is_progress = event.kind == "progressed"
        if is_progress and (
            self.console.is_terminal or moment - self._told.get(event.job, 0) < QUIET_SECONDS
        ):
            return
        self._told[event.job] = moment
        name = f"{event.job.arm}, seed {event.job.experiment.seed}"
        progress = self._progress.get(event.job)
        details = [event.message] if event.message else []
        if progress is not None:
            details.append(f"update {progress.update:,} of {progress.updates:,}")
            details += _told(event.job, progress)
            if is_progress and progress.update:
                details.append(f"{progress.updates_per_second:.0f} updates/s")
                details.append(f"at most {time_left(progress)} left")
        words = {
            "progressed": "",
            "skipped": "was finished already",
            "retried": "is tried again:",
            "elsewhere": "is being trained by another process",
        }
        line = [name, words.get(event.kind, event.kind), *details]
        text = "  ".join(part for part in line if part)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        running = [job for job, state in self._states.items() if state in ("started", "progressed")]
        steps = _shown_steps(running[0]) if running else []
        table = Table(box=None, pad_edge=False)
        for heading in ("arm", "seed", "update"):
            table.add_column(heading, justify="left" if heading == "arm" else "right")
        for step in steps:
            table.add_column(f"{step} accuracy", justify="right")
        many = any(len(job.experiment.task.steps) > FEW_STEPS for job in running)
        if many:
            table.add_column("steps solved", justify="right")
        table.add_column("updates/s", justify="right")
        table.add_column("time left, at most", justify="right")
        for job in running:
            table.add_row(*self._row(job, steps, many))
        done = sum(state in ("finished", "skipped") for state in self._states.values())
        table.caption = f"{done} runs finished"
        return table

    def _row(self, job: Job, steps: list[str], many: bool) -> list[str]:
        start = [escape(job.arm), str(job.experiment.seed)]
        progress = self._progress.get(job)
        if progress is None:
            return [*start, "starting", *[""] * (len(steps) + many + 2)]
        seen = accuracies(progress)
        return [
            *start,
            f"{progress.update:,} / {progress.updates:,}",
            *[f"{seen[step]:.1%}" if step in seen else "" for step in steps],
            *([_steps_solved(job, progress)] if many else []),
            f"{progress.updates_per_second:.1f}",
            time_left(progress),
        ]


class RunView(StudyView):
    """One run as it goes, shown as a study of that run alone."""

    def __init__(self, console: Console, job: Job) -> None:
        super().__init__(console)
        self._job = job

    def show(self, progress: Progress) -> None:
        """Shows how far the run is."""
        self.take(Event("progressed", self._job, progress))
