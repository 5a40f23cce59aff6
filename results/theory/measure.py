"""Measures the procedure of Theorem 1 for every setting in `SETTINGS`, three seeds each.

    python results/theory/measure.py

Writes beside itself: `procedure.csv` (a line for each run), `curves.json` (parity accuracy on the
way), `procedure.png` and `procedure.svg`, and `measured.json` (commit, command, machine, date).
"""

import csv
import json
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import altair as alt
import torch
import vl_convert

from waymarks.theory.charts import dressed
from waymarks.theory.collapsed import Collapsed
from waymarks.theory.procedure import Outcome, run
from waymarks.theory.settings import practical

HERE = Path(__file__).resolve().parent
SEEDS = range(3)
SETTINGS = [
    *(("data-kink", bits, p) for bits in (10, 20, 30) for p in (0.5, 0.1, 0.0)),
    *(("paper", bits, p) for bits in (10, 20) for p in (0.5, 0.1)),
    ("paper", 10, 0.0),
    *(("data-kink", 50, p) for p in (0.5, 0.1, 0.0)),
]
REFERENCE = 0.1
"""The p that scales the biases of the controls, p = 0."""


def line(outcome: Outcome, cpu_seconds: float) -> dict[str, Any]:
    """What one run came to: `seconds` by the clock, scoring left out; `cpu_seconds` of the
    processor, scoring of the curve included, which others on the machine do not lengthen."""
    settings = outcome.settings
    return {
        "biases": settings.biases,
        "bits": settings.bits,
        "p": settings.sum_fraction,
        "seed": settings.seed,
        "first_batch": settings.first_batch,
        "batch": settings.batch,
        "updates": settings.updates,
        "parity_accuracy_average": f"{outcome.average.parity_accuracy:.5f}",
        "mix_average": f"{outcome.average.mix:.5f}",
        "parity_accuracy_last": f"{outcome.last.parity_accuracy:.5f}",
        "mix_last": f"{outcome.last.mix:.5f}",
        "seconds": f"{outcome.seconds_first_step + outcome.seconds_updates:.2f}",
        "cpu_seconds": f"{cpu_seconds:.2f}",
    }


def curve(outcome: Outcome) -> list[dict[str, Any]]:
    """Parity accuracy of the last iterate on the way."""
    settings = outcome.settings
    return [
        {
            "biases": settings.biases,
            "n": settings.bits,
            "p": f"p = {settings.sum_fraction:g}",
            "seed": settings.seed,
            "updates": point.updates,
            "parity accuracy": round(point.last.parity_accuracy, 5),
        }
        for point in outcome.curve
    ]


def figure(points: list[dict[str, Any]]) -> Any:
    """Parity accuracy against updates with data-kink biases, a panel for each n."""
    kinks = [point for point in points if point["biases"] == "data-kink"]
    return (
        alt.Chart(alt.InlineData(values=kinks))
        .mark_line(strokeWidth=1.8, opacity=0.8)
        .encode(
            x=alt.X("updates:Q", axis=alt.Axis(format="~s", tickCount=4)),
            y=alt.Y("parity accuracy:Q", scale=alt.Scale(domain=[0.4, 1])),
            color=alt.Color("p:N", title="fraction of Sum examples"),
            detail="seed:N",
        )
        .properties(width=190, height=220)
        .facet(column=alt.Column("n:O", title="n, bits"))
        .resolve_scale(x="independent")
    )


def commit() -> str:
    """The commit of the source, with `+changes` where the theory differs from it."""
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    theory = str(HERE.parents[1] / "src" / "waymarks" / "theory")
    status = subprocess.run(
        [*git, "status", "--porcelain", "--", theory], capture_output=True, text=True
    )
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def main() -> None:
    """Runs everything, one run at a time on one thread."""
    torch.set_num_threads(1)
    measured = {
        "commit": commit(),
        "command": "python results/theory/measure.py",
        "machine": f"{os.cpu_count()}-core CPU, one thread",
        "date": datetime.now(UTC).date().isoformat(),
    }
    lines: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for biases, bits, p in SETTINGS:
        for seed in SEEDS:
            reference = None if p else REFERENCE
            began = time.process_time()
            outcome = run(practical(bits, p, biases, reference, seed), Collapsed)
            lines.append(line(outcome, time.process_time() - began))
            points += curve(outcome)
            print(*lines[-1].values(), flush=True)
        save(lines, points, measured)


def save(
    lines: list[dict[str, Any]], points: list[dict[str, Any]], measured: dict[str, str]
) -> None:
    """Writes what was measured so far."""
    with (HERE / "procedure.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    (HERE / "curves.json").write_text(json.dumps(points) + "\n", encoding="utf-8")
    (HERE / "measured.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    specification = dressed(figure(points), "light")
    (HERE / "procedure.svg").write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
    (HERE / "procedure.png").write_bytes(vl_convert.vegalite_to_png(specification, scale=2))


if __name__ == "__main__":
    main()
