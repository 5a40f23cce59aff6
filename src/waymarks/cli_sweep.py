"""`waymarks sweep` and `waymarks status`: many runs, here or on a cluster, and what they are at."""

import contextlib
import json
import re
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console, Group
from rich.text import Text

from waymarks.errors import RunFailed, UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from waymarks.studies import Execution, Study
    from waymarks.studies.conduct import Event
    from waymarks.studies.estimate import Estimate
    from waymarks.studies.status import StudyStatus

app = typer.Typer()

WATCH_SECONDS = 2.0
"""From one look of `status --watch` to the next."""

MOST_ROWS = 40
"""Runs that are named one by one on a terminal."""

SWEEP_EXAMPLE = (
    "Example:\n\n[bold]waymarks sweep sweep.toml --dry-run[/bold]\n\n"
    "[bold]waymarks sweep sweep.toml --jobs 8 --out studies/sweep[/bold]\n\n"
    "[bold]waymarks sweep sweep.toml --ray auto --out /shared/sweep --gpus-per-run 0.25[/bold]"
)


@app.command(epilog=SWEEP_EXAMPLE)
def sweep(
    file: Annotated[Path, typer.Argument(help="A base experiment and axes, as TOML.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the study; studies/<its name> unless given.", metavar="DIR"),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs side by side; one per core (or one on a GPU) unless given."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and how long it would take.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Ray cluster's address, or auto, or local."),
    ] = None,
    cpus_per_run: Annotated[
        float, typer.Option(min=0, help="With --ray: CPUs that each run asks for.")
    ] = 1.0,
    gpus_per_run: Annotated[
        float, typer.Option(min=0, help="With --ray: GPUs, or a fraction, that each run asks for.")
    ] = 0.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or one such as cuda:1.")] = "auto",
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of each run; its share of the cores unless given."),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="TRACKER", help="Show runs to tensorboard, wandb or mlflow as well."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output, and nothing else.")
    ] = False,
) -> None:
    """Runs every arm of a sweep with every seed; goes on where an earlier call stopped."""
    from waymarks.studies import Execution
    from waymarks.studies.conduct import conduct, cores, default_jobs
    from waymarks.studies.sweep import read_sweep
    from waymarks.trackers import require_libraries

    study = read_sweep(file)
    folder = out or Path("studies") / _slug(study.name)
    fields = {"device": device, "compile": compile, "threads": threads}
    execution = Execution.of(**fields, track=tuple(track or ()))
    if ray is not None:
        if jobs is not None or dry_run:
            raise UserError("--jobs and --dry-run are about this machine; Ray places runs itself")
        events = _on_ray(study, folder, execution, ray, cpus_per_run, gpus_per_run)
        follow_study(study, folder, events, as_json, again=_this_command())
        return
    require_libraries(execution.track)
    jobs = jobs or default_jobs(execution)
    if dry_run:
        from waymarks.studies.estimate import estimate

        share = execution.threads or max(1, cores() // jobs)
        execution = execution.model_copy(update={"threads": share})
        _print_estimate(study, estimate(study, folder, execution, jobs), as_json)
        return
    follow_study(study, folder, conduct(study, folder, execution, jobs), as_json)


def _on_ray(
    study: "Study", folder: Path, execution: "Execution", address: str, cpus: float, gpus: float
) -> "Generator[Event, None, None]":
    from waymarks.studies.ray_conduct import Resources, conduct_on_ray

    return conduct_on_ray(study, folder, execution, address, Resources(cpus=cpus, gpus=gpus))


def _slug(name: str) -> str:
    return re.sub(r"[^\w.=-]+", "-", name).strip("-.") or "sweep"


def _this_command() -> str:
    from waymarks.studies.provenance import command

    return command()


def follow_study(
    study: "Study",
    folder: Path,
    events: "Generator[Event, None, None]",
    as_json: bool,
    again: str | None = None,
) -> None:
    """Shows a study as it goes, reports what came of it, and says what is missing.

    Args:
        study: the study.
        folder: its folder.
        events: of its conduct.
        as_json: whether the report goes to standard output as JSON.
        again: the command that goes on with it; `waymarks resume` unless given.

    Raises:
        RunFailed: some runs are missing at the end.
    """
    from waymarks import cli
    from waymarks.live import StudyView
    from waymarks.studies import Interrupted, Outcome
    from waymarks.studies.status import (
        resume_command,
        status_of,
        what_is_missing,
        what_to_do,
    )

    again = again or resume_command(folder)
    try:
        title = f"{study.name}: {study.question}"
        with contextlib.closing(events), StudyView(Console(stderr=True), title) as view:
            view.follow(events)
    except (Interrupted, KeyboardInterrupt):
        _stopped(status_of(study, folder), again)
    status = status_of(study, folder)
    for line in what_is_missing(status):
        print(line, file=sys.stderr)
    try:
        cli.report_outcomes([Outcome.of(study, folder)], folder, as_json)
    except OSError as error:
        reason = f"{folder}: the report cannot be written: {error.strerror or error}"
        raise RunFailed(f"{reason}; the runs are there: waymarks report {folder}") from error
    if status.missing:
        count = f"{len(status.missing):,} of {len(status.runs):,} runs are missing"
        raise RunFailed(f"{count}; {what_to_do(status, again)}")


def _stopped(status: "StudyStatus", again: str) -> NoReturn:
    done = f"{status.counts['finished']:,} of {len(status.runs):,} runs are finished"
    print(f"stopped; {done}; to go on: {again}", file=sys.stderr)
    sys.exit(130)


def _print_estimate(study: "Study", found: "Estimate", as_json: bool) -> None:
    from waymarks.cli import print_table
    from waymarks.live import clock

    if as_json:
        print(json.dumps({"study": study.name, **found.as_dict()}, ensure_ascii=False))
        return
    rows = [
        (share.arm, f"{share.runs:,}", f"{share.updates:,}", clock(share.seconds))
        for share in found.shares
    ]
    print_table(("arm", "runs", "updates", "time, one after another"), rows)
    side_by_side = "one after another" if found.jobs == 1 else f"{found.jobs} side by side"
    Console(highlight=False, markup=False, soft_wrap=True).print(
        f"{study.name}: {found.finished:,} runs finished; {found.runs:,} to do, "
        f"{found.updates:,} updates: at most about {clock(found.seconds)}, {side_by_side}"
    )


@app.command(
    epilog="Example:\n\n[bold]waymarks status studies/sweep[/bold]\n\n"
    "[bold]waymarks status studies/sweep --watch[/bold]"
)
def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Of a study.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again until nothing is left to do.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output, and nothing else.")
    ] = False,
) -> None:
    """Shows which runs of a study are finished, running, failed and waiting."""
    from waymarks.studies.status import open_status

    if watch and as_json:
        raise UserError("--watch goes on showing; --json prints one object: choose one")
    if watch:
        _watch(folder)
        return
    found = open_status(folder)
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        Console(highlight=False).print(_shown(found, folder))


