"""The command line: what it prints, its exit codes, and that a mistake writes nothing."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.builders import tiny_experiment

from waymarks import cli
from waymarks.recipes import SCALES, recipes
from waymarks.studies import Arm, Claim, Execution, Run, Solves, Study, carry_out

ON_ONE_THREAD = Execution(device="cpu", threads=1)


def call(*arguments: str | Path) -> int:
    """Calls the command line in this process; returns the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["waymarks", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return code or 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.json").write_text(tiny_experiment().model_dump_json())
    return tmp_path


MISTAKES = [
    (["demoo"], "did you mean demo?"),
    (["reproduce", "fig1-rigth"], "did you mean fig1-right"),
    (["reproduce", "fig1-left", "--scale", "labtop"], "did you mean laptop?"),
    (["reproduce", "fig1-left", "--set", "training.learning_rat=1"], "did you mean learning_rate?"),
    (["reproduce", "fig1-left", "--set", "training.updates=-1"], "training.updates"),
    (["reproduce", "fig1-left", "--set", "task.bits=1"], "task.bits"),
    (["reproduce", "fig1-left", "--set", "training.updates"], "FIELD=VALUE"),
    (["reproduce", "fig1-left", "--device", "gpu"], "device"),
    (["reproduce", "fig1-left", "--seeds", "0"], "seeds"),
    (["reproduce", "fig1-left", "--jobs", "0"], "jobs"),
    (["reproduce", "fig1-left", "--out", "experiment.json/x"], "cannot write"),
    (["run", "experiment.jsn"], "No such file"),
    (["run", "experiment.json", "--set", "supervision.sum=1.5"], "supervision"),
    (["run", "experiment.json", "--set", "task.subset=7"], "subset (7) is larger than bits (6)"),
    (["run", "experiment.json", "--set", "task.type=Parity"], "unknown task 'Parity'"),
    (["run", "experiment.json", "--device", "cuda:99"], "CUDA devices"),
    (["run", "experiment.json", "--out", "experiment.json/x"], "cannot write"),
    (["run", "experiment.json", "--threds", "1"], "--threads"),
    (["resume", "nowhere"], "No such file"),
    (["show", "0123"], "no run named 0123"),
    (["report", "nowhere"], "is no folder"),
    (["resume", "."], "has not been run"),
    (["report", "."], "holds no run"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), MISTAKES, ids=[" ".join(mistake) for mistake, _ in MISTAKES]
)
def test_a_mistake_is_one_clear_line_with_exit_code_2_and_writes_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], said: str
) -> None:
    before = sorted(here.rglob("*"))
    assert call(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert said in printed.err
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"task": {"type": "Par', "not whole JSON"),
        (b"not JSON", "not whole JSON"),
        (b'{"schema": 99, "experiment": {}}', "newer waymarks"),
        (pickle.dumps({"task": 1}), "not text"),
    ],
)
def test_a_file_that_is_no_experiment(
    here: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (here / "experiment.json").write_bytes(content)
    assert call("run", "experiment.json") == 2
    assert said in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_run_and_then_show_list_and_resume_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("run", "experiment.json", "--json", "--threads", "1") == 0
    printed = json.loads(capsys.readouterr().out)
    identity = tiny_experiment().identity
    assert printed["run"] == f"runs/{identity}"
    assert printed["state"] == "finished"
    assert printed["latest"]["update"] == 20

    assert call("show", identity[:6], "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["metrics"]) == 3

    assert call("list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)["runs"]
    assert listed["experiment"]["task"] == {"type": "ParitySum", "bits": 6, "subset": 3}

    written = (here / "runs" / identity / "metrics.jsonl").read_bytes()
    assert call("resume", f"runs/{identity}") == 0
    assert (here / "runs" / identity / "metrics.jsonl").read_bytes() == written


def test_what_a_person_reads_names_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "experiment.json", "--threads", "1") == 0
    capsys.readouterr()
    assert call("list") == 0
    listed = capsys.readouterr().out
    assert tiny_experiment().identity in listed
    assert "finished" in listed
    assert call("show", tiny_experiment().identity) == 0
    assert "parity not solved up to update 20" in capsys.readouterr().out


@pytest.fixture
def study(here: Path) -> Path:
    """The folder of a small study that has been written and not been run."""
    arm = Arm(name="arm <b>", experiment=tiny_experiment())
    claim = Claim(text="It learns.", conditions=(Solves(arm="arm <b>", step="parity"),))
    Study(name="small", question="Does it?", arms=(arm,), seeds=(0, 1), claim=claim).write(
        here / "s"
    )
    return here / "s"


def test_a_study_is_resumed_reported_and_judged(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("resume", study, "--jobs", "1", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    (summary,) = printed["studies"]
    assert summary["study"] == "small"
    assert summary["verdict"] == "not borne out"
    assert "solved in 0 of 2 seeds" in summary["findings"][0]
    assert Path(printed["report"]).exists()
    assert {Path(figure).suffix for figure in printed["figures"]} == {".png", ".svg"}

    assert call("report", study) == 0
    shown = capsys.readouterr().out
    assert "arm <b>" in shown
    assert "verdict: not borne out" in shown


def test_a_failed_run_gives_exit_code_1_and_says_why(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = tiny_experiment(learning_rate=1e30, updates=40)
    (here / "wild.json").write_text(wild.model_dump_json())
    assert call("run", "wild.json", "--threads", "1") == 1
    assert "is not finite" in capsys.readouterr().err


def test_loose_runs_are_reported_together(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        carry_out(tiny_experiment(seed=seed), here / "runs", ON_ONE_THREAD)
    folders = [str(path) for path in (here / "runs").iterdir()]
    assert call("report", *folders, "--out", "page", "--json") == 0
    (summary,) = json.loads(capsys.readouterr().out)["studies"]
    assert len(summary["arms"]) == 1


def test_ctrl_c_saves_a_checkpoint_and_gives_exit_code_130(here: Path) -> None:
    long = tiny_experiment(updates=1_000_000, stop_when_solved=False)
    (here / "long.json").write_text(long.model_dump_json())
    process = subprocess.Popen(
        [sys.executable, "-c", "from waymarks.cli import main; main()", "run", "long.json"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    run = Run(here / "runs" / long.identity)
    while len(run.metrics()) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert f"waymarks resume runs/{long.identity}" in said
    assert run.state == "interrupted"
    assert list(run.folder.glob("checkpoint-*.safetensors"))


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        "demo",
        "reproduce",
        "sweep",
        "status",
        "run",
        "resume",
        "list",
        "show",
        "report",
    ):
        assert call(command, "--help") == 0
        assert f"waymarks {command}" in capsys.readouterr().out.split("Example:")[1]


@pytest.mark.parametrize("scale", SCALES)
def test_every_recipe_is_a_study_that_can_be_run(scale: str) -> None:
    known = recipes("paper" if scale == "paper" else "laptop")
    assert {"fig1-left", "fig1-right"} <= set(known)
    for recipe in known.values():
        study = recipe((0, 1))
        assert study.claim is not None
        assert study.claim.conditions
        assert study.seeds == (0, 1)
        experiments = [experiment for _, experiment in study.experiments()]
        assert len({experiment.identity for experiment in experiments}) == len(experiments)
