"""`waymarks theory`: section 2 of the paper on the command line."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from waymarks.errors import RunFailed, UserError

if TYPE_CHECKING:
    from waymarks.theory.procedure import Outcome
    from waymarks.theory.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Section 2 of the paper as code that checks itself.",
)


@app.callback()
def on_one_thread() -> None:
    """Keeps to one thread unless told otherwise: the matrices are small, and a second thread
    waits for the first more than it helps it. Comes before torch is imported."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for a report page with its figures.", show_default=False),
]
Fraction = Annotated[float, typer.Option("--p", help="Fraction of Sum examples, 0 to 1.")]


@app.command(epilog="Example: waymarks theory verify --out theory-report")
def verify(as_json: Json = False, out: Out = None) -> None:
    """Check every statement, each by a computation made now.

    Exit code 1 if a statement fails that no correction saves.
    """
    from waymarks.theory.verify import CHECKS, rows

    found = []
    with _progress() as progress:
        task = progress.add_task("checking", total=len(CHECKS))
        for row in rows():
            found.append(row)
            progress.update(task, advance=1, description=row.statement.split(":")[0])
    shown = [(row.statement, row.verdict, row.evidence) for row in found]
    _print(as_json, {"rows": [row.model_dump() for row in found]})
    _table(as_json, "Section 2 and appendix A", ("statement", "verdict", "evidence"), shown)
    if out:
        from waymarks.theory.reports import verify_page

        _wrote(verify_page(out, found, _made()))
    failed = [row.statement for row in found if row.verdict == "fails"]
    if failed:
        raise RunFailed(f"{len(failed)} of {len(found)} statements fail: {'; '.join(failed)}")


@app.command(epilog="Example: waymarks theory train --bits 30 --p 0.1 --seeds 3")
def train(
    bits: Annotated[int, typer.Option(help="n, even: how many bits an input has.")],
    p: Fraction,
    biases: Annotated[str, typer.Option(help="data-kink, paper or exact.")] = "data-kink",
    reference_p: Annotated[
        float | None,
        typer.Option(help="Scales the biases instead of p; needed at p = 0.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from --seed on.")] = 1,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    full: Annotated[
        bool, typer.Option("--full", help="The k-neuron network, not its collapsed simulation.")
    ] = False,
    ridge: Annotated[
        bool, typer.Option("--ridge", help="Ridge least squares for (u, v) in place of SGD.")
    ] = False,
    population: Annotated[
        bool, typer.Option("--population", help="First step from the population gradient.")
    ] = False,
    width: Annotated[int | None, typer.Option(help="k, neurons.", show_default=False)] = None,
    first_batch: Annotated[
        int | None, typer.Option(help="Examples of the first step.", show_default=False)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Examples of a later update.", show_default=False)
    ] = None,
    updates: Annotated[int | None, typer.Option(help="Later updates.", show_default=False)] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Of later updates, 0 to 1.", show_default=False)
    ] = None,
    step_scale: Annotated[
        float | None,
        typer.Option(help="Step size times the largest eigenvalue.", show_default=False),
    ] = None,
    average_from: Annotated[
        float | None,
        typer.Option(help="Share of the updates before averaging begins.", show_default=False),
    ] = None,
    move_v: Annotated[
        bool, typer.Option("--move-v", help="Let v move in the first step, as the paper does.")
    ] = False,
    keep_u: Annotated[
        bool, typer.Option("--keep-u", help="Leave u at 1 after the first step.")
    ] = False,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Run the procedure of Theorem 1: one step on W, then SGD on (u, v), averaged.

    What is not given is set to values that work in practice for this n, p and choice of biases.
    """
    from waymarks.theory.settings import Settings, practical

    if population and first_batch is not None:
        raise UserError("--population and --first-batch exclude each other: give one of them")
    given = {
        "width": width,
        "first_batch": first_batch,
        "batch": batch,
        "updates": updates,
        "momentum": momentum,
        "step_scale": step_scale,
        "average_from": average_from,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changes |= {"freeze_v_first": not move_v, "reset_u": not keep_u}
    if population:
        changes["first_batch"] = None
    chosen = [
        Settings(**{**practical(bits, p, biases, reference_p, one).model_dump(), **changes})
        for one in range(seed, seed + seeds)
    ]
    if ridge:
        _ridge(chosen, as_json, out)
    else:
        _sgd(chosen, full, as_json, out)


def _ridge(chosen: Sequence["Settings"], as_json: bool, out: Path | None) -> None:
    from waymarks.theory.ridge import ridge_scores

    if out:
        raise UserError("--ridge has no curve to report: leave out --out")
    scores = [ridge_scores(settings) for settings in chosen]
    pairs = list(zip(chosen, scores, strict=True))
    found = [{"settings": s.model_dump(), "ridge": score.model_dump()} for s, score in pairs]
    _print(as_json, {"runs": found, "made": _made()})
    columns = ("seed", "parity accuracy", "mixture loss", "sum loss", "parity loss")
    rows = [(s.seed, one.parity_accuracy, one.mix, one.sum, one.parity) for s, one in pairs]
    _table(as_json, "Ridge least squares after the first step", columns, rows)


def _sgd(chosen: Sequence["Settings"], full: bool, as_json: bool, out: Path | None) -> None:
    from waymarks.theory.reports import OUTCOME_COLUMNS, outcome_rows

    outcomes = list(_outcomes(chosen, full))
    _print(as_json, {"runs": [one.model_dump() for one in outcomes], "made": _made()})
    settings = chosen[0]
    title = f"n = {settings.bits}, p = {settings.sum_fraction:g}, {settings.biases} biases"
    _table(as_json, title, OUTCOME_COLUMNS, outcome_rows(outcomes))
    if out:
        from waymarks.theory.reports import train_page

        _wrote(train_page(out, outcomes, _made()))


def _outcomes(chosen: Sequence["Settings"], full: bool) -> Iterator["Outcome"]:
    from waymarks.theory.collapsed import Collapsed
    from waymarks.theory.full import FullNetwork
    from waymarks.theory.procedure import run

    with _progress() as progress:
        for settings in chosen:
            name = f"seed {settings.seed}"
            task = progress.add_task(f"{name}: first step", total=settings.updates)

            def show(point: Any, task: Any = task, name: str = name) -> None:
                accuracy = f"{name}: parity accuracy {point.last.parity_accuracy:.3f}"
                progress.update(task, completed=point.updates, description=accuracy)

            yield run(settings, FullNetwork if full else Collapsed, on_progress=show)


@app.command(epilog="Example: waymarks theory bounds --bits 50 --p 0.1")
def bounds(
    bits: Annotated[
        list[int] | None,
        typer.Option(help="n, even; may be given again. 10, 20 and 50 unless given."),
    ] = None,
    p: Fraction = 0.1,
    epsilon: Annotated[float, typer.Option(help="The loss asked for.")] = 0.1,
    delta: Annotated[float, typer.Option(help="The chance of failure.")] = 0.01,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Evaluate Theorem 1's bounds, stated and corrected, beside what works in practice."""
    from waymarks.theory.bounds import Asked, corrected, in_practice, stated
    from waymarks.theory.reports import BOUND_COLUMNS, bound_rows

    asked = [
        Asked(bits=n, sum_fraction=p, loss=epsilon, failure=delta) for n in bits or (10, 20, 50)
    ]
    found = [
        {
            "asked": one.model_dump(),
            "many_enough_bits": one.many_enough_bits,
            "stated": stated(one).model_dump(),
            "corrected": corrected(one).model_dump(),
            "in_practice": in_practice(one),
        }
        for one in asked
    ]
    _print(as_json, {"bounds": found})
    title = f"Theorem 1 at p = {p:g}, epsilon = {epsilon:g}, delta = {delta:g}"
    _table(as_json, title, BOUND_COLUMNS, bound_rows(asked))
    few = [str(one.bits) for one in asked if not one.many_enough_bits]
    if few:
        _notes().print(f"n = {', '.join(few)}: below 2 log2(1/epsilon), which the theorem asks for")
    if out:
        from waymarks.theory.reports import bounds_page

        _wrote(bounds_page(out, asked, _made()))