def _watch(folder: Path) -> None:
    """Shows the status until every run has finished or failed."""
    from rich.live import Live

    from waymarks.studies.status import open_status

    found = open_status(folder)
    with Live(_shown(found, folder), console=Console(highlight=False)) as live:
        while found.at("running") or found.at("waiting"):
            time.sleep(WATCH_SECONDS)
            found = open_status(folder)
            live.update(_shown(found, folder))


def _shown(found: "StudyStatus", folder: Path) -> "RenderableType":
    """The counts, the runs that are going on, those that failed, and what completes it."""
    from rich.table import Table

    from waymarks.live import clock
    from waymarks.studies.status import first_line, resume_command, what_to_do

    left = found.seconds_left
    at_most = f"; at most about {clock(left)} left" if left is not None else ""
    parts: list[RenderableType] = [
        Text(f"{found.study.name}: {found.study.question}", style="bold"),
        Text(found.in_short() + at_most),
    ]
    running = found.at("running")
    if running:
        table = Table("running", "seed", "update", "left, at most", box=None, pad_edge=False)
        for run in running[:MOST_ROWS]:
            left = run.seconds_left
            table.add_row(
                Text(run.job.arm),
                str(run.job.experiment.seed),
                f"{run.update:,} / {run.updates:,}",
                clock(left) if left is not None else "",
            )
        parts.append(table)
    failed = found.at("failed")
    for run in failed[:MOST_ROWS]:
        place = f"{run.job.arm}, seed {run.job.experiment.seed}"
        parts.append(Text(f"failed: {place}: {first_line(run.reason)}"))
    if len(failed) > MOST_ROWS:
        parts.append(Text(f"and {len(failed) - MOST_ROWS:,} more failed"))
    if found.missing and not running:
        parts.append(Text(what_to_do(found, resume_command(folder))))
    return Group(*parts)
