"""The command line."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from waymarks.errors import RunFailed, UserError

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def waymarks() -> None:
    """Waymarks."""


@app.command()
def run(
    file: Path,
    out: Annotated[Path, typer.Option()] = Path("runs"),
    device: Annotated[str, typer.Option()] = "auto",
    threads: Annotated[int | None, typer.Option()] = None,
) -> None:
    """Trains one experiment."""
    from waymarks.studies import Execution, Experiment, carry_out
    from waymarks.studies.run import read_record

    experiment = Experiment.parse(read_record(file)["experiment"], str(file))
    done = carry_out(experiment, out, Execution.of(device=device, threads=threads))
    print(done.folder)


def main() -> None:
    """The entry point: one line for a user's mistake (exit code 2) or a failed run (1)."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
