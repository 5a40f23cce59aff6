"""Where a number comes from: version, commit, command, machine, date."""

import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

COMMAND_VARIABLE = "WAYMARKS_COMMAND"
"""The environment variable by which a study tells its workers the command that a person gave."""


@cache
def package_version() -> str:
    """The installed version of waymarks."""
    try:
        return version("waymarks")
    except PackageNotFoundError:
        return "unknown"


@cache
def commit() -> str | None:
    """The commit of the source that runs, with `+changes` where files differ from it; None where
    the source is not a checkout of waymarks. Looked up once: the source was imported once."""
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return None
    head = _git(here, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return None
    return f"{head}+changes" if _git(here, "status", "--porcelain", "--", "src") else head


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def command() -> str:
    """The command line that a person gave."""
    inherited = os.environ.get(COMMAND_VARIABLE)
    if inherited:
        return inherited
    program = Path(sys.argv[0]).name or "python"
    return shlex.join(["waymarks" if program == "__main__.py" else program, *sys.argv[1:]])


def machine(device: torch.device) -> str:
    """The machine, as one would say it: `2-core CPU`, `one NVIDIA H200`."""
    if device.type == "cuda":
        return f"one {torch.cuda.get_device_name(device)}"
    return f"{os.cpu_count()}-core CPU"


def provenance(device: torch.device) -> dict[str, str | None]:
    """Everything about where a number comes from that this process knows."""
    return {
        "waymarks": package_version(),
        "commit": commit(),
        "command": command(),
        "machine": machine(device),
        "torch": torch.__version__,
        "started": now(),
    }


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
