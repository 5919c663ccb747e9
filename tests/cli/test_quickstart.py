"""`hyperforget quickstart` chooses between two configs."""

from pathlib import Path

import pytest

from hyperforget_jax.cli import quickstart
from hyperforget_jax.config import Config
from hyperforget_jax.pipeline import end_to_end, workdir


@pytest.mark.parametrize("arguments", [["--classes", "five"], ["--classes"]])
def test_quickstart_refuses_other_settings(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert quickstart.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --classes is ")
    assert line.endswith("choose four or all")


@pytest.mark.parametrize(
    ("arguments", "classes"), [([], 4), (["--classes", "four"], 4), (["--classes", "all"], 10), (["--classes=all"], 10)]
)
def test_quickstart_chooses_the_setting_and_overrides_the_rest(
    arguments: list[str], classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Config] = []
    monkeypatch.setattr(end_to_end, "run", lambda run: jobs.append(run.config))
    folder = tmp_path / "run"
    assert quickstart.main(["--seed", "3", *arguments, "--workdir", str(folder)]) == 0
    (config,) = jobs
    assert (len(config.data.classes), config.seed, config.workdir) == (classes, 3, str(folder))
    assert workdir.read_config(folder) == config
