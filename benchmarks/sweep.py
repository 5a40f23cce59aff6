"""What a sweep costs beside its training: 10,000 runs that train nothing.

The runs are planned, given to worker processes, recorded in the files that a trained run has, and
found again by `list`, `status` and `report`; only the training is left out. Everything is kept to
one core. Prints the seconds that each part takes, by the clock and of the processor (the second
matters where other programs run on the same core), milliseconds a run by the clock, and the memory:
the largest sum of the proportional set sizes of the driver and its workers.

    python benchmarks/sweep.py                    # 10,000 runs
    python benchmarks/sweep.py --runs 500         # a quick look
    python benchmarks/sweep.py --folder /dev/shm  # without a disk's latency
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

STAND_IN = "--stand-in"
EVALUATIONS = 5
SEEDS = 10
CLI = (sys.executable, "-c", "from waymarks.cli import main; main()")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2, help="workers, all on the one core")
    parser.add_argument("--folder", type=Path, help="where to put the runs for the while")
    parser.add_argument("--no-report", action="store_true", help="leave the report out")
    parser.add_argument(STAND_IN, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def train_nothing() -> int:
    """A worker whose runs write every file that a trained run writes, and train nothing."""
    from waymarks.studies import execution, worker
    from waymarks.studies.run import METRICS

    def nothing(run, experiment, settled, watch, tracking) -> None:
        run.write_status("running", update=0, process=os.getpid())
        for number in range(EVALUATIONS):
            line = evaluation(experiment, number)
            with open(run.folder / METRICS, "a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
            watch(execution.Progress(line["update"], experiment.training.updates, 100.0, line))
        run.write_status("finished", update=line["update"], evaluations=EVALUATIONS, seconds=1.0)

    execution._train_under_lock = nothing
    return worker.serve(execution.carry_out)


def evaluation(experiment, number: int) -> dict:
    """A line of `metrics.jsonl` that says that the task was learned half-way."""
    update = number * experiment.training.updates // (EVALUATIONS - 1)
    line = {"update": update, "examples": update * 256, "flops": update * 10**9}
    line |= {"seconds": update / 100, "train_loss": 1 / (number + 1)}
    for step in experiment.task.steps:
        accuracy = 0.5 if number < EVALUATIONS // 2 else 1.0
        line |= {f"{step.name}.labels_seen": update * 128, f"{step.name}.accuracy": accuracy}
        line[f"{step.name}.{step.kind.loss_name}"] = 1 - accuracy
    return line


def sweep_file(folder: Path, runs: int) -> Path:
    """A sweep of so many runs: p against the learning rate, ten seeds each."""
    arms = max(1, runs // SEEDS)
    shares = [round(number / 50, 3) for number in range(min(50, arms))]
    rates = [round(1e-4 * (number + 1), 6) for number in range(arms // len(shares))]
    path = folder / "sweep.toml"
    path.write_text(f"""
seed = "0..{SEEDS - 1}"
experiment = "base.json"
[axes]
supervision.sum = {shares}
training.learning_rate = {rates}
""")
    from waymarks.recipes.parity import parity_experiment

    (folder / "base.json").write_text(parity_experiment(20, 0.5).model_dump_json())
    return path


def proportional_set_size() -> int:
    """Bytes of this process and its children, shared pages counted once."""
    total = 0
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for process in [str(os.getpid()), *children]:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


class PeakMemory:
    """The largest proportional set size while it is entered, sampled twice a second."""

    def __enter__(self) -> "PeakMemory":
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._over.wait(0.5):
            self.peak = max(self.peak, proportional_set_size())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def conducted(folder: Path, file: Path, jobs: int) -> int:
    """Conducts the sweep in `folder`; how many runs it has finished."""
    from waymarks.studies import Execution
    from waymarks.studies.conduct import conduct
    from waymarks.studies.sweep import read_sweep

    worker = (sys.executable, str(Path(__file__).resolve()), STAND_IN)
    execution = Execution(device="cpu", threads=1)
    events = conduct(read_sweep(file), folder, execution, jobs, worker)
    kinds = Counter(event.kind for event in events)
    assert not kinds["failed"], "a run failed"
    return kinds["finished"]


class Spent:
    """Seconds since it was made: by the clock, and of the processor, ended children included."""

    def __init__(self) -> None:
        self._since = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        usages = [resource.getrusage(kind) for kind in kinds]
        return time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def seconds(self) -> tuple[float, float]:
        """By the clock, and of the processor."""
        (clock, processor), (clock_then, processor_then) = self._now(), self._since
        return clock - clock_then, processor - processor_then


def memory_of_command(*words: str) -> int:
    """Runs a command of waymarks; the bytes of memory that it took at most."""
    process = subprocess.Popen([*CLI, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, words
    return usage.ru_maxrss * 1024


def main() -> None:
    options = arguments()
    if options.stand_in:
        sys.exit(train_nothing())
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["OMP_NUM_THREADS"] = "1"
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="sweep-"))
    try:
        measure(folder, options)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints what every part takes."""
    file, study = sweep_file(folder, options.runs), folder / "study"
    spent = Spent()
    with PeakMemory() as memory:
        runs = conducted(study, file, options.jobs)
    recorded = spent.seconds()
    print(f"{runs:,} runs, {options.jobs} workers, one core")
    show("planned, scheduled, recorded", recorded, runs, memory.peak)
    spent = Spent()
    assert conducted(study, file, options.jobs) == 0
    show("started again: all skipped", spent.seconds(), runs)
    for command in ("status", "list") if options.no_report else ("status", "list", "report"):
        spent = Spent()
        size = memory_of_command(command, str(study))
        seconds = spent.seconds()
        show(f"waymarks {command}", seconds, runs, size)
    if not options.no_report:
        both = (recorded[0] + seconds[0], recorded[1] + seconds[1])
        show("recorded and reported", both, runs)


def show(what: str, seconds: tuple[float, float], runs: int, size: int = 0) -> None:
    """Prints one line."""
    clock, processor = seconds
    memory = f"{size / 2**20:8,.0f} MB" if size else ""
    took = f"{clock:8.1f} s {processor:8.1f} s of the processor"
    print(f"{what:30} {took} {1e3 * clock / runs:8.2f} ms a run {memory}", flush=True)


if __name__ == "__main__":
    main()
