"""The command line: it reads what is asked, calls the studies, and shows what came of it."""

import difflib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from waymarks.cli_compare import compare
from waymarks.cli_sweep import app as sweeps
from waymarks.cli_sweep import follow_study
from waymarks.cli_theory import app as theory
from waymarks.errors import RunFailed, UserError

if TYPE_CHECKING:
    from waymarks.studies import Execution, Outcome, Run, Study


UsageProblem: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)
"""What typer raises for a wrong option or argument: its own copy of click's, or click's."""


class NearestCommand(typer.core.TyperGroup):
    """Names the nearest command where one is unknown."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
            raise UserError(f"unknown command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=NearestCommand,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What should a network be told along the way, so that it learns what the final answer "
    "alone cannot teach it?\n\nBegin with [bold]waymarks demo[/bold].",
)

app.add_typer(theory, name="theory")
app.add_typer(sweeps)

Out = Annotated[Path | None, typer.Option(help="Folder for runs and report.", show_default=False)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, or one of several such as cuda:1.")]
Compile = Annotated[
    bool, typer.Option("--compile", help="Use torch.compile: up to a minute at the start of a run.")
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads of each run; its share of the cores unless given."),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Runs side by side; one per core (or one on a GPU) unless given."),
]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds, from 0 on.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change any field of every experiment."),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TRACKER",
        help="Show each run to tensorboard, wandb or mlflow as well; several times for several.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output, and nothing else there.")
]


def _example(*lines: str) -> str:
    return "Example:\n\n" + "\n\n".join(f"[bold]{line}[/bold]" for line in lines)


@app.command(epilog=_example("waymarks demo", "waymarks demo --seeds 1 --out /tmp/demo"))
def demo(
    out: Out = None,
    seeds: Seeds = 3,
    jobs: Jobs = None,
    device: Device = "auto",
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Parity alone against parity with sums: under three minutes on two cores."""
    from waymarks.recipes import study_named

    study = study_named("demo", "laptop", tuple(range(seeds)))
    execution = _execution(device=device, track=track)
    _conduct(study, out or Path("studies/demo"), execution, jobs, as_json)


@app.command(
    epilog=_example(
        "waymarks reproduce fig1-right --scale laptop",
        "waymarks reproduce fig1-left --scale paper --seeds 1 --jobs 2 --out fig1-left",
        "waymarks reproduce fig3-right --controls",
        "waymarks reproduce fig1-right --set training.learning_rate=1e-3",
    )
)
def reproduce(
    recipe: Annotated[
        str,
        typer.Argument(
            help="The figure: fig1-left, fig1-right (parities), fig2-left, fig2-right (LEGO), "
            "fig3-left or fig3-right (programs)."
        ),
    ],
    scale: Annotated[
        str, typer.Option(help="paper: the paper's sizes; laptop: minutes on two cores.")
    ] = "laptop",
    seeds: Seeds = 3,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls",
            help="Also run what else could explain the gain: intermediate labels shuffled, as "
            "many final labels instead, as much compute.",
        ),
    ] = False,
    jobs: Jobs = None,
    out: Out = None,
    device: Device = "auto",
    compile: Compile = False,
    threads: Threads = None,
    set: Set = None,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Runs the study behind a figure of the paper; goes on where an earlier call stopped."""
    from waymarks.recipes import study_named
    from waymarks.studies import with_controls

    study = study_named(recipe, scale, tuple(range(seeds)))
    if controls:
        study = with_controls(study)
    for field, value in map(_assignment, set or []):
        study = study.with_field(field, value)
    execution = _execution(device=device, compile=compile, threads=threads, track=track)
    _conduct(study, out or Path(f"studies/{recipe}-{scale}"), execution, jobs, as_json)


@app.command(epilog=_example("waymarks run experiment.json", "waymarks run experiment.json --json"))
def run(
    file: Annotated[Path, typer.Argument(help="An experiment, or a run's experiment.json.")],
    out: Annotated[
        Path, typer.Option(help="Folder of runs; this one's is named by a hash.")
    ] = Path("runs"),
    device: Device = "auto",
    compile: Compile = False,
    threads: Threads = None,
    set: Set = None,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Trains one experiment, or goes on with it; an experiment is never trained twice."""
    from waymarks.studies.run import read_experiment

    experiment = read_experiment(file)
    for field, value in map(_assignment, set or []):
        experiment = experiment.with_field(field, value)
    execution = _execution(device=device, compile=compile, threads=threads, track=track)
    _carry_out(experiment, out, execution, as_json)


