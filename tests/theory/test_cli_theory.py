"""`waymarks theory` as a person or a script meets it."""

import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from waymarks.cli_theory import app
from waymarks.errors import RunFailed, UserError
from waymarks.theory import verify

TINY = ["train", "--bits", "6", "--p", "0.5", "--updates", "50", "--first-batch", "500"]


def invoked(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def page(folder):
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href|srcset)=(?!"data:)', html)
    assert "http" not in re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]*", "", html)
    return html


def test_train_prints_one_object_and_writes_a_page(tmp_path):
    result = invoked(*TINY, "--seeds", "2", "--json", "--out", str(tmp_path))
    found = json.loads(result.stdout)
    assert [one["settings"]["seed"] for one in found["runs"]] == [0, 1]
    assert found["runs"][0]["settings"]["updates"] == 50
    assert {"last", "average", "curve"} <= set(found["runs"][0])
    assert found["made"]["torch"]
    assert "n = 6, p = 0.5" in page(tmp_path)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")


def test_train_for_a_person():
    shown = invoked(*TINY, "--momentum", "0.5", "--full").stdout
    assert "average" in shown
    assert "last" in shown


def test_train_without_the_mends():
    result = invoked(*TINY, "--move-v", "--keep-u", "--json")
    settings = json.loads(result.stdout)["runs"][0]["settings"]
    assert settings["freeze_v_first"] is False
    assert settings["reset_u"] is False


def test_train_by_ridge_from_the_population_step():
    result = invoked("train", "--bits", "10", "--p", "0.1", "--ridge", "--population", "--json")
    assert json.loads(result.stdout)["runs"][0]["ridge"]["parity_accuracy"] == pytest.approx(1)


def test_bounds(tmp_path):
    result = invoked("bounds", "--bits", "50", "--json", "--out", str(tmp_path))
    (found,) = json.loads(result.stdout)["bounds"]
    assert found["stated"]["updates"] == pytest.approx(3.6e16, rel=0.01)
    page(tmp_path)
    assert (tmp_path / "bounds.svg").exists()
    assert "practice" in invoked("bounds").stdout


def test_signal(tmp_path):
    options = ["--most-bits", "8", "--seeds", "1", "--width", "8", "--batch", "200"]
    result = invoked("signal", *options, "--json", "--out", str(tmp_path))
    found = json.loads(result.stdout)
    assert {"points", "growth", "relevance"} == set(found)
    page(tmp_path)
    assert (tmp_path / "signal.png").exists()
    assert "mlp" in invoked("signal", *options).stdout


def test_verify_reports_a_row_that_fails(tmp_path, monkeypatch):
    row = verify.Row(statement="Lemma <b>", verdict="fails", evidence="0 of 1", seconds=0.1)
    monkeypatch.setattr(verify, "rows", lambda: iter([row]))
    with pytest.raises(RunFailed, match="Lemma"):
        invoked("verify", "--out", str(tmp_path))
    assert "Lemma &lt;b&gt;" in page(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["train", "--bits", "0", "--p", "0.5"], "at least 2"),
        (["train", "--bits", "10", "--p", "0"], "reference p"),
        (["train", "--bits", "10", "--p", "0.5", "--biases", "papper"], "did you mean paper"),
        (["train", "--bits", "10", "--p", "0.5", "--updates", "0"], "at least 1"),
        ([*TINY, "--population"], "exclude each other"),
        ([*TINY, "--ridge", "--out", "somewhere"], "leave out --out"),
        (["bounds", "--bits", "2"], "n >= 4"),
        (["bounds", "--p", "0"], r"\(0, 1\]"),
        (["signal", "--most-bits", "40"], "8 ... 20"),
    ],
)
def test_a_mistake_is_refused_with_the_reason(arguments, reason):
    with pytest.raises(UserError, match=reason):
        invoked(*arguments)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        invoked("bounds", "--out", str(tmp_path / "file"))


@pytest.mark.parametrize("command", [[], ["verify"], ["train"], ["bounds"], ["signal"]])
def test_help_has_an_example(command):
    shown = invoked(*command, "--help").stdout
    assert "waymarks theory" in shown or not command


def test_the_command_line_starts_without_heavy_imports():
    heavy = "{'torch', 'altair', 'vl_convert', 'numpy'}"
    program = f"import sys, waymarks.cli_theory; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
