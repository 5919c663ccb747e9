"""The job scripts of docs/clusters.md: they are valid, ask for every part once, and make the zoo that one process makes."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from hyperforget_jax.cli import zoo
from tests.test_docs import faults

PAGE = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text(encoding="utf-8")
SCRIPTS = dict(re.findall(r"```(bash|sh|yaml)\n(.*?)```", PAGE, re.DOTALL))
PLACES = "--config mnist4_zoo --data.dir /shared/mnist --workdir /shared/runs/zoo"


def command_of(text: str) -> str:
    """The one command of the package in a script."""
    (found,) = re.findall(r"hyperforget zoo .*?/16\"", text)
    return str(found)


@pytest.mark.parametrize("kind", ["bash", "sh"])
def test_shell_scripts_are_shell(kind: str) -> None:
    subprocess.run(["bash", "-n"], input=SCRIPTS[kind], text=True, check=True)
    assert PLACES in SCRIPTS[kind]


def test_the_manifest_is_an_indexed_job_of_as_many_pods_as_parts() -> None:
    job = yaml.safe_load(SCRIPTS["yaml"])
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == ("batch/v1", "Job", "Indexed")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["spec"]["completions"] == 16
    assert command_of(container["args"][0]) == container["args"][0]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize(("kind", "first"), [("bash", 1), ("yaml", 0)])
def test_the_parts_of_a_script_are_all_parts(kind: str, first: int) -> None:
    """As bash sees them with the numbers that Slurm and Kubernetes give."""
    command = command_of(SCRIPTS[kind])
    numbers = range(first, first + 16)
    if kind == "bash":
        assert f"--array={first}-{first + 15}" in SCRIPTS[kind]
    parts = []
    for number in numbers:
        own = {**os.environ, "SLURM_ARRAY_TASK_ID": str(number), "JOB_COMPLETION_INDEX": str(number)}
        echoed = subprocess.run(["bash", "-c", f"echo {command}"], env=own, capture_output=True, text=True, check=True)
        words = echoed.stdout.split()
        assert not list(faults(words))
        parts.append(words[-1])
    assert parts == [f"{part}/16" for part in range(1, 17)]


@pytest.mark.slow
def test_the_slurm_script_makes_the_zoo_of_one_process(tmp_path: Path) -> None:
    small = "--config smoke_dihyfo2 --zoo.runs 96 --zoo.runs-per-block 32"
    assert zoo.main([*small.split(), "--workdir", str(tmp_path / "one")]) == 0
    script = SCRIPTS["bash"].replace(PLACES, f"{small} --workdir {tmp_path / 'many'}").replace("/16", "/3")
    for part in (3, 1, 2):
        own = {**os.environ, "SLURM_ARRAY_TASK_ID": str(part)}
        subprocess.run(["bash"], input=script, env=own, text=True, check=True)
    assert zoo.main([*small.split(), "--workdir", str(tmp_path / "many")]) == 0
    one, many = (
        {path.relative_to(folder): path.read_bytes() for path in (folder / "zoo").rglob("*.npy")}
        for folder in (tmp_path / "one", tmp_path / "many")
    )
    assert len(one) > 0
    assert one == many