@app.command(epilog="Example: waymarks theory signal --most-bits 16 --out signal-report")
def signal(
    most_bits: Annotated[
        int, typer.Option(help="The largest n; from 6 by 2, all inputs enumerated.")
    ] = 14,
    seeds: Annotated[int, typer.Option(min=1, help="How many networks of each kind.")] = 5,
    width: Annotated[int, typer.Option(min=1, help="k, neurons.")] = 64,
    batch: Annotated[
        int, typer.Option(min=1, help="Examples of the sampled gradient at n = 50.")
    ] = 30_000,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Measure the first gradient's signal against n, with and without sums."""
    from waymarks.theory.distributions import ENUMERABLE_BITS
    from waymarks.theory.reports import (
        GROWTH_COLUMNS,
        RELEVANCE_COLUMNS,
        growth_rows,
        relevance_rows,
    )
    from waymarks.theory.signal import growths, relevances, signal_points

    if not 8 <= most_bits <= ENUMERABLE_BITS:
        raise UserError(f"--most-bits must lie in 8 ... {ENUMERABLE_BITS}, not {most_bits}")
    points, told = [], []
    with _progress() as progress:
        sizes = range(6, most_bits + 1, 2)
        task = progress.add_task("enumerating", total=len(sizes))
        for bits in sizes:
            points += list(signal_points([bits], seeds=seeds, width=width))
            progress.update(task, advance=1, description=f"n = {bits}")
        task = progress.add_task("sampling at n = 50", total=8)
        for one in relevances(50, batch, (0.0, 0.1), min(seeds, 3), width):
            told.append(one)
            progress.update(task, advance=1)
    grown = growths(points)
    found = {
        "points": [one.model_dump() for one in points],
        "growth": [one.model_dump() for one in grown],
        "relevance": [one.model_dump() for one in told],
    }
    _print(as_json, found)
    title = "The batch at which active bits stand out, against n"
    _table(as_json, title, GROWTH_COLUMNS, growth_rows(grown))
    title = "Telling active bits by one sampled gradient"
    _table(as_json, title, RELEVANCE_COLUMNS, relevance_rows(told))
    if out:
        from waymarks.theory.reports import signal_page

        _wrote(signal_page(out, points, grown, told, _made()))


def _notes() -> Console:
    return Console(stderr=True)


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_notes(), transient=True) as progress:
        yield progress


def _print(as_json: bool, found: dict[str, Any]) -> None:
    if as_json:
        typer.echo(json.dumps(found))


def _table(
    as_json: bool, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    if as_json:
        return
    from waymarks.theory.page import cells

    table = Table(*columns, title=title, title_justify="left", show_lines=len(columns) == 3)
    for row in cells(columns, rows):
        table.add_row(*row)
    Console().print(table)


def _wrote(page: Path) -> None:
    _notes().print(f"wrote {page}", soft_wrap=True)


def _made() -> dict[str, str]:
    import torch

    from waymarks.studies.provenance import provenance

    return {name: value or "unknown" for name, value in provenance(torch.device("cpu")).items()}
