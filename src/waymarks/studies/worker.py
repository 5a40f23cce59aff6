"""A process that carries out one experiment after another for a study.

`python -m waymarks.studies.worker` reads jobs as JSON lines on standard input and answers with JSON
lines on standard output: `ready`, then for each job its `progress` and how it `ended`. When nobody
reads them any more, it saves a checkpoint and stops. Whatever else is printed goes to standard
error.
"""

import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from waymarks.errors import RunFailed, UserError
from waymarks.studies.execution import BeingTrained, Execution, Interrupted, Progress, carry_out
from waymarks.studies.experiment import Experiment
from waymarks.studies.run import Run

UNWRITABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}
)
"""What is wrong with a disk and not with one run: the next run would meet it as well."""

CarryOut = Callable[..., Run]


class Stop:
    """SIGINT and SIGTERM: at once where no job is going on, else when it can save a checkpoint."""

    def __init__(self) -> None:
        self.asked = False
        self.idle = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True
        if self.idle:
            raise SystemExit(130)


def serve(carry_out: CarryOut = carry_out) -> int:
    """Carries out the jobs on standard input until there are no more.

    Args:
        carry_out: what is done with an experiment; called like `execution.carry_out`.

    Returns:
        The exit code: 130 if asked to stop; 1 after an error that may have left the process in a
        bad state, so that another one should take over; else 0, also after a run that was compiled,
        as torch.compile compiles less and less in one process.
    """
    stop = Stop()
    channel = _private_channel()
    _send(channel, ready=True)
    while line := sys.stdin.readline():
        stop.idle = False

        def tell(progress: Progress) -> None:
            if not _send(channel, progress=progress.as_dict()) or stop.asked:
                os.kill(os.getpid(), signal.SIGTERM)

        job = json.loads(line)
        ended = carry_out_job(job, tell, carry_out)
        was_asked = stop.asked or ended["kind"] == "interrupted"
        is_unsound = ended.pop("unsound", False)
        last = was_asked or is_unsound or job["execution"]["compile"]
        _send(channel, ended={**ended, "last": last})
        if last:
            return 130 if was_asked else int(is_unsound)
        stop.idle = True
    return 0


def carry_out_job(
    job: dict[str, Any],
    tell: Callable[[Progress], None] = lambda progress: None,
    carry_out: CarryOut = carry_out,
) -> dict[str, Any]:
    """Carries out one job.

    Args:
        job: an `experiment` and an `execution` as plain data, and the `root` of its run.
        tell: is told of progress.
        carry_out: what is done with the experiment.

    Returns:
        How it ended: its `kind`, why (`message`, `details`), and whether it left the process
        `unsound`.
    """
    has_trained = False

    def watch(progress: Progress) -> None:
        nonlocal has_trained
        has_trained = True
        tell(progress)

    try:
        experiment = Experiment.parse(job["experiment"])
        execution = Execution.of(**job["execution"])
        carry_out(experiment, Path(job["root"]), execution, watch, wait=False)
    except BeingTrained:
        return {"kind": "elsewhere"}
    except Interrupted:
        return {"kind": "interrupted"}
    except (UserError, RunFailed) as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
            return {"kind": "unwritable", "message": cause.strerror}
        out_of_memory = isinstance(cause, MemoryError | RuntimeError)
        return {"kind": "failed", "message": str(error), "unsound": out_of_memory}
    except Exception as error:  # a user's own task or model may raise anything
        message = "".join(traceback.format_exception_only(error)).strip()
        details = traceback.format_exc()
        return {"kind": "failed", "message": message, "details": details, "unsound": True}
    return {"kind": "finished" if has_trained else "skipped"}


def _private_channel() -> TextIO:
    """Standard output for ourselves; what a user's code prints goes to standard error."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def _send(channel: TextIO, **message: Any) -> bool:
    """Writes a line to the study; whether anybody reads it."""
    try:
        channel.write(json.dumps(message) + "\n")
        channel.flush()
    except (BrokenPipeError, ValueError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(serve())
