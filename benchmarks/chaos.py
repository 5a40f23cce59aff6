"""Sixty runs, whose drivers and workers are killed again and again, against the same left alone.

A sweep of small real runs is conducted in peace. Then it is conducted again in another folder,
where at random moments the driver, one of its workers, or both are killed with SIGKILL; a driver
that was killed is started again. At the end every run must be there exactly once, with the same
metrics, byte for byte, clocks aside. Last, two drivers are started together on one folder, again
and again: no run may be trained twice.

    python benchmarks/chaos.py
    python benchmarks/chaos.py --seeds 1 --kills 3 --pairs 2   # a quick look
"""

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
RATES = (1e-3, 3e-3)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="of each of the 12 arms")
    parser.add_argument("--kills", type=int, default=10, help="at least so many")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of drivers on one folder")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to put the runs for the while")
    parser.add_argument("--random", type=int, default=0, help="seed of what is killed when")
    parser.add_argument("--drive", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def study_of(seeds: int, arms: int | None = None):
    """Parities of 4 bits for a transformer of width 8: p against the learning rate."""
    from waymarks.models import GPT2
    from waymarks.recipes.parity import parity_experiment
    from waymarks.studies import Arm, Study
    from waymarks.training import Training

    training = Training(
        updates=100,
        batch_size=16,
        evaluate_every=10,
        evaluation_examples=16,
        stop_when_solved=False,
    )
    small = GPT2(width=8, depth=1, heads=2)
    every = []
    for share, rate in itertools.product(SHARES, RATES):
        own = training.model_copy(update={"learning_rate": rate})
        experiment = parity_experiment(4, share, model=small, training=own)
        every.append(Arm(name=f"p = {share}, rate = {rate}", experiment=experiment))
    return Study(
        name="chaos", question="Does it survive?", arms=every[:arms], seeds=tuple(range(seeds))
    )


def drive(folder: Path, study, jobs: int) -> None:
    """Conducts the study in this process; prints what ended."""
    from waymarks.studies import Execution
    from waymarks.studies.conduct import conduct

    execution = Execution(device="cpu", threads=1, checkpoint_seconds=0.05)
    for event in conduct(study, folder, execution, jobs):
        if event.kind in ("finished", "failed"):
            print(event.kind, event.job.run.folder.name, event.message, flush=True)


def start(folder: Path, study, jobs: int, output: Path) -> subprocess.Popen:
    """A driver in a process of its own; what it prints is added to `output`."""
    with open(output, "a") as file:
        return subprocess.Popen(
            [
                *(sys.executable, __file__, "--jobs", str(jobs)),
                *("--drive", str(folder), study.model_dump_json()),
            ],
            stdout=file,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def results(folder: Path) -> dict[str, str]:
    """The metrics of every run, clocks aside."""
    found = {}
    for path in sorted((folder / "runs").iterdir()):
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            line.pop("seconds")
        assert json.loads((path / "status.json").read_text())["state"] == "finished", path
        found[path.name] = json.dumps(lines)
    return found


def finished(folder: Path) -> int:
    """How many runs have come to their end."""
    return sum('"finished"' in path.read_text() for path in folder.glob("runs/*/status.json"))


def workers_of(driver: subprocess.Popen) -> list[int]:
    """Its worker processes."""
    try:
        children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in children.split()]


def harassed(folder: Path, study, options: argparse.Namespace, runs: int) -> dict[str, int]:
    """Conducts the study while its processes are killed; how often which was."""
    chance = random.Random(options.random)
    kills = {"driver": 0, "worker": 0}
    output = folder.with_suffix(".out")
    driver = start(folder, study, options.jobs, output)
    while driver.poll() is None:
        done = finished(folder)
        wanted = min(runs - 1, done + max(1, runs // (options.kills + 4)))
        while driver.poll() is None and finished(folder) < wanted and done < runs - 1:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.3))
        victims = chance.choice((["driver"], ["worker"], ["driver", "worker"]))
        if driver.poll() is not None or finished(folder) == runs:
            driver.wait()
            break
        workers = workers_of(driver)
        if "worker" in victims and workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            kills["worker"] += 1
        if "driver" in victims:
            driver.kill()
            driver.wait()
            kills["driver"] += 1
            driver = start(folder, study, options.jobs, output)
    assert driver.returncode == 0, output.read_text()
    return kills


def pairs_agree(folder: Path, options: argparse.Namespace) -> None:
    """Starts two drivers together on one folder, again and again."""
    study = study_of(seeds=1, arms=4)
    expected = None
    for pair in range(options.pairs):
        place = folder / f"pair-{pair}"
        outputs = [folder / f"pair-{pair}.{number}.out" for number in range(2)]
        drivers = [start(place, study, 1, output) for output in outputs]
        assert [driver.wait() for driver in drivers] == [0, 0]
        said = "".join(output.read_text() for output in outputs).split("\n")
        trained = sorted(line for line in said if line)
        found = results(place)
        assert trained == sorted(f"finished {name} " for name in found), trained
        expected = expected or found
        assert found == expected
        print(f"pair {pair + 1} of {options.pairs}", file=sys.stderr)
    print(f"{options.pairs} pairs of drivers: every run trained once, by one of the two")


def main() -> None:
    options = arguments()
    if options.drive:
        from waymarks.studies import Study

        folder, study = options.drive
        drive(Path(folder), Study.model_validate_json(study), options.jobs)
        return
    study = study_of(options.seeds)
    runs = len(study.arms) * len(study.seeds)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="chaos-") as place:
        folder = Path(place)
        assert start(folder / "calm", study, options.jobs, folder / "calm.out").wait() == 0
        kills = harassed(folder / "chaos", study, options, runs)
        calm, chaos = results(folder / "calm"), results(folder / "chaos")
        assert len(chaos) == runs, len(chaos)
        assert chaos == calm, [name for name in calm if calm[name] != chaos.get(name)]
        assert sum(kills.values()) >= options.kills, kills
        said = ", ".join(f"{count} {kind}s" for kind, count in kills.items())
        print(f"{runs} runs, killed {said}: each is there once, metrics equal byte for byte")
        pairs_agree(folder, options)


if __name__ == "__main__":
    main()
