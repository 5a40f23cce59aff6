"""A process that carries out one experiment for a study.

`python -m waymarks.studies.worker` reads a job as JSON on standard input, writes its progress as
JSON lines on standard output, and ends with the exit codes of the command line. When nobody
reads its progress any more, it saves a checkpoint and stops.
"""

import json
import os
import signal
import sys
from pathlib import Path

from waymarks.errors import RunFailed, UserError
from waymarks.studies.execution import Execution, Interrupted, Progress, carry_out
from waymarks.studies.experiment import Experiment


def main() -> int:
    """Carries out the job on standard input; returns the exit code."""
    job = json.load(sys.stdin)
    try:
        experiment = Experiment.parse(job["experiment"])
        carry_out(experiment, Path(job["root"]), Execution.of(**job["execution"]), tell)
    except Interrupted:
        return 130
    except (UserError, RunFailed) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 0


def tell(progress: Progress) -> None:
    """Writes progress down for the study; asks this process to stop if the study is gone."""
    try:
        print(progress.to_json(), flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - stays open until the process ends
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
