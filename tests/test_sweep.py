"""Sweeps: what a file asks for, what is refused, and what the command line says of it."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from tests.builders import tiny_experiment
from tests.test_cli import call

from waymarks import cli
from waymarks.errors import UserError
from waymarks.studies import Execution, Outcome, Run, Study, carry_out
from waymarks.studies.status import open_status
from waymarks.studies.sweep import read_sweep
from waymarks.supervision import AskOne, FinalOnly
from waymarks.tasks import ParitySum

BASE = """
[experiment]
format = {type = "TaskVector"}
model = {type = "GPT2", width = 8, depth = 1, heads = 2}

[experiment.task]
type = "ParitySum"
bits = 6

[experiment.supervision]
type = "AskOne"
sum = 0.5
parity = 0.5

[experiment.training]
updates = 20
batch_size = 16
evaluate_every = 10
evaluation_examples = 16
"""


def sweep_of(folder: Path, text: str, base: str = BASE) -> Study:
    return read_sweep(written(folder, text, base))


def written(folder: Path, text: str, base: str = BASE) -> Path:
    path = folder / "trial.toml"
    fields, bracket, tables = textwrap.dedent(f"\n{text}").partition("\n[")
    path.write_text(f"{fields}\n{base}{bracket}{tables}")
    return path


def test_axes_are_crossed_and_the_final_step_gets_the_share_that_is_left(tmp_path: Path) -> None:
    study = sweep_of(
        tmp_path,
        """
        seed = "0..9"
        [axes]
        supervision.sum = [0, 0.1, 0.5]
        training.learning_rate = [1e-3, 3e-4]
        """,
    )
    assert study.seeds == tuple(range(10))
    assert study.name == "trial"
    arms = {arm.name: arm.experiment for arm in study.arms}
    assert list(arms)[:3] == [
        "sum = 0, learning_rate = 0.001",
        "sum = 0, learning_rate = 0.0003",
        "sum = 0.1, learning_rate = 0.001",
    ]
    assert len(arms) == 6
    tenth = arms["sum = 0.1, learning_rate = 0.001"]
    assert tenth.supervision == AskOne(sum=0.1, parity=0.9)
    assert tenth.training.learning_rate == 1e-3
    assert tenth.training.updates == 20


def test_a_share_of_the_final_step_that_is_told_is_kept(tmp_path: Path) -> None:
    text = '[axes]\n"supervision.sum, supervision.parity" = [[0.2, 0.8], [1, 0]]'
    supervisions = [arm.experiment.supervision for arm in sweep_of(tmp_path, text).arms]
    assert supervisions == [AskOne(sum=0.2, parity=0.8), AskOne(sum=1, parity=0)]


def test_what_the_base_leaves_out_follows_the_axis(tmp_path: Path) -> None:
    study = sweep_of(tmp_path, "[axes]\ntask.bits = [6, 10]\nseed = [4]")
    assert [arm.experiment.task for arm in study.arms] == [ParitySum(bits=6), ParitySum(bits=10)]
    assert study.seeds == (4,)


def test_one_axis_may_set_several_fields_together(tmp_path: Path) -> None:
    study = sweep_of(tmp_path, '[axes]\n"task.bits, task.subset" = [[6, 2], [10, 7]]')
    tasks = {arm.name: arm.experiment.task for arm in study.arms}
    assert tasks == {
        "bits = 6, subset = 2": ParitySum(bits=6, subset=2),
        "bits = 10, subset = 7": ParitySum(bits=10, subset=7),
    }


def test_an_axis_of_whole_supervisions(tmp_path: Path) -> None:
    values = '[{type = "FinalOnly"}, {type = "AskOne", sum = 0.1, parity = 0.9}]'
    study = sweep_of(tmp_path, f"[axes]\nsupervision = {values}")
    assert {arm.name: arm.experiment.supervision for arm in study.arms} == {
        "supervision = FinalOnly": FinalOnly(),
        "supervision = AskOne(sum=0.1, parity=0.9)": AskOne(sum=0.1, parity=0.9),
    }


def test_a_named_arm_is_crossed_with_the_axes_that_it_does_not_set(tmp_path: Path) -> None:
    study = sweep_of(
        tmp_path,
        """
        [axes]
        supervision.sum = [0.1, 0.2]
        training.batch_size = [16, 32]
        [[arms]]
        name = "sums"
        [[arms]]
        name = "alone"
        set = {supervision = {type = "FinalOnly"}, training.updates = 30}
        """,
    )
    arms = {arm.name: arm.experiment for arm in study.arms}
    assert list(arms) == [
        "sums, sum = 0.1, batch_size = 16",
        "sums, sum = 0.1, batch_size = 32",
        "sums, sum = 0.2, batch_size = 16",
        "sums, sum = 0.2, batch_size = 32",
        "alone, batch_size = 16",
        "alone, batch_size = 32",
    ]
    assert arms["alone, batch_size = 32"].supervision == FinalOnly()
    assert arms["alone, batch_size = 32"].training.updates == 30


def test_paths_that_end_alike_are_written_out_in_names(tmp_path: Path) -> None:
    axes = "[axes]\ntraining.evaluation_examples = [16]\nmodel.width = [8]\ntask.bits = [6]"
    assert sweep_of(tmp_path, axes).arms[0].name == "evaluation_examples = 16, width = 8, bits = 6"
    alike = "[axes]\nsupervision.sum = [0.1]\ntask.sum = [1]"
    with pytest.raises(UserError, match=r"arm 'supervision.sum = 0.1, task.sum = 1'"):
        sweep_of(tmp_path, alike)


def test_learning_rates_are_candidates_of_every_arm(tmp_path: Path) -> None:
    study = sweep_of(tmp_path, "learning_rates = [1e-3, 1e-4]\n[axes]\nsupervision.sum = [0, 0.5]")
    assert [arm.learning_rates for arm in study.arms] == [(1e-3, 1e-4)] * 2
    assert len(list(study.experiments())) == 2 * 2 * 3


def test_a_base_in_a_file_of_its_own_and_the_sweep_as_json(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(tiny_experiment().model_dump_json())
    content = {"experiment": "base.json", "axes": {"training.updates": [10, 20]}}
    (tmp_path / "trial.json").write_text(json.dumps(content))
    study = read_sweep(tmp_path / "trial.json")
    assert [arm.experiment.training.updates for arm in study.arms] == [10, 20]
    assert study.arms[1].experiment == tiny_experiment()


def test_a_claim_is_judged_of_the_arms_by_name(tmp_path: Path) -> None:
    claim = """
        [axes]
        supervision.sum = [0.1, 0.5]
        [claim]
        text = "A tenth is enough."
        conditions = [{type = "Solves", arm = "sum = 0.1", step = "parity"}]
        """
    study = sweep_of(tmp_path, claim)
    assert study.claim is not None
    assert study.claim.conditions[0].arm == "sum = 0.1"
    with pytest.raises(UserError, match=r"unknown arm 'sum = 0.2'; did you mean"):
        sweep_of(tmp_path, claim.replace('arm = "sum = 0.1"', 'arm = "sum = 0.2"'))
    with pytest.raises(UserError, match=r"unknown step 'party'; did you mean parity"):
        sweep_of(tmp_path, claim.replace('"parity"', '"party"'))


MISTAKES = [
    ("sed = 0\n", "unknown field of a sweep 'sed'; did you mean seed?"),
    ('seed = "0..x"\n', 'seed: write "0..9"'),
    ('seed = "9..0"\n', "names no seeds"),
    ("seed = [0, 0]\n", "a seed is there twice"),
    ("seed = 0..9\n", 'a range is written in quotes: "0..9"'),
    ("seed = 0\n[axes]\nseed = [1]", "seed is there twice"),
    ("[axes]\nsupervision.sum = [.1]", "0.5, not .5"),
    ("[axes]\ntrainin.updates = [1]", "did you mean training? (at axes.trainin.updates)"),
    ("[axes]\ntraining.updats = [1]", "did you mean updates?"),
    ("[axes]\ntraining.updates = 1", "axes.training.updates: needs a list of values, not 1"),
    ("[axes]\ntraining.updates = []", "axes.training.updates: needs a list of values"),
    ("[axes]\ntraining.updates = [0]", "training.updates"),
    ("[axes]\ntraining.updates = [5, 5]", "are the same experiment"),
    ("[axes]\nsupervision.summ = [0.1]", "unknown step 'summ'; did you mean sum?"),
    ("[axes]\nsupervision.sum = [1.5]", "supervision"),
    ("[axes]\nseed.x = [1]\n", "seed"),
    ("[axes]\ntask.bits.low = [1]", "bits has no fields of its own"),
    ('[axes]\n"task.bits, task.subset" = [[6, 2], [8]]', "[8] is not 2 values"),
    ('[axes]\n"task.bits, task.subset" = [[6, 2]]\ntask.bits = [8]', "task.bits is there twice"),
    ("[[arms]]\nset = {}", "an arm needs a name"),
    ('[[arms]]\nname = "a"\nsets = {}', "did you mean set?"),
    ('[[arms]]\nname = "a"\nset = {task.bitz = 4}', "did you mean bits?"),
    ('[[arms]]\nname = "a"\nset = {seed = 4}', "every arm is run with the same seeds"),
    ('[[arms]]\nname = "a"\n[[arms]]\nname = "a"\nset = {task.bits = 4}', "two arms"),
    ("[axes]\ntraining.updates = [1", "(at end of document)"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_in_a_sweep_is_one_line_that_names_the_file(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(UserError) as refused:
        sweep_of(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'trial.toml'}: ")
    assert "\n" not in message
    assert said in message


def test_a_base_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for text, said in [("", "needs [experiment]"), ('experiment = "x.json"', "No such file")]:
        (tmp_path / "trial.toml").write_text(text)
        with pytest.raises(UserError) as refused:
            read_sweep(tmp_path / "trial.toml")
        assert said in str(refused.value)
    with pytest.raises(UserError, match=r"is a \.toml file"):
        read_sweep(tmp_path / "trial.yaml")


def test_a_sweep_too_large_to_be_meant_is_refused_at_once(tmp_path: Path) -> None:
    numbers = list(range(1, 1001))
    axes = f"[axes]\ntraining.updates = {numbers}\ntraining.batch_size = {numbers}"
    with pytest.raises(UserError, match=r"1,000,000 arms"):
        sweep_of(tmp_path, axes)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, 'seed = "0..1"\n[axes]\nsupervision.sum = [0.1, 0.5]')
    return tmp_path


def printed_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    content = json.loads(capsys.readouterr().out)
    assert isinstance(content, dict)
    return content


def test_a_dry_run_says_what_is_missing_and_writes_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(experiment for _, experiment in read_sweep(here / "trial.toml").experiments())
    carry_out(first, here / "out" / "runs", Execution(device="cpu", threads=1))
    before = sorted(here.rglob("*"))
    assert call("sweep", "trial.toml", "--dry-run", "--jobs", "2", "--out", "out", "--json") == 0
    found = printed_json(capsys)
    assert (found["finished"], found["runs"], found["updates"]) == (1, 3, 60)
    assert found["seconds"] > 0
    assert [arm["runs"] for arm in found["arms"]] == [1, 2]
    assert sorted(here.rglob("*")) == before
    assert call("sweep", "trial.toml", "--dry-run", "--jobs", "2", "--out", "out") == 0
    assert "1 runs finished; 3 to do, 60 updates: at most about" in capsys.readouterr().out


def test_a_sweep_is_run_shown_and_not_run_again(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("sweep", "trial.toml", "--out", "out", "--jobs", "1", "--threads", "1", "--json")
    assert call(*arguments) == 0
    assert printed_json(capsys)["studies"][0]["study"] == "trial"
    assert call("status", "out", "--json") == 0
    status = printed_json(capsys)
    assert status["counts"] == {"finished": 4, "running": 0, "failed": 0, "waiting": 0}
    assert {run["update"] for run in status["runs"]} == {20}
    monkeypatch.setattr(cli, "report_outcomes", lambda *_: None)
    assert call(*arguments) == 0
    assert capsys.readouterr().err.count("was finished already") == 4


def test_status_tells_the_four_states_apart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = read_sweep(here / "trial.toml")
    study.write(here / "out")
    finished, running, failed, _ = (
        run for runs in Outcome.open(here / "out").runs.values() for run in runs
    )
    experiments = {experiment.identity: experiment for _, experiment in study.experiments()}
    carry_out(experiments[finished.folder.name], here / "out" / "runs", Execution(threads=1))
    failed.write_failure("ValueError: too few\nof them", "Traceback ...")
    running.folder.mkdir(parents=True)
    lines = [{"update": 0, "seconds": 0.0}, {"update": 10, "seconds": 5.0}]
    (running.folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    running.write_status("running", update=0)
    assert open_status(here / "out").counts["running"] == 0, "nobody holds its lock"
    with running.lock():
        status = open_status(here / "out")
        assert call("status", "out") == 0
    assert status.counts == {"finished": 1, "running": 1, "failed": 1, "waiting": 1}
    (going_on,) = status.at("running")
    assert (going_on.update, going_on.seconds_left) == (10, 5.0)
    shown = capsys.readouterr().out
    assert "failed: sum = 0.5, seed 0: ValueError: too few" in shown
    assert "of them" not in shown
    assert "0:05" in shown


def test_status_of_no_study_is_a_users_mistake(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("status", "nowhere") == 2
    assert call("status", "out", "--watch", "--json") == 2
    assert call("sweep", "trial.toml", "--ray", "local", "--jobs", "2") == 2
    assert capsys.readouterr().err.count("error: ") == 3


def test_ctrl_c_stops_a_sweep_and_says_how_to_go_on(here: Path) -> None:
    path = written(here, "[axes]\ntraining.updates = [1_000_000]")
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = subprocess.Popen(  # whose parent, put into the background, may ignore Ctrl-C
        [
            *(sys.executable, "-c", f"{heeding}; from waymarks.cli import main; main()"),
            *("sweep", path.name, "--out", "out", "--jobs", "1"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    (first, *_) = (
        Run(here / "out" / "runs" / experiment.identity)
        for _, experiment in read_sweep(path).experiments()
    )
    while len(first.metrics()) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; 0 of 3 runs are finished; to go on: waymarks resume out" in said
    assert first.state == "interrupted"
    assert list(first.folder.glob("checkpoint-*.safetensors"))


def test_every_sweep_in_the_documentation_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "sweeps.md").read_text()
    first, *fragments = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "sweep.toml").write_text(first)
    study = read_sweep(tmp_path / "sweep.toml")
    assert (len(study.arms), len(study.seeds)) == (6, 3)
    assert "sum = 0.1, learning_rate = 0.001" in [arm.name for arm in study.arms]
    base, _, _ = first.partition("[axes]")
    for fragment in fragments:
        own = base if "[axes]" in fragment else first
        (tmp_path / "sweep.toml").write_text(f"{own}\n{fragment}")
        assert len(read_sweep(tmp_path / "sweep.toml").arms) >= 2
