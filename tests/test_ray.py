"""A study on a Ray cluster of several nodes, one of which is lost."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import tiny_experiment

from waymarks.errors import UserError
from waymarks.models import GPT2
from waymarks.studies import Arm, Execution, Run, Study
from waymarks.studies.conduct import conduct
from waymarks.studies.ray_conduct import Resources, conduct_on_ray

ON_ONE_THREAD = Execution(device="cpu", threads=1, checkpoint_seconds=0)
SOME = {"model": GPT2(width=8, depth=1, heads=2), "stop_when_solved": False, "updates": 150}


def trial(seeds: int) -> Study:
    arm = Arm(name="small", experiment=tiny_experiment(**SOME))
    return Study(name="trial", question="?", arms=(arm,), seeds=tuple(range(seeds)))


def results(study: Study, folder: Path) -> dict[str, str]:
    """The metrics of every run there, clocks aside."""
    found = {}
    for _, experiment in study.experiments():
        lines = Run(folder / "runs" / experiment.identity).metrics()
        without_clock = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
        found[experiment.identity] = json.dumps(without_clock)
    return found


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a head that takes no runs, to which nodes can be added."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'waymarks[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 100 * 2**20}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory}
    )
    yield cluster
    cluster.shutdown()


def add_node(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)


@pytest.mark.timeout(900)
def test_a_node_that_is_killed_and_replaced_costs_no_run(cluster: Any, tmp_path: Path) -> None:
    study = trial(seeds=6)
    nodes = [add_node(cluster), add_node(cluster)]
    kinds = []
    for event in conduct_on_ray(study, tmp_path / "on ray", ON_ONE_THREAD, cluster.address):
        kinds.append(event.kind)
        if kinds.count("finished") == 1 and len(nodes) == 2:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            add_node(cluster)
    assert kinds.count("finished") + kinds.count("skipped") == 6
    assert "failed" not in kinds
    assert len(list((tmp_path / "on ray" / "runs").iterdir())) == 6
    list(conduct(study, tmp_path / "here", ON_ONE_THREAD, jobs=1))
    assert results(study, tmp_path / "on ray") == results(study, tmp_path / "here")

    again = conduct_on_ray(study, tmp_path / "on ray", ON_ONE_THREAD, cluster.address)
    assert [event.kind for event in again] == ["skipped"] * 6
    with pytest.raises(UserError, match="each run asks for 2 GPUs"):
        next(
            conduct_on_ray(
                study, tmp_path, ON_ONE_THREAD, cluster.address, Resources(cpus=1, gpus=2)
            )
        )


def test_without_ray_one_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'waymarks\[ray\]'"):
        next(conduct_on_ray(trial(1), tmp_path / "out", ON_ONE_THREAD, "local"))
    assert not (tmp_path / "out").exists()
