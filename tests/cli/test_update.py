"""`hyperforget update` refuses what is no DiHyFo-1 or no model, before any work."""

from pathlib import Path

import pytest

from hyperforget_jax.cli import update


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--config is None: choose "),
        (["--config", "smoke_dihyfo1", "--model", "none.npz"], "cannot read the model none.npz"),
        (["--config", "smoke_dihyfo1", "--model="], "cannot read the model ."),
        (["--config", "smoke_dihyfo2"], "hypernetwork.kind is dihyfo2 and hypernetwork.metric class_losses"),
        (["--config", "smoke_dihyfo1", "--hypernetwork.metric", "mean_loss"], "hypernetwork.metric mean_loss"),
        (["--config", "smoke_dihyfo1", "--request.rounds", "0"], "request.rounds is 0"),
        (["--config", "smoke_dihyfo1", "--request.rounds", "many"], "rounds"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line_before_any_work(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert update.main([*arguments, *(["--workdir", str(tmp_path / "run")] if arguments else [])]) == 2
    out, error = capsys.readouterr()
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert out == ""
    assert not (tmp_path / "run").exists()