@app.command(
    epilog=_example("waymarks resume studies/demo", "waymarks resume runs/2b0802302783b9b0")
)
def resume(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Of a run or of a study.")],
    jobs: Jobs = None,
    device: Annotated[
        str, typer.Option(help="For runs not begun yet; the others keep theirs.")
    ] = "auto",
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Goes on with a run, or with what is missing of a study."""
    from waymarks.studies import Outcome, Run
    from waymarks.studies.study import STUDY

    execution = _execution(device=device, track=track)
    if (folder / STUDY).exists():
        study = Outcome.open(folder).study
        _conduct(study, folder, execution, jobs, as_json)
    else:
        begun = Run.open(folder)
        if begun.experiment.identity != folder.resolve().name:
            raise UserError(f"{folder}: its name is not its experiment's identity; was it altered?")
        _carry_out(begun.experiment, folder.resolve().parent, execution, as_json)


@app.command(name="list", epilog=_example("waymarks list", "waymarks list studies/demo"))
def list_runs(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Looked through for runs.")
    ] = Path("."),
    as_json: Json = False,
) -> None:
    """Lists the runs below a folder: what they are of, and what they are at."""
    runs = _runs_below(folder)
    if as_json:
        _print_json({"runs": [_described(run) for run in runs]})
        return
    _print_columns([("run", "experiment", "seed", "state", "update", "in"), *map(_listed, runs)])


def _listed(run: "Run") -> tuple[str, ...]:
    update = f"{run.status.get('update', 0):,}"
    experiment = run.experiment
    place = str(run.folder.parent)
    return run.folder.name, _in_short(run), str(experiment.seed), run.state, update, place


@app.command(epilog=_example("waymarks show 2b08", "waymarks show runs/2b0802302783b9b0 --json"))
def show(
    run: Annotated[str, typer.Argument(help="A run's folder, or the beginning of its name.")],
    as_json: Json = False,
) -> None:
    """Shows one run: its experiment, where it comes from, and its latest evaluation."""
    found = _find_run(run)
    if as_json:
        _print_json({**_described(found), "metrics": found.metrics()})
        return
    console = Console()
    console.print_json(json.dumps(_described(found)))
    final = found.experiment.task.steps[-1].name
    when = found.solved(final)
    outcome = "not solved up to" if when.censored else "solved at"
    console.print(f"{final} {outcome} update {when.update:,}", highlight=False)


@app.command(
    epilog=_example("waymarks report studies/demo", "waymarks report runs/* --out comparison")
)
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Of runs or studies.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Draws a page and figures of runs and studies, finished or not."""
    from waymarks.reports import outcome_of_runs
    from waymarks.studies import Outcome
    from waymarks.studies.study import STUDY

    outcomes = [Outcome.open(folder) for folder in folders if (folder / STUDY).exists()]
    loose = [run for folder in folders if not (folder / STUDY).exists() for run in _runs_in(folder)]
    if loose:
        outcomes.append(outcome_of_runs(loose, "Runs"))
    report_outcomes(outcomes, out or (folders[0] if len(folders) == 1 else Path("report")), as_json)


app.command(
    epilog=_example(
        'waymarks compare studies/demo --arm "parity alone" --arm "parity with sums"',
        "waymarks compare sweep --arm p=0 --arm p=0.1 --step parity --accuracy 0.95 --unit labels",
    )
)(compare)


def _runs_in(folder: Path) -> "list[Run]":
    from waymarks.studies.run import EXPERIMENT

    found = _runs_below(folder)
    if not found:
        raise UserError(f"{folder}: holds no run (no {EXPERIMENT}) and no study")
    return found


def _runs_below(folder: Path) -> "list[Run]":
    from waymarks.studies import Run
    from waymarks.studies.run import EXPERIMENT, METRICS

    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder")
    runs = []
    for place, folders, files in os.walk(folder):
        folders.sort()
        if EXPERIMENT in files and METRICS in files:
            try:
                runs.append(Run.open(Path(place)))
            except UserError as error:
                print(f"left out: {error}", file=sys.stderr)
    return runs


def _find_run(name: str) -> "Run":
    from waymarks.studies import Run
    from waymarks.studies.run import EXPERIMENT

    if (Path(name) / EXPERIMENT).exists():
        return Run.open(Path(name))
    matching = [run for run in _runs_below(Path(".")) if run.folder.name.startswith(name)]
    if len(matching) != 1:
        count = "no run" if not matching else f"{len(matching)} runs"
        raise UserError(f"{count} named {name}... below this folder; see waymarks list")
    return matching[0]


def _described(run: "Run") -> dict[str, Any]:
    metrics = run.metrics()
    return {
        "run": str(run.folder),
        "state": run.state,
        "status": run.status,
        **run.record,
        "latest": metrics[-1] if metrics else None,
    }


def _in_short(run: "Run") -> str:
    experiment = run.experiment
    return f"{experiment.task!r} {experiment.supervision!r} {experiment.model!r}"


def _assignment(text: str) -> tuple[str, Any]:
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise UserError(f"--set {text}: write FIELD=VALUE, such as training.learning_rate=1e-3")
    try:
        return field, json.loads(value)
    except ValueError:
        return field, value


def _execution(track: Sequence[str] | None = None, **fields: Any) -> "Execution":
    from waymarks.studies import Execution
    from waymarks.trackers import require_libraries

    execution = Execution.of(track=tuple(track or ()), **fields)
    execution.torch_device()
    require_libraries(execution.track)
    return execution


def _carry_out(experiment: Any, root: Path, execution: "Execution", as_json: bool) -> None:
    from waymarks.live import RunView
    from waymarks.studies import Interrupted, Run, carry_out
    from waymarks.studies.conduct import Job

    job = Job("run", experiment, Run(root / experiment.identity))
    try:
        with RunView(Console(stderr=True), job) as view:
            done = carry_out(experiment, root, execution, view.show)
    except Interrupted:
        _stopped(root / experiment.identity)
    if as_json:
        _print_json(_described(done))
    else:
        Console().print(str(done.folder), highlight=False, soft_wrap=True)


def _conduct(
    study: "Study", folder: Path, execution: "Execution", jobs: int | None, as_json: bool
) -> None:
    """Runs a study, shows it, and reports what came of it; exit code 1 if a run failed."""
    from waymarks.studies.conduct import conduct

    follow_study(study, folder, conduct(study, folder, execution, jobs), as_json)


def _stopped(folder: Path) -> None:
    print(f"stopped; to go on: waymarks resume {folder}", file=sys.stderr)
    sys.exit(130)


def report_outcomes(outcomes: "list[Outcome]", folder: Path, as_json: bool) -> None:
    """Writes a report of studies into `folder` and prints its numbers."""
    from waymarks.reports import write_report

    written = write_report(outcomes, folder)
    if as_json:
        _print_json(
            {
                "report": str(written.page),
                "figures": [str(figure) for figure in written.figures],
                "studies": [
                    _summary(outcome, arms)
                    for outcome, arms in zip(outcomes, written.arms, strict=True)
                ],
            }
        )
        return
    for outcome, arms in zip(outcomes, written.arms, strict=True):
        _print_arms(arms)
        _print_verdict(outcome)
    Console().print(f"report: {written.page}", highlight=False, soft_wrap=True, markup=False)


def _summary(outcome: "Outcome", arms: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    verdict = outcome.verdict()
    return {
        "study": outcome.study.name,
        "verdict": verdict.judgement if verdict else None,
        "findings": [finding.numbers for finding in verdict.findings] if verdict else [],
        "arms": list(arms),
    }


def _print_verdict(outcome: "Outcome") -> None:
    verdict, claim = outcome.verdict(), outcome.study.claim
    if verdict is None or claim is None:
        return
    console = Console(markup=False, highlight=False)
    console.print(f"claim: {claim.text}")
    for finding in verdict.findings:
        console.print(f"  {finding.judgement}: {finding.numbers}")
    console.print(f"verdict: {verdict.judgement}", style="bold")


PRINTED_ARMS = 40
"""Of so many arms a report prints the rows; all are on its page."""


def _print_arms(arms: Sequence[Mapping[str, Any]]) -> None:
    """Prints `arm_table`: of few steps the accuracy of each, of many that of the final one."""
    from waymarks.reports import FEW_STEPS

    ending = ".accuracy"
    steps = [name.removesuffix(ending) for name in arms[0] if name.endswith(ending)]
    shown = steps if len(steps) <= FEW_STEPS else steps[-1:]
    headings = ["arm", "finished", "solved", "updates to solve"]
    headings += [f"{step} accuracy" for step in shown]
    headings += ["updates/s"] if shown == steps else ["steps solved", "updates/s"]
    rows = [_arm_row(arm, shown, counted=shown != steps) for arm in arms[:PRINTED_ARMS]]
    print_table(headings, rows)
    if len(arms) > PRINTED_ARMS:
        print(f"... and {len(arms) - PRINTED_ARMS:,} more arms")


def _arm_row(arm: Mapping[str, Any], steps: Sequence[str], counted: bool) -> tuple[str, ...]:
    """A row of `arm_table` for the terminal; accuracies are medians over seeds."""
    from rich.markup import escape

    from waymarks.reports.text import NOTHING, count, percent, rate

    if arm["updates_to_solve"] is not None:
        needed = count(arm["updates_to_solve"])
        if arm["last_solved"] > arm["first_solved"]:
            needed += f" ({count(arm['first_solved'])} to {count(arm['last_solved'])})"
    else:
        beyond = arm["unsolved_after"]
        needed = NOTHING if beyond is None else f"> {count(beyond)} (censored)"
    return (
        escape(arm["arm"]),
        f"{arm['finished']} of {arm['seeds']}",
        f"{arm['solved']} of {arm['seeds']}",
        needed,
        *(percent(arm[f"{step}.accuracy"]) for step in steps),
        *([f"{arm['steps_solved']} of {arm['steps']}"] if counted else []),
        rate(arm["updates_per_second"]),
    )


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of text under headings."""
    from rich.table import Table

    table = Table(*headings, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns of plain text, for eyes and for other programs alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _print_json(content: object) -> None:
    print(json.dumps(content, ensure_ascii=False))


def main() -> None:
    """The entry point: one line for a user's mistake (exit code 2) or a failed run (1)."""
    try:
        sys.exit(app(prog_name="waymarks", standalone_mode=False))
    except (UserError, UsageProblem) as error:
        print(f"error: {getattr(error, 'format_message', error.__str__)()}", file=sys.stderr)
        sys.exit(2)
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
